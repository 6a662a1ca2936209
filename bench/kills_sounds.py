"""What a batch transcribes: speech of different lengths, some of it behind an address.

Covers: making the files, serving every third of them slowly. Does not cover: the recordings themselves (``speech``).
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import speech

_SERVED_A_SECOND = 400_000  # bytes: slow enough to be killed meanwhile
_PIECE = 1 << 14


def make_sounds(folder: Path, count: int, longest_s: float) -> list[Path]:
    """Different speech: episodes of a third of ``longest_s`` up to all of it, and recorded clips among them."""
    clips = sorted(speech.RECORDED.glob("librispeech/*.flac"))
    made = []
    for number in range(count):
        if clips and number % 4 == 3:
            made.append(clips[number % len(clips)])
        else:
            seconds = longest_s * (1 + number % 3) / 3
            made.append(speech.episode(folder / f"episode-{number}.mp3", seconds, skip=23 * number))
    return made


@contextlib.contextmanager
def served(files: list[Path]) -> Iterator[list[str]]:
    """The sources of a batch: every third file has an address in the place of its path."""
    by_path = {f"/{file.name}": file for file in files}

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._head(0)

        def do_GET(self) -> None:
            asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            data = self._head(int(asked[1]) if asked else 0)
            with contextlib.suppress(ConnectionError):  # who asked was killed
                for at in range(0, len(data), _PIECE):
                    self.wfile.write(data[at : at + _PIECE])
                    time.sleep(_PIECE / _SERVED_A_SECOND)

        def _head(self, start: int) -> bytes:
            data = by_path[self.path].read_bytes()
            with contextlib.suppress(ConnectionError):
                self.send_response(206 if start else 200)
                self.send_header("Content-Type", "audio/mpeg")
                self.send_header("Content-Length", str(len(data) - start))
                self.send_header("ETag", f'"{len(data)}"')
                if start:
                    self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
                self.end_headers()
            return data[start:]

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        address = f"http://127.0.0.1:{server.server_port}"
        yield [f"{address}/{file.name}" if number % 3 == 1 else str(file) for number, file in enumerate(files)]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
