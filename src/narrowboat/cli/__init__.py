"""The command line: translates to the runner, decides nothing."""
