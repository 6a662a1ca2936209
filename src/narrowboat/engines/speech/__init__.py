"""The local speech engine: Whisper on ctranslate2, voice detection with earshot, features with numpy.

Covers: audio blocks to timed text, and making model folders ready for it.
Does not cover: reading media (``media/``), names and demands of models (``engines/catalogue.py``),
fetching packs (``engines/packs.py``). Everything below is imported by workers only.
"""
