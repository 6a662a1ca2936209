"""Fixtures for fetching: a server on loopback and a step's scratch."""

from loopback import scratch, serve

__all__ = ["scratch", "serve"]
