"""The service: the runner behind HTTP, and a page."""
