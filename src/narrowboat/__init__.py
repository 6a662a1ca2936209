"""Narrowboat runs heavy media jobs in a fixed amount of memory."""
