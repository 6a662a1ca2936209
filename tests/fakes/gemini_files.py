"""Gemini's Files protocol: resumable uploads, get, list, delete.

Covers: start, chunks at checked offsets, query, cancel, finalize; names, states, pages of the list.
Does not cover: keeping the bytes (``store``), keys and faults (``server``).
"""

from __future__ import annotations

import base64
import json
import re
from datetime import UTC, datetime
from typing import Any

from fakes.faults import Fault
from fakes.http import Request, Response, json_response
from fakes.refusals import Refusal
from fakes.store import Store, Stored, Upload
from fakes.switches import Switches

NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")
MOST_START = 1 << 20


async def start(
    request: Request, store: Store, switches: Switches, *, url: str, owner: str | None, fault: Fault | None
) -> Response:
    """Begin an upload: the address for its chunks is in a header."""
    if request.headers.get("x-goog-upload-command", "").lower() != "start":
        raise Refusal(400, "Only resumable uploads are taken here: X-Goog-Upload-Command must be start.")
    body = await request.body.read(MOST_START)
    try:
        about = (json.loads(body) if body else {}).get("file") or {}
    except (ValueError, AttributeError):
        raise Refusal(400, "Invalid JSON payload received.") from None
    name = about.get("name") or store.free_name()
    _check_name(name, store)
    mime = request.headers.get("x-goog-upload-header-content-type") or either(about, "mimeType") or ""
    length = request.headers.get("x-goog-upload-header-content-length")
    polls = None if fault and fault.kind == "file_stuck" else switches.processing_polls
    file = Stored(name, either(about, "displayName") or "", mime, 0, "", None, owner=owner, polls=polls)
    file.failed = bool(fault and fault.kind == "file_failed")
    upload_id = store.begin(file, int(length) if length else None)
    headers = {
        "X-Goog-Upload-URL": f"{url}{request.path}?upload_id={upload_id}&upload_protocol=resumable",
        "X-Goog-Upload-Control-URL": f"{url}{request.path}?upload_id={upload_id}&upload_protocol=resumable",
        "X-Goog-Upload-Status": "active",
        "X-Goog-Upload-Chunk-Granularity": str(switches.granularity),
    }
    return Response(200, b"", headers)


def _check_name(name: str, store: Store) -> None:
    if not name.startswith("files/") or not NAME.fullmatch(name.removeprefix("files/")):
        about = "must be files/ and 1 to 40 lowercase letters, digits or dashes, no dash at either end"
        raise Refusal(400, f"File name {name!r} {about}.")
    _check_free(name, store)


def _check_free(name: str, store: Store) -> None:
    if name in store.files:
        raise Refusal(409, "Requested entity already exists")


async def chunk(request: Request, store: Store, switches: Switches) -> tuple[Response, Stored | None]:
    """Take a chunk, or say how many bytes are here; the file, when it is whole."""
    upload_id = request.query.get("upload_id", "")
    upload = store.uploads.get(upload_id)
    if upload is None:
        raise Refusal(404, "Upload not found: it is finished, cancelled, or never was.")
    commands = {one.strip() for one in request.headers.get("x-goog-upload-command", "").lower().split(",")}
    if commands == {"query"}:
        return Response(200, b"", _status(upload)), None
    if commands == {"cancel"}:
        store.abandon(upload_id)
        return Response(200, b"", {"X-Goog-Upload-Status": "cancelled"}), None
    if not commands or commands - {"upload", "finalize"}:
        raise Refusal(400, f"Unknown upload command {', '.join(sorted(commands))}.")
    if "upload" in commands:
        await _take(request, upload, switches, last="finalize" in commands)
    if "finalize" not in commands:
        return Response(200, b"", _status(upload)), None
    if upload.length is not None and upload.length != upload.spool.size:
        raise Refusal(400, f"Upload has {upload.spool.size} bytes, and {upload.length} were announced.")
    _check_free(upload.file.name, store)
    file = store.finish(upload_id)
    return json_response({"file": shown(file)}, X_Goog_Upload_Status="final"), file


async def _take(request: Request, upload: Upload, switches: Switches, *, last: bool) -> None:
    offset = request.headers.get("x-goog-upload-offset", "")
    if not offset.isdecimal() or int(offset) != upload.spool.size:
        received = {"X-Goog-Upload-Size-Received": str(upload.spool.size)}
        raise Refusal(400, f"Offset {offset or 'missing'}, and {upload.spool.size} bytes are here.", headers=received)
    if not last and (request.body.length or 0) % switches.granularity:
        raise Refusal(400, f"A chunk that is not the last must be a multiple of {switches.granularity} bytes.")
    await upload.spool.take(request.body.blocks())
    if upload.length is not None and upload.spool.size > upload.length:
        raise Refusal(400, f"Upload has more than the {upload.length} bytes that were announced.")


def _status(upload: Upload) -> dict[str, str]:
    return {"X-Goog-Upload-Status": "active", "X-Goog-Upload-Size-Received": str(upload.spool.size)}


def found(store: Store, name: str, owner: str | None) -> Stored:
    """The file of that name.

    Raises:
        Refusal: 403, as Gemini says it, whether it is another's or does not exist.
    """
    file = store.get(name, owner)
    if file is None:
        short = name.removeprefix("files/")
        raise Refusal(403, f"You do not have permission to access the File {short} or it may not exist.")
    return file


def polled(file: Stored) -> dict[str, Any]:
    """The file as it is now; it is one poll nearer to ACTIVE then."""
    seen = shown(file)
    if file.polls:
        file.polls -= 1
    return seen


def listed(request: Request, store: Store, owner: str | None) -> dict[str, Any]:
    """A page of the list."""
    files = store.list(owner)
    size = min(int(request.query.get("pageSize") or 10), 100)
    at = int(request.query.get("pageToken") or 0)
    page: dict[str, Any] = {"files": [shown(file) for file in files[at : at + size]]} if files else {}
    if at + size < len(files):
        page["nextPageToken"] = str(at + size)
    return page


def shown(file: Stored) -> dict[str, Any]:
    """The file in the vendor's words. ``sha256Hash`` is the base64 of the hash in hex, as the vendor has it."""
    about: dict[str, Any] = {
        "name": file.name,
        "displayName": file.label,
        "mimeType": file.mime,
        "sizeBytes": str(file.size),
        "createTime": _time(file.created),
        "updateTime": _time(file.created),
        "expirationTime": _time(file.expires),
        "sha256Hash": _base64(file.sha256),
        "uri": f"https://generativelanguage.googleapis.com/v1beta/{file.name}",
        "state": file.state,
        "source": "UPLOADED",
    }
    if not file.label:
        del about["displayName"]
    if file.failed:
        about["error"] = {"code": 3, "message": "The file could not be processed."}
    return about


def either(value: dict[str, Any], name: str) -> Any:
    """A field by its name in camelCase, or in snake_case, which the API takes too."""
    if name in value:
        return value[name]
    return value.get("".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name))


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
