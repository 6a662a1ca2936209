"""A podcast on loopback: a feed with real speech, and episodes that fail, each in its own way.

Covers: making the sounds, the feed, the server, what it was asked.
Does not cover: what is made of it (``feed``), the recordings (``speech``).
"""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import speech

#: How an episode fails -> what must be said of it.
BAD = {
    "gone": "answered 404",
    "forbidden": "answered 403",
    "huge": "is 10.0 GiB, more than the",
    "endless": "more than the",
    "cut": "was cut after",
}
#: Those that may have changed when somebody comes again; the others are left alone for a day.
MAY_CHANGE = {"forbidden", "cut"}
HUGE = 10 << 30  # bytes
_SERVED_A_SECOND = 200_000  # bytes: slow enough to be killed meanwhile
_PIECE = 1 << 13
_FIRST_DAY = 1_700_000_000  # seconds since the epoch


@dataclass
class Site:
    """``bad`` is put among ``sounds`` at even distances."""

    sounds: list[Path]
    asked: Counter[tuple[str, str]] = field(default_factory=Counter)
    read: Iterator[int] = field(default_factory=itertools.count)
    address: str = ""

    @property
    def names(self) -> list[str]:
        """The episodes, oldest first."""
        names = [sound.stem for sound in self.sounds]
        for number, bad in enumerate(BAD):
            names.insert((number + 1) * len(names) // (len(BAD) + 1), bad)
        return names

    def feed(self) -> bytes:
        """The feed as it is now: each time it is read, addresses have another token."""
        token = next(self.read)
        items = []
        for number, name in enumerate(self.names):
            items.append(
                f"<item><title>{name}</title><guid isPermaLink='false'>guid of {name}</guid>"
                f"<pubDate>{formatdate(_FIRST_DAY + 86400 * number)}</pubDate>"
                f"<enclosure url='{self.address}/{name}.mp3?token={token}' type='audio/mpeg' length='0'/></item>"
            )
        whole = "".join(reversed(items))
        return f"<?xml version='1.0'?><rss version='2.0'><channel><title>Bench</title>{whole}</channel></rss>".encode()

    def take_asked(self) -> Counter[tuple[str, str]]:
        """What was asked since the last time: method and name."""
        taken, self.asked = self.asked, Counter()
        return taken


class _Handler(BaseHTTPRequestHandler):
    site: Site

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        name = self.path.partition("?")[0].strip("/").removesuffix(".mp3")
        self.site.asked[self.command, name] += 1
        with contextlib.suppress(OSError):  # who asked was killed, or has enough
            if name == "feed.xml":
                self._send(200, self.site.feed(), "application/rss+xml")
            elif name in BAD:
                getattr(self, f"_{name}")()
            else:
                sound = next(path for path in self.site.sounds if path.stem == name)
                self._send(200, sound.read_bytes())

    def _gone(self) -> None:
        self._send(404, b"")

    def _forbidden(self) -> None:
        self._send(403, b"")

    def _huge(self) -> None:
        self._send(200, bytes(1 << 20), length=HUGE)

    def _cut(self) -> None:
        sound = self.site.sounds[0].read_bytes()
        self._send(200, sound[: len(sound) // 2], length=len(sound))

    def _endless(self) -> None:
        self._send(200, b"", length=None)
        while self.command == "GET":
            self.wfile.write(bytes(1 << 16))

    def _send(self, status: int, body: bytes, kind: str = "audio/mpeg", *, length: int | None = -1) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if length is not None:
            self.send_header("Content-Length", str(len(body) if length < 0 else length))
        self.end_headers()
        for at in range(0, len(body) if self.command == "GET" else 0, _PIECE):
            self.wfile.write(body[at : at + _PIECE])
            time.sleep(_PIECE / _SERVED_A_SECOND)

    def log_message(self, *_: Any) -> None:
        pass


def make_sounds(folder: Path, count: int, longest_s: float) -> list[Path]:
    """Different speech of ``longest_s`` seconds, of two thirds and of a third of that."""
    return [
        speech.episode(folder / f"episode-{number:02}.mp3", longest_s * (1 + number % 3) / 3, skip=7 * number)
        for number in range(count)
    ]


@contextlib.contextmanager
def serving(sounds: list[Path]) -> Iterator[Site]:
    """The site while it is entered; its feed is at ``address/feed.xml``."""
    site = Site(sounds)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"site": site}))
    server.daemon_threads = True
    site.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
