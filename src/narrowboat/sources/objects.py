"""Objects of stores (S3, Google Cloud Storage, Azure Blob Storage): asked about, listed, streamed to scratch.

Covers: the steps :func:`validate`, :func:`fetch` and :func:`listed`, through obstore. Loads in workers only.
Does not cover: which object (``object_names``), credentials (``object_settings``), what a store's errors mean
(``object_errors``), how often (``tries``), the cap and the disk (``filling``).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any, TypeVar

import obstore
from obstore.exceptions import BaseError, PreconditionError

from narrowboat import context
from narrowboat.errors import SourceError
from narrowboat.sources.client import Passing
from narrowboat.sources.filling import Filling, finished, kept
from narrowboat.sources.object_errors import explained
from narrowboat.sources.object_names import ObjectName, object_name
from narrowboat.sources.object_settings import opened
from narrowboat.sources.part import Part
from narrowboat.sources.tries import Tries

#: Objects that one name may mean, and bytes of their names: they come in one frame.
MOST_LISTED, _MOST_BYTES = 10_000, 2 << 20
_TRIES_TO_ASK = 2
_T = TypeVar("_T")


def validate(inputs: dict[str, Any]) -> dict[str, Any]:
    """A step: what the store says of the object ``inputs["url"]`` without its content.

    Further inputs, in seconds: ``connect_s``, ``stall_s``, ``deadline_s``, ``backoff_s``.

    Returns:
        ``validator`` (the ETag), ``bytes``, ``type`` (None: stores say what they were told).

    Raises:
        SourceError: for good: no such object or bucket, no access, another region.
        FetchError: for now, after some tries.
    """
    tries = Tries(inputs)
    name = object_name(inputs["url"])
    meta = tries.run(lambda: _asked(name, tries, lambda store: obstore.head(store, name.key)), most=_TRIES_TO_ASK)
    return {"validator": _validator(meta), "bytes": meta["size"], "type": None}


def listed(inputs: dict[str, Any]) -> dict[str, Any]:
    """A step: the objects that ``inputs["url"]`` means, a folder or a pattern.

    Returns:
        ``objects``: for each its address, its ``validator`` and its size in bytes, in the order of their names. Empty
        ones are left out.

    Raises:
        SourceError: there is none, there are too many, or as for :func:`validate`.
    """
    tries = Tries(inputs)
    name = object_name(inputs["url"])
    found = tries.run(lambda: _asked(name, tries, lambda store: _meant(name, store, tries)))
    if not found:
        raise SourceError(f"there is no object like {name.address}", hint="check the name", status=404)
    return {"objects": sorted(found)}


def _meant(name: ObjectName, store: Any, tries: Tries) -> list[tuple[str, str, int]]:
    found: list[tuple[str, str, int]] = []
    size = 0
    for page in obstore.list(store, prefix=name.folder or None):
        tries.check_time()
        for meta in page:
            if meta["size"] > 0 and name.means(meta["path"]):
                address = ObjectName(name.scheme, name.bucket, meta["path"]).address
                found.append((address, _validator(meta), meta["size"]))
                size += len(address.encode())
        if len(found) > MOST_LISTED or size > _MOST_BYTES:
            raise SourceError(
                f"{name.address} means more than {min(len(found) - 1, MOST_LISTED)} objects, too many for one name",
                hint="name a folder below it, or more of the names",
            )
    return found


def fetch(inputs: dict[str, Any]) -> dict[str, Any]:
    """A step: the object ``inputs["url"]`` as a file in scratch, ``source`` with the suffix of its key.

    Further inputs, and what is returned and raised: as for :func:`narrowboat.sources.http.fetch`.
    """
    tries = Tries(inputs)
    name = object_name(inputs["url"])
    part = Part.load(context.scratch() / "source.part", name.address)
    filling = Filling(part, name.address, inputs.get("max_bytes"))
    with kept(part):
        tries.run(lambda: _asked(name, tries, lambda store: _once(name, store, tries, filling)), part.size)
        path = finished(part, PurePosixPath(name.key).suffix.lower(), name.address)
    return {"path": str(path), "bytes": path.stat().st_size, "validator": part.validator, "type": part.type}


def _once(name: ObjectName, store: Any, tries: Tries, filling: Filling) -> None:
    """One request, from where the part ends; returns when the object is complete."""
    part = filling.part
    done = part.size()
    if done and done == part.total:
        return  # all of it came before
    if done and part.validator and not part.validator.startswith("W/"):
        try:
            given = obstore.get(store, name.key, options={"range": {"offset": done}, "if_match": part.validator})
        except BaseError as error:
            if not isinstance(error, PreconditionError) and "non-partial" not in str(error):
                raise
            part.remove()
            raise Passing(f"{name.address} has changed, or can't be had in parts") from None
        if (given.range, given.meta["size"]) != ((done, part.total), part.total):
            part.remove()
            raise Passing(f"{name.address} sent another part than was asked for")
    else:
        given = obstore.get(store, name.key)
        part.start(given.meta["e_tag"], given.meta["size"], None)
    pieces = iter(given.stream(min_chunk_size=1))  # as they come: what it gathers is lost when the connection breaks

    def read(_: int) -> bytes:
        tries.check_time()
        return next(pieces, b"")

    filling.fill(read)


def _asked(name: ObjectName, tries: Tries, ask: Callable[[Any], _T]) -> _T:
    """What ``ask`` returns of the store of an object.

    Raises:
        SourceError: another try would not help. Passing: one may help.
    """
    tries.check_time()
    try:
        store = opened(
            name,
            connect_s=tries.client.connect_s,
            stall_s=tries.stall_s,
            within_s=tries.deadline - time.monotonic(),
        )
        return ask(store)
    except Exception as error:
        tries.check_time()
        raise explained(error, name) from None


def _validator(meta: Any) -> str:
    """What tells the content from another; lists of some stores have ETags without their quotes."""
    tag = (meta["e_tag"] or "").strip('"')
    return tag or str(meta["last_modified"])
