"""Models behind one small interface per kind, and the catalogue of them."""
