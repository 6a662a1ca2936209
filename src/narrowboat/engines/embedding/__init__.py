"""Embedding models behind one interface: multilingual-e5-small on this machine, remote ones.

Each is a module with ``vectors(model, texts)``: a list of floats for each text, of length one, so that the product of
two says how alike their texts are.
"""
