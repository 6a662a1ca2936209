"""Who may use how many bytes: reading the machine, the budget, reservations, admission, the estimator."""
