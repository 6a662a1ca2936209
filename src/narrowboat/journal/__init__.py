"""What is remembered durably: jobs, steps, items, attempts, peaks, outputs, and who owns which scratch."""
