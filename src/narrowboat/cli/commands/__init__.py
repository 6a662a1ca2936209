"""The commands, one a module: each declares itself and translates to the runner."""
