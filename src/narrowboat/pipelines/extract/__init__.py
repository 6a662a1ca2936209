"""Sections of PDFs: found, cut out, and asked about."""
