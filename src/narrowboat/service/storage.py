"""Where files of an outside storage are: an id and a template make an address.

Covers: ``NARROWBOAT_STORAGE_URL``, such as ``https://x.example/object/public/files/{id}``; ids that are addresses.
Does not cover: fetching (a worker does, through the address guard).
"""

from __future__ import annotations

from urllib.parse import quote

from narrowboat.errors import UsageError

_HINT = "set NARROWBOAT_STORAGE_URL to an address with {id} in it, or give an http(s) address as the id"


def address_of(file_id: str, template: str | None) -> str:
    """The address of a file.

    Raises:
        UsageError: there is no template; the id leaves its place in it.
    """
    if file_id.startswith(("https://", "http://")):
        return file_id
    if template is None:
        raise UsageError(f"{file_id[:60]!r} is the id of a storage that is not known", hint=_HINT)
    if any(part in ("", ".", "..") for part in file_id.split("/")) or not file_id.isprintable():
        raise UsageError(f"{file_id[:60]!r} is no id of a file", hint="write it as the storage does")
    return template.replace("{id}", quote(file_id, safe="/"))


def checked(template: str) -> str:
    """A template that makes addresses.

    Raises:
        UsageError: it does not.
    """
    if "{id}" not in template or not template.startswith(("https://", "http://")):
        raise UsageError(f"{template[:60]!r} makes no address of an id", hint=_HINT)
    return template
