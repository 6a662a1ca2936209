"""A fake server of Gemini's and OpenAI's endpoints on loopback, for tests and benchmarks.

It speaks as the vendors do, Files protocol included, and does what it is told with switches: answers late, refuses,
breaks off, loses a file, says nonsense. It holds nothing of what is uploaded in memory. Its tests drive it with the
vendors' own clients.

By hand, with ``tests/`` on the path (``cd tests``)::

    python -m fakes --port 8080 --latency 10 --set processing_polls=2 --set 'faults=["503", null, "truncated"]'

prints ``{"url": "http://127.0.0.1:8080"}`` and serves until its input ends. Gemini is under ``{url}``
(``GOOGLE_GEMINI_BASE_URL``), OpenAI under ``{url}/v1`` (``OPENAI_BASE_URL``); any key is good. While it runs::

    curl -d '{"quota": 5}' http://127.0.0.1:8080/__set      # switches, see fakes/switches.py and fakes/faults.py
    curl http://127.0.0.1:8080/__log                        # requests as seen; keys as hashes
    curl http://127.0.0.1:8080/__files                      # what lies in the store
    curl http://127.0.0.1:8080/__state                      # counts, calls at work and the most at once
    curl -d '' http://127.0.0.1:8080/__reset                # as at the start

In tests: the fixture ``engine_server`` (``fakes/running.py``).
"""
