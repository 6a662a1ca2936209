"""A web site on loopback: a page for each path, each request in a thread of its own."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Page = bytes | Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """One request; a page that is a function answers with these."""

    site: Site
    protocol_version = "HTTP/1.1"

    def answer(self, status: int, body: bytes = b"", **headers: object) -> None:
        """An answer; ``Content_Length=None`` leaves the length out, and the body ends with the connection."""
        self.send_response(status)
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        for name, value in {"Content-Length": len(body), "Connection": "close", **given}.items():
            if value is not None:
                self.send_header(name, str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.close_connection = True

    def do_GET(self) -> None:
        self.site.requests.append((self.command, self.path))
        page = self.site.pages.get(self.path, self.site.pages.get(self.path.partition("?")[0]))
        with contextlib.suppress(OSError):  # the client may be gone
            if page is None:
                self.answer(404)
            elif callable(page):
                page(self)
            else:
                self.answer(200, page, **self.site.types.get(self.path.partition("?")[0], {}))

    do_HEAD = do_GET

    def log_message(self, *_: Any) -> None:
        pass


@dataclass
class Site:
    """``pages``: path, with or without its query, to what is there; ``types``: path to further headers."""

    pages: dict[str, Page] = field(default_factory=dict)
    types: dict[str, dict[str, str]] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)
    address: str = "127.0.0.1"

    def __post_init__(self) -> None:
        handler = type("OfThisSite", (Handler,), {"site": self})
        self._server = ThreadingHTTPServer((self.address, 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def host(self) -> str:
        return f"{self.address}:{self._server.server_address[1]}"

    def url(self, path: str, user: str = "") -> str:
        return f"http://{user + '@' if user else ''}{self.host}{path}"

    def asked(self, method: str, path: str) -> int:
        return self.requests.count((method, path))

    def close(self) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()


@contextlib.contextmanager
def site(address: str = "127.0.0.1") -> Iterator[Site]:
    made = Site(address=address)
    try:
        yield made
    finally:
        made.close()
