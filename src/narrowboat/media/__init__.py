"""Constant-memory readers and writers of media."""
