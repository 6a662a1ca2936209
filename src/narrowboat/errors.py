"""The error tree, and the one table from an error to an exit code and an HTTP status.

Covers: what went wrong, as a message for a person, facts for a machine, and a hint on what to do next.
Does not cover: deciding what to do about it (``runner/``) or printing it (``cli/``).

Every error that may reach a user is a :class:`NarrowboatError`. Errors cross process borders and live in the
journal as the JSON of :meth:`NarrowboatError.to_json`; :func:`from_json` makes the same class again.
"""

from __future__ import annotations

from typing import Any, ClassVar

from narrowboat.shown import safe_json, safe_text


class NarrowboatError(Exception):
    """Base of all errors.

    Args:
        message: one sentence with the numbers in it; no trailing full stop needed, no traceback.
        hint: what the user can do next; optional.
        facts: JSON values that a program may want (sizes in bytes, times in seconds).

    Addresses in all of them lose their secrets here, whoever wrote them.
    """

    code: ClassVar[str] = "error"
    retryable: ClassVar[bool] = False  # worth another try without anything being changed

    def __init__(self, message: str, *, hint: str | None = None, **facts: Any) -> None:
        self.message = safe_text(message)
        super().__init__(self.message)
        self.hint = None if hint is None else safe_text(hint)
        self.facts = {name: safe_json(value) for name, value in facts.items()}

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message

    def __reduce__(self) -> tuple[Any, ...]:
        return from_json, (self.to_json(),)

    def to_json(self) -> dict[str, Any]:
        """The error as JSON: ``code``, ``message``, ``hint``, ``facts``."""
        return {"code": self.code, "message": self.message, "hint": self.hint, "facts": self.facts}


class UsageError(NarrowboatError):
    """The caller asked for something that makes no sense: a bad option, size, model name or folder."""

    code = "usage"


class CannotFit(NarrowboatError):
    """A declared demand is larger than the whole budget. Facts: ``demand_bytes``, ``budget_bytes``."""

    code = "cannot_fit"


class HomeHeld(NarrowboatError):
    """Another supervisor holds the home. Facts: ``home``, ``pid``."""

    code = "home_held"


class NotFound(NarrowboatError):
    """No such job."""

    code = "not_found"


class SourceError(NarrowboatError):
    """The source can't be worked on, and another try would not help: missing, empty, not media, 404."""

    code = "source"


class AddressRefused(SourceError):
    """The address guard is on, and an address leads to somewhere that is not the public internet. Facts: ``host``."""

    code = "address_refused"


class SourceRests(NarrowboatError):
    """A source has failed before, for good or again and again, and is left alone for a time.

    Facts: ``failures`` (in a row), ``until`` (seconds since the epoch), ``last_code`` (of the last error).
    """

    code = "source_rests"


class FetchError(NarrowboatError):
    """A source could not be fetched this time: refused, cut, stalled, 5xx."""

    code = "fetch"
    retryable = True


class TooLarge(NarrowboatError):
    """A source is larger than ``--max-download``. Facts: ``limit_bytes``."""

    code = "too_large"


class DiskFull(NarrowboatError):
    """No space left where scratch, outputs or packs go. Facts: ``path``, ``free_bytes``."""

    code = "disk_full"


class OutputError(NarrowboatError):
    """An output can't be written. Facts: ``path``."""

    code = "output"


class PackError(NarrowboatError):
    """A model or sample pack can't be had, or is not what its checksum says."""

    code = "pack"


class StepFailed(NarrowboatError):
    """A step's own code raised. Facts: ``step``, ``type``, ``traceback`` (its end)."""

    code = "step_failed"


class EngineError(NarrowboatError):
    """A remote engine will not do it, and another try would not help: a bad key, no such model, a blocked answer."""

    code = "engine"


class RemoteError(NarrowboatError):
    """A remote engine did not answer this time: 429, 5xx, no connection, an answer that is cut or makes no sense.

    Facts: ``status`` (of HTTP, when there was one), ``wait_s`` (seconds that the server asked for, or None), ``quota``
    (true when it was the rate or the quota of the key).
    """

    code = "remote"
    retryable = True


class PartlyDone(NarrowboatError):
    """Some parts of a job failed, and its outputs have the others; the job run again does those that failed.

    Facts: ``failed`` (a list of ``name``, ``code``, ``message``; the first hundred), ``count`` of them, ``outputs``.
    """

    code = "partly_done"
    retryable = True


class Overrun(NarrowboatError):
    """A step used more than its reservation. Facts: ``reserved_bytes``, ``peak_bytes``, ``budget_bytes``."""

    code = "overrun"
    retryable = True


class WorkerDied(NarrowboatError):
    """A worker ended without a result. Facts: ``exit_code`` or ``signal``, ``stderr`` (its end)."""

    code = "worker_died"
    retryable = True


class TimeLimit(NarrowboatError):
    """A step took longer than it may. Facts: ``time_limit_s``."""

    code = "time_limit"
    retryable = True


class LeaseLost(NarrowboatError):
    """A write came with an old fencing token: somebody else owns the job now."""

    code = "lease_lost"


class Cancelled(NarrowboatError):
    """The job was cancelled."""

    code = "cancelled"


class Interrupted(NarrowboatError):
    """The run was interrupted; committed work is kept."""

    code = "interrupted"
    retryable = True


class Unauthorised(NarrowboatError):
    """The service wants a key, and none or a wrong one came."""

    code = "unauthorised"


class Forbidden(NarrowboatError):
    """The service does not take this request from there: another site's page, or a name that is not the service's."""

    code = "forbidden"


class Conflict(NarrowboatError):
    """What is asked for does not go together with what is there: a job that has ended, a key of an earlier request."""

    code = "conflict"


class NotAllowed(NarrowboatError):
    """An address of the service does not know this method."""

    code = "not_allowed"


class MediaType(NarrowboatError):
    """A body comes in a form that is not taken there."""

    code = "media_type"


class BadRange(NarrowboatError):
    """A part of a file is asked for that it does not have. Facts: ``size_bytes``."""

    code = "bad_range"


class QueueFull(NarrowboatError):
    """As much waits as may wait. Facts: ``retry_after_s``, when a place is expected to be free."""

    code = "queue_full"
    retryable = True


class TooSlow(NarrowboatError):
    """A body did not come in the time that it may take. Facts: ``limit_s``."""

    code = "too_slow"
    retryable = True


class JournalError(NarrowboatError):
    """The journal can't be read or written: corrupt, or of a newer version."""

    code = "journal"


#: code -> (exit code of the command line, HTTP status of the service). Total over the tree; tested.
STATUS: dict[str, tuple[int, int]] = {
    "error": (1, 500),
    "usage": (2, 400),
    "cannot_fit": (3, 422),
    "home_held": (2, 409),
    "not_found": (2, 404),
    "source": (1, 422),
    "address_refused": (1, 403),
    "source_rests": (1, 422),
    "fetch": (1, 502),
    "too_large": (1, 413),
    "disk_full": (1, 507),
    "output": (1, 500),
    "pack": (1, 502),
    "step_failed": (1, 500),
    "engine": (1, 502),
    "remote": (1, 502),
    "partly_done": (1, 502),
    "overrun": (1, 500),
    "worker_died": (1, 500),
    "time_limit": (1, 504),
    "lease_lost": (1, 409),
    "cancelled": (1, 409),
    "interrupted": (130, 503),
    "unauthorised": (2, 401),
    "forbidden": (2, 403),
    "conflict": (2, 409),
    "not_allowed": (2, 405),
    "media_type": (2, 415),
    "bad_range": (2, 416),
    "queue_full": (1, 429),
    "too_slow": (1, 408),
    "journal": (1, 500),
}


def all_errors(root: type[NarrowboatError] = NarrowboatError) -> list[type[NarrowboatError]]:
    """Every class of the tree, ``root`` first."""
    return [root, *(found for sub in root.__subclasses__() for found in all_errors(sub))]


def from_json(data: dict[str, Any]) -> NarrowboatError:
    """The error that :meth:`NarrowboatError.to_json` described; an unknown code gives the base class."""
    kind = next((cls for cls in all_errors() if cls.code == data.get("code")), NarrowboatError)
    return kind(data["message"], hint=data.get("hint"), **(data.get("facts") or {}))


def exit_code(error: BaseException) -> int:
    """The exit code of the command line for ``error``."""
    return STATUS[error.code][0] if isinstance(error, NarrowboatError) else 1
