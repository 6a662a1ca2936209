"""Putting jobs through it: schedule, resume, retry, cancel, watch."""
