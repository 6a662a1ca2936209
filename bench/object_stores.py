"""The steps for object stores against servers that are not ours: moto for S3, and for the form of it that Google Cloud
Storage has; Azurite for Azure's blobs.

    python bench/object_stores.py [--folder build/stores] [--json FILE]

Covers: an environment of its own with moto, and Azurite where npm is; objects that are put there, fetched, gone on
with, listed and missed. The exit code is 0 only when every check held; a server that can't be had is named.
Does not cover: faults (``tests/sources/test_objects.py``, with a store of ours).
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import obstore
from facts import machine

from narrowboat import context
from narrowboat.errors import NarrowboatError
from narrowboat.sources.object_names import object_name
from narrowboat.sources.object_settings import opened
from narrowboat.sources.objects import fetch, listed, validate

MOTO, AZURITE = "moto[server,s3]==5.2.5", "azurite@3.35.0"
START_S = 60
BODY = bytes(range(256)) * 80_000  # 20 MB
KEY = "2024/My talk?.mp3"
_CLOUDS = ("AWS_", "GOOGLE_", "AZURE_", "STORAGE_EMULATOR")
_PROXIES = {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"}

Check = dict[str, Any]


def prepared(folder: Path) -> None:
    """An environment with the servers."""
    if not (folder / "bin" / "moto_server").exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(folder / "bin" / "pip"), "install", "--quiet", MOTO], check=True)
    if not (folder / "node_modules").exists() and (npm := shutil.which("npm")):
        subprocess.run([npm, "install", "--silent", "--prefix", str(folder), AZURITE], check=False)


@contextlib.contextmanager
def serving(command: list[str], port: int) -> Iterator[str]:
    """A server on loopback; its address."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + START_S
            while True:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                    break
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"{command[0]} does not serve")
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def environment(scheme: str, url: str) -> dict[str, str]:
    """The variables that lead to a server."""
    return {
        "s3": {"AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": "me", "AWS_SECRET_ACCESS_KEY": "secret"},
        "gs": {"STORAGE_EMULATOR_HOST": url},
        "az": {
            "AZURE_STORAGE_CONNECTION_STRING": f"AccountName=devstoreaccount1;BlobEndpoint={url}/devstoreaccount1;"
            "AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
        },
    }[scheme]


def checks_of(peer: str, scheme: str, url: str) -> Iterator[Check]:
    """What the steps make of a server that holds a few objects."""
    for name in [name for name in os.environ if name.startswith(_CLOUDS) or name.upper() in _PROXIES]:
        del os.environ[name]
    os.environ.update(environment(scheme, url))
    if scheme != "gs":  # it has what S3 put there: the emulator's settings are for reading
        store = opened(object_name(f"{scheme}://pods/x"), connect_s=5, stall_s=20, within_s=60)
        for key, body in ((KEY, BODY), ("2024/two.mp3", b"two" * 1000), ("2025/three.wav", b"three" * 1000)):
            obstore.put(store, key, body)

    def address(key: str, bucket: str = "pods") -> dict[str, Any]:
        return {"url": f"{scheme}://{bucket}/{key}", "backoff_s": 0.1, "stall_s": 10}

    def check(what: str, seen: Callable[[], Any], expected: Any) -> Check:
        try:
            found = seen()
        except NarrowboatError as error:
            found = str(error.message).partition("can't be read: ")[2]
        return {"peer": peer, "store": scheme, "check": what, "held": found == expected, "seen": str(found)[:200]}

    yield check("asked about", lambda: validate(address(KEY))["bytes"], len(BODY))
    yield check("fetched", lambda: _fetched(address(KEY), None), _digest(BODY))
    tag = validate(address(KEY))["validator"]
    yield check("gone on with", lambda: _fetched(address(KEY), f'"{tag}"'), _digest(BODY))
    yield check("changed since", lambda: _fetched(address(KEY), '"another"'), _digest(BODY))
    names = [f"{scheme}://pods/{KEY}", f"{scheme}://pods/2024/two.mp3"]
    yield check("a folder", lambda: [found[0] for found in listed(address("2024/"))["objects"]], names)
    yield check("a pattern", lambda: [found[0] for found in listed(address("*/two*"))["objects"]], names[1:])
    yield check("listed as asked about", lambda: listed(address("2024/*talk*"))["objects"][0][1], tag)
    place = {"az": "container"}.get(scheme, "bucket")
    gone = {f"there is no such object in the {place} pods", f"there is no such object, or no {place} pods"}
    missing = check("no such object", lambda: fetch(address("none.mp3")), None)
    yield {**missing, "held": missing["seen"] in gone}
    nowhere = check("no such bucket", lambda: fetch(address("none.mp3", "nobucket")), None)
    yield {**nowhere, "held": f"no {place} nobucket" in nowhere["seen"]}


def _fetched(given: dict[str, Any], validator: str | None) -> str:
    """The digest of what is fetched; with a validator, after a first half that was of it."""
    with tempfile.TemporaryDirectory() as folder:
        context.enter(context.Context(Path(folder)))
        if validator is not None:
            half = len(BODY) // 2
            part = Path(folder) / "source.part"
            part.write_bytes(BODY[:half] if validator != '"another"' else bytes(half))
            note = {"url": _digest(given["url"].encode()), "validator": validator, "total": len(BODY), "type": None}
            part.with_name("source.part.json").write_text(json.dumps(note))
        return _digest(Path(fetch(given)["path"]).read_bytes())


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def on_moto(folder: Path) -> Iterator[Check]:
    """S3, and Google's XML form, which moto answers as it does S3's."""
    port = free_port()
    with serving([str(folder / "bin" / "moto_server"), "-H", "127.0.0.1", "-p", str(port)], port) as url:
        import urllib.request

        urllib.request.urlopen(urllib.request.Request(f"{url}/pods", method="PUT")).close()
        yield from checks_of("moto", "s3", url)
        yield from checks_of("moto", "gs", url)


def on_azurite(folder: Path) -> Iterator[Check]:
    """Azure's blobs."""
    command = folder / "node_modules" / ".bin" / "azurite-blob"
    if not command.exists():
        yield {"peer": "azurite", "store": "az", "check": "it can be had", "held": False, "seen": "npm has it not"}
        return
    port = free_port()
    with tempfile.TemporaryDirectory() as data:
        given = ["--blobHost", "127.0.0.1", "--blobPort", str(port), "--location", data, "--skipApiVersionCheck"]
        with serving([str(command), "--silent", *given], port) as url:
            _make_container(url)
            yield from checks_of("azurite", "az", url)


def _make_container(url: str) -> None:
    """Signed as Azure's documentation of Shared Key has it: obstore makes no containers."""
    import base64
    import hmac
    import urllib.request
    from email.utils import formatdate

    said = environment("az", url)["AZURE_STORAGE_CONNECTION_STRING"]
    key = base64.b64decode(said.partition("AccountKey=")[2])
    date, version = formatdate(usegmt=True), "2021-08-06"
    path = "/devstoreaccount1/pods"
    text = "PUT" + "\n" * 12 + f"x-ms-date:{date}\nx-ms-version:{version}\n/devstoreaccount1{path}\nrestype:container"
    signature = base64.b64encode(hmac.new(key, text.encode(), hashlib.sha256).digest()).decode()
    headers = {
        "x-ms-date": date,
        "x-ms-version": version,
        "Authorization": f"SharedKey devstoreaccount1:{signature}",
        "Content-Length": "0",
    }
    asked = urllib.request.Request(f"{url}{path}?restype=container", method="PUT", headers=headers)
    urllib.request.urlopen(asked).close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("build/stores"), help="where the servers are installed")
    parser.add_argument("--json", type=Path, help="write all of it to this file")
    given = parser.parse_args()
    folder = given.folder.absolute()
    prepared(folder)
    checks = [*on_moto(folder), *on_azurite(folder)]
    for check in checks:
        seen = "" if check["held"] else f": {check['seen']}"
        print(f"{'✓' if check['held'] else '✗'} {check['peer']:8} {check['store']}  {check['check']}{seen}")
    if given.json:
        made = {"machine": machine(), "moto": MOTO, "azurite": AZURITE, "checks": checks}
        given.json.write_text(json.dumps(made, indent=1))
    return int(not all(check["held"] for check in checks))


if __name__ == "__main__":
    sys.exit(main())
