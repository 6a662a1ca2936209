"""An object store on loopback, as small as can be: it speaks as S3, Google Cloud Storage and Azure's blobs do.

What it holds is a dictionary; signatures are looked at by nobody. ``bench/stores.py`` asks the same of other people's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

import pytest
from loopback import Request, Server

BUCKET = "pods"
#: A fault: given the request, it answers itself and returns True, or leaves it to the store.
Fault = Callable[[Request], bool]
ACCOUNT = "boats"
DATE = "Wed, 01 Jan 2025 00:00:00 GMT"


@dataclass
class Store:
    """Objects by their keys. ``azure``: paths begin with the account."""

    objects: dict[str, bytes] = field(default_factory=dict)
    fault: Fault = lambda _: False

    def __post_init__(self) -> None:
        self.server = Server(self._answer)
        self.url = self.server.url("")

    @property
    def requests(self) -> list[Request]:
        return self.server.requests

    def environment(self, scheme: str) -> dict[str, str]:
        """The variables that lead there."""
        key = "b3Blbi1zZXNhbWU="  # open-sesame
        return {
            "s3": {
                "AWS_ENDPOINT_URL": self.url,
                "AWS_ACCESS_KEY_ID": "me",
                "AWS_SECRET_ACCESS_KEY": "open-sesame",
                "AWS_REGION": "eu-central-1",
            },
            "gs": {"STORAGE_EMULATOR_HOST": self.url},
            "az": {
                "AZURE_STORAGE_CONNECTION_STRING": f"AccountName={ACCOUNT};AccountKey={key};"
                f"BlobEndpoint={self.url}/{ACCOUNT};DefaultEndpointsProtocol=http"
            },
        }[scheme]

    def _answer(self, request: Request) -> None:
        if self.fault(request):
            return
        parts = urlsplit(request.path)
        bucket, _, key = unquote(parts.path).removeprefix(f"/{ACCOUNT}").lstrip("/").partition("/")
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if bucket != BUCKET:
            send(request, "404 Not Found", error("ContainerNotFound" if "comp" in query else "NoSuchBucket"))
        elif "list-type" in query or query.get("comp") == "list":
            self._list(request, query)
        elif key not in self.objects:
            send(request, "404 Not Found", error("NoSuchKey"))
        else:
            self._object(request, self.objects[key])

    def _object(self, request: Request, body: bytes) -> None:
        tag = etag(body)
        if request.headers.get("if-match", tag) != tag:
            send(request, "412 Precondition Failed", error("PreconditionFailed"))
            return
        headers: dict[str, object] = {"ETag": tag, "Last-Modified": DATE, "x-ms-blob-type": "BlockBlob"}
        asked = request.headers.get("range") or request.headers.get("x-ms-range")
        if asked is None:
            send(request, "200 OK", body, **headers)
            return
        start = int(asked.removeprefix("bytes=").split("-")[0])
        span = f"bytes {start}-{len(body) - 1}/{len(body)}"
        send(request, "206 Partial Content", body[start:], **{"Content-Range": span, **headers})

    def _list(self, request: Request, query: dict[str, str]) -> None:
        found = {key: body for key, body in sorted(self.objects.items()) if key.startswith(query.get("prefix", ""))}
        if "comp" in query:
            blobs = "".join(
                f"<Blob><Name>{escape(key)}</Name><Properties><Last-Modified>{DATE}</Last-Modified><Etag>"
                f"{etag(body).strip(chr(34))}</Etag><Content-Length>{len(body)}</Content-Length>"
                "<Content-Type>audio/mpeg</Content-Type><BlobType>BlockBlob</BlobType></Properties></Blob>"
                for key, body in found.items()
            )
            text = f"<EnumerationResults><Blobs>{blobs}</Blobs><NextMarker/></EnumerationResults>"
        else:
            objects = "".join(
                f"<Contents><Key>{escape(key)}</Key><LastModified>2025-01-01T00:00:00.000Z</LastModified>"
                f"<ETag>{escape(etag(body))}</ETag><Size>{len(body)}</Size></Contents>"
                for key, body in found.items()
            )
            text = f"<ListBucketResult><IsTruncated>false</IsTruncated>{objects}</ListBucketResult>"
        send(request, "200 OK", text.encode(), **{"Content-Type": "application/xml"})


def etag(body: bytes) -> str:
    return f'"{hashlib.md5(body).hexdigest()}"'


def error(code: str, more: str = "") -> bytes:
    return f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>open-sesame</Message>{more}</Error>".encode()


def send(request: Request, status: str, body: bytes = b"", **headers: object) -> None:
    request.send(status, body, **{"Connection": "close", **headers})


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A store; nothing in the environment leads to another one."""
    pytest.importorskip("obstore")
    for name in forgotten():
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", "/nonexistent")
    made = Store()
    yield made
    made.server.close()


def forgotten() -> list[str]:
    """Variables that lead to real stores or to proxies."""
    import os

    clouds = ("AWS_", "GOOGLE_", "AZURE_", "STORAGE_EMULATOR", "AZURITE_")
    proxies = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
    return [name for name in os.environ if name.startswith(clouds) or name.upper() in proxies]
