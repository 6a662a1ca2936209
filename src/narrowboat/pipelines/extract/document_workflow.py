"""What all work on a PDF begins with: what it is, and which sections it has. Runs in the supervisor.

Covers: the order of these steps, what they reserve, how options say which sections are meant.
Does not cover: what the steps do (``finding``, ``media/``), what is made of the sections (``workflow``, …).

Options of a job: ``sections`` (``{"by", "each", "level", "text"}``, see ``finding.find``), ``password_file`` (a path or
None; the password itself is never kept), ``max_download`` (bytes or None).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from narrowboat.errors import UsageError
from narrowboat.runner.job import Job
from narrowboat.runner.steps import Step, digest
from narrowboat.sizes import MIB
from narrowboat.values import Demand, Facts, Json

#: Bytes of a worker that has a PDF open, and for each object in it: to look into it, and to write parts of it, which
#: looks at all of them. Measured beside the 25 MiB that a worker shares with the fork server at first: 2 and 3 MiB with
#: 1,200 objects, 32 and 64 with 30,000 (10,000 pages, 2 GB), 79 and 343 with 130,000.
_OPEN, _READ, _WRITTEN = 32 * MIB, 1000, 2800
#: Bytes that drawing a page takes beside: a worker that draws scans of 300 dpi has 66 MiB in all.
_DRAWN = 64 * MIB
#: The least that all this asks for. These steps run once for a document; a process that stayed would keep its objects.
COUNT = Step("narrowboat.media.pdf_survey:count_objects", memory="32M", name="count", fresh=True)

_EACH = re.compile(r"pages:(\d{1,6})")
_WAYS = ("outline", "headings", "labels")
#: Bytes of a section file, a schema or a prompt.
MOST_TEXT = 1 * MIB


def reading_demand(facts: Facts) -> Demand:
    """What a step asks for that has the document open, from how many ``objects`` it has."""
    return Demand(bytes=_OPEN + _READ * int(facts.get("objects") or 0), cores=1)


def drawing_demand(facts: Facts) -> Demand:
    """What a step asks for that draws pages too."""
    return Demand(bytes=reading_demand(facts).bytes + _DRAWN, cores=1)


def cutting_demand(facts: Facts) -> Demand:
    """What a step asks for that writes parts of the document."""
    return Demand(bytes=_OPEN + _WRITTEN * int(facts.get("objects") or 0), cores=1)


SURVEY = Step("narrowboat.media.pdf_survey:survey", demand=reading_demand, name="survey", fresh=True)
FIND = Step("narrowboat.pipelines.extract.finding:find", demand=reading_demand, name="find", fresh=True)
#: Modules of the steps that the fork server imports.
PRELOAD = ("narrowboat.media.pdf_survey", "narrowboat.pipelines.extract.finding")


@dataclass(frozen=True, slots=True)
class Document:
    """A PDF that was looked into.

    Attributes:
        facts: of ``media/pdf_survey.survey``.
        size: ``bytes`` and ``objects``, what demands are computed from.
        by: which way sections were found.
        sections: of ``finding.find``.
        notes: texts for people.
    """

    facts: dict[str, Json]
    size: dict[str, Json]
    by: str
    sections: list[dict[str, Any]]
    notes: list[str]


async def looked_into(job: Job) -> Document:
    """The document of a job and its sections; the source is fetched only when that is not known yet."""
    asked = digest(job.options["sections"])
    found = await job.result(FIND)
    if found is None or found["asked"] != asked:
        at = await opening(job)
        size, _ = await surveyed(job, at)
        found = await job.run(FIND, {**job.options["sections"], "asked": asked}, size, at=at)
    facts, size = await job.result(SURVEY), await job.result(COUNT)
    return Document(facts, size, found["by"], found["sections"], [*facts["warnings"], *found["notes"]])


async def surveyed(job: Job, at: dict[str, Json]) -> tuple[dict[str, Json], dict[str, Json]]:
    """The size of a document that can be opened ``at``, and its facts, as :class:`Document` has them."""
    size = await job.run(COUNT, {}, at=at)
    return size, await job.run(SURVEY, {}, size, at=at)


async def opening(job: Job) -> dict[str, Json]:
    """What a step needs to open the source."""
    return {"path": await job.fetch(), "name": job.name, "password_file": job.options["password_file"]}


def sections_option(text: str, *, level: int | None = None) -> dict[str, Json]:
    """The option ``sections`` from that of the command line: ``auto``, ``outline``, ``headings``, ``labels``,
    ``pages:10``, or the path of a section file, which is read here and understood in a worker.

    Raises:
        UsageError: it is neither.
    """
    made: dict[str, Json] = {"by": text, "each": None, "level": level, "text": None}
    if text in ("auto", *_WAYS):
        return made
    each = _EACH.fullmatch(text)
    if each:
        if int(each[1]) == 0:
            raise UsageError("--sections: pages:0 takes no pages", hint="write it as pages:10")
        return {**made, "by": "pages", "each": int(each[1])}
    path = Path(text).expanduser()
    if not path.is_file() and "/" not in text and not path.suffix:
        raise UsageError(
            f"--sections: {text!r} is no file and no way to find sections",
            hint=f"give a file, pages:10, or one of auto, {', '.join(_WAYS)}",
        )
    return {**made, "by": "file", "text": read_text(path, "--sections")}


def read_text(path: Path, option: str) -> str:
    """A small text file.

    Raises:
        UsageError: it can't be read, or is too large.
    """
    try:
        with path.open("rb") as file:
            found = file.read(MOST_TEXT + 1)
    except OSError as error:
        raise UsageError(f"{option}: {path} can't be read: {error.strerror or error}") from None
    if len(found) > MOST_TEXT:
        raise UsageError(f"{option}: {path} is larger than 1 MiB")
    return found.decode("utf-8-sig", "replace")
