"""What an object store's errors mean, in one sentence each.

Covers: obstore's errors as ours, and which may pass. Loads in workers only.
Does not cover: trying again (``tries``).

A store's error has the whole request and answer in it, and these have keys and signatures. Of its text only the status,
the store's own code for the error and the name of a region are read, and nothing else of it is ever shown.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError

from narrowboat.errors import NarrowboatError, SourceError
from narrowboat.sources.client import WORTH_ANOTHER_TRY, Passing
from narrowboat.sources.object_names import STORES, ObjectName

_STATUS = re.compile(r"status code: ([1-5][0-9]{2})\b")
_CODE = re.compile(r"<Code>([A-Za-z]{1,60})</Code>")
_REGION = re.compile(r"<Region>([a-z0-9-]{1,30})</Region>")
#: Where machines of a cloud ask who they are: whoever is sent there has no credentials of his own.
_WHO_AM_I = re.compile(
    r"/latest/(api|meta-data)/|http://169\.254\.|http://metadata\.google\.internal/|computeMetadata|identity/oauth2/token"
)
_CREDENTIALS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile in ~/.aws; for a public bucket"
    " AWS_SKIP_SIGNATURE=true",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS, or `gcloud auth application-default login`; for a public bucket"
    " GOOGLE_SKIP_SIGNATURE=true",
    "az": "AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_ACCOUNT and AZURE_STORAGE_KEY; for a public container"
    " AZURE_SKIP_SIGNATURE=true",
}
_WRONG_KEYS = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "AuthenticationFailed"}
_NO_BUCKET = {"NoSuchBucket", "ContainerNotFound"}
_OTHER_REGION = {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}


@dataclass(frozen=True, slots=True)
class _Said:
    """What is read of an error."""

    error: Exception
    text: str
    name: ObjectName
    status: int | None
    code: str

    def final(self, why: str, hint: str, status: int | None = None) -> SourceError:
        """Another try would not help."""
        facts = {"status": status or self.status} if status or self.status else {}
        return SourceError(f"{self.name.address} can't be read: {why}", hint=hint, **facts)


def explained(error: Exception, name: ObjectName) -> Exception:
    """``error`` as SourceError, or as Passing when another try may help; as it is when it is no error of a store."""
    ours = isinstance(error, NarrowboatError | Passing)
    if ours or not isinstance(error, BaseError | FileNotFoundError | ValueError):
        return error
    text = str(error)
    status, code = _STATUS.search(text), _CODE.search(text)
    said = _Said(error, text, name, int(status[1]) if status else None, code[1] if code else "")
    return next(found for rule in _RULES if (found := rule(said)) is not None)


def _no_credentials(said: _Said) -> Exception | None:
    hint = f"set {_CREDENTIALS[said.name.scheme]}"
    if _WHO_AM_I.search(said.text):
        return said.final("there are no credentials for it", hint)
    return said.final("no storage account is named", hint) if "Account must be specified" in said.text else None


def _other_region(said: _Said) -> Exception | None:
    if "without LOCATION" not in said.text and said.code not in _OTHER_REGION:
        return None
    found = _REGION.search(said.text)
    where = f"in {found[1]}" if found else "in another region than is asked"
    return said.final(f"its bucket is {where}", f"set AWS_REGION{'=' + found[1] if found else ''}")


def _not_there(said: _Said) -> Exception | None:
    if not isinstance(said.error, FileNotFoundError):
        return None
    place = f"{STORES[said.name.scheme]} {said.name.bucket}"
    if said.code in _NO_BUCKET:
        why = f"there is no {place}"
    else:
        why = "there is no such object" + (f" in the {place}" if said.code else f", or no {place}")
    return said.final(why, "check the name", 404)


def _no_access(said: _Said) -> Exception | None:
    if not isinstance(said.error, PermissionDeniedError | UnauthenticatedError):
        return None
    code = f" ({said.code})" if said.code else ""
    if said.code in _WRONG_KEYS or isinstance(said.error, UnauthenticatedError):
        return said.final(f"the credentials are not accepted{code}", f"check {_CREDENTIALS[said.name.scheme]}", 401)
    return said.final(f"these credentials may not read it{code}", "ask for leave to read and to list it", 403)


def _by_status(said: _Said) -> Exception | None:
    if said.status is None:
        return None
    words = f"its store answered {said.status} {said.code}".rstrip()
    if said.status in WORTH_ANOTHER_TRY:
        return Passing(f"{said.name.address} can't be read now: {words}", status=said.status)
    return said.final(words, "check the name, and the variables of the store")


def _below_http(said: _Said) -> Exception | None:
    if isinstance(said.error, ValueError):
        return said.final("the settings of its store make no sense", "check the variables of the store")
    if "response body" in said.text:
        return Passing(f"{said.name.address} was cut, or stalled")
    if "sending request" in said.text:
        return Passing(f"{said.name.address} can't be reached: its store does not answer")
    return Passing(f"{said.name.address} can't be read now: what its store answers makes no sense")


_RULES: tuple[Callable[[_Said], Exception | None], ...] = (
    _no_credentials,
    _other_region,
    _not_there,
    _no_access,
    _by_status,
    _below_http,
)
