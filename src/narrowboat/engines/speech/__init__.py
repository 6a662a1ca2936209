"""The local speech engine: Whisper on ctranslate2, voice detection with earshot, features with numpy.

Covers: audio blocks to timed text, and making model folders ready for it.
Does not cover: reading media (``media/``), names and demands of models (``engines/catalogue.py``),
fetching packs (``engines/packs.py``). Everything below is imported by workers only.
"""

import os

# ctranslate2 reads this when it is imported: one backend on every machine, the one that was measured. The other one
# took 588 MiB instead of 226 for whisper-base, and on a processor that is not Intel's ten times the time.
os.environ.setdefault("CT2_USE_MKL", "0")
