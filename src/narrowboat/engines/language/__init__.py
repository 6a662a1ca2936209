"""Language models behind one interface: extractive (quotes), GGUF files, remote ones.

Each is a module with ``complete(inputs)``, a step. Inputs: ``model`` (its name); ``system``, what to do with the
passages; ``prompt``, what is asked about them, which may be empty; ``passages``, a list of ``{"text"}`` with what tells
where each stands (``start`` and ``end`` in seconds, or ``page``); ``words``, the range that is asked for (``[low,
high]``), or None; ``schema``, of the answer as JSON, or None; ``max_tokens``; and what an engine needs beside
(``path``, ``base_url``).

Returns ``{"text", "finish", "usage", "made_by"}``: ``finish`` is ``"stop"``, or ``"length"`` when the text was cut
off; ``usage`` has ``input_tokens`` and ``output_tokens`` (None where nobody counted); ``made_by`` has ``model`` and
``kind``: ``"quotes"``, ``"small local model"`` or ``"remote model"``. Quotes come as ``quotes`` too, with their places.
"""
