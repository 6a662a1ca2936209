"""Names of objects in stores: ``s3://bucket/key``, ``gs://bucket/key``, ``az://container/path``.

Covers: what such a name means, names that mean many. Light: the supervisor imports it.
Does not cover: reading objects (``objects``), credentials (``object_settings``).

A key is taken as it is written, as the clouds' own commands do it: a question mark or a per cent sign in it means
itself. A star stands for any part of a name between slashes.
"""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass

from narrowboat.errors import UsageError

#: Scheme -> what people call the place.
STORES = {"s3": "bucket", "gs": "bucket", "az": "container"}
_NAME = re.compile(r"(s3|gs|az)://(.*)", re.IGNORECASE | re.DOTALL)
#: It goes into the name of a host, so it must not be able to end one.
_BUCKET = re.compile(r"[A-Za-z0-9$][A-Za-z0-9._-]{1,221}")
_MOST_KEY = 1024  # bytes, of the stores themselves
_STAR = "*"


@dataclass(frozen=True, slots=True)
class ObjectName:
    """One object, or many.

    Attributes:
        scheme: of ``STORES``.
        bucket: or container.
        key: empty for the whole bucket; with a slash at its end a folder, with stars a pattern.
    """

    scheme: str
    bucket: str
    key: str

    @property
    def address(self) -> str:
        """As it is written."""
        return f"{self.scheme}://{self.bucket}/{self.key}"

    @property
    def is_many(self) -> bool:
        """Whether it means all objects that are in a folder, or fit a pattern."""
        return not self.key or self.key.endswith("/") or _STAR in self.key

    @property
    def folder(self) -> str:
        """The folder that all that it means are in; empty for the whole bucket."""
        return self.key.partition(_STAR)[0].rpartition("/")[0]

    def means(self, key: str) -> bool:
        """Whether the object ``key`` of the same bucket is meant; what stands for a folder itself is none."""
        if not key or key.endswith("/"):
            return False
        if _STAR not in self.key:
            return key.startswith(self.key)
        pattern, parts = self.key.split("/"), key.split("/")
        return len(parts) == len(pattern) and all(map(_fits, parts, pattern))


def _fits(part: str, pattern: str) -> bool:
    literal = re.sub(r"([?\[])", r"[\1]", pattern)  # only the star stands for others
    return fnmatch.fnmatchcase(part, literal)


def is_object(text: str) -> bool:
    """Whether ``text`` is written as a name of an object."""
    return _NAME.match(text.strip()) is not None


def object_name(text: str) -> ObjectName:
    """The object, or the objects, that ``text`` names.

    Raises:
        UsageError: it is written wrongly.
    """
    match = _NAME.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"{text} names no object", hint="write it as s3://bucket/key")
    scheme = match[1].lower()
    bucket, _, key = match[2].partition("/")
    if not _BUCKET.fullmatch(bucket):
        raise UsageError(f"{scheme}://{bucket} names no {STORES[scheme]}", hint=f"write it as {scheme}://name/key")
    if not key.isprintable() or len(key.encode("utf-8", "replace")) > _MOST_KEY or key.startswith("/") or "//" in key:
        raise UsageError(
            f"{scheme}://{bucket} has no object of such a key: it is longer than {_MOST_KEY} bytes, has an empty part,"
            " or what can't be printed",
            hint=f"write it as {scheme}://{bucket}/key",
        )
    return ObjectName(scheme, bucket, key)
