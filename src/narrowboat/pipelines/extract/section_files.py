"""Files that say which sections a document has, and schemas: as JSON, from outside. Loads in workers only.

Covers: reading both with errors that say what is wrong, the step :func:`check` that does so before anything starts.
Does not cover: what a range means (``ranges``), answers that follow a schema (``answers``).

A section file is a list of sections, or an object with one as ``sections``, as ``narrowboat outline`` writes it:
``[{"name": "Introduction", "pages": "1-12"}, …]``. ``section_name`` and ``page_range`` mean the same.
"""

from __future__ import annotations

import json
from typing import Any

from narrowboat.errors import UsageError
from narrowboat.values import Json

#: Sections of one document. Each is named in frames and in the journal.
MOST_SECTIONS = 2000
_MOST_NAME, _MOST_PAGES = 300, 300  # characters


def check(inputs: dict[str, Json]) -> dict[str, Json]:
    """A step. Inputs: ``sections``, ``schema``: the texts of the files, or None. Returns ``sections``: how many.

    Raises:
        UsageError: one is not what it should be.
    """
    count = len(read_sections(inputs["sections"])) if inputs["sections"] is not None else None
    if inputs["schema"] is not None:
        read_schema(inputs["schema"])
    return {"sections": count}


def read_sections(text: str) -> list[dict[str, str]]:
    """The sections in a file, in order: ``name`` and ``pages``.

    Raises:
        UsageError: it is no JSON, or no list of sections; says which one is wrong.
    """
    found = _json(text, "the section file")
    listed = found.get("sections") if isinstance(found, dict) else found
    if not isinstance(listed, list) or not listed:
        raise _no_sections("it holds no list of sections")
    if len(listed) > MOST_SECTIONS:
        raise _no_sections(f"it has {len(listed)} sections, and {MOST_SECTIONS} are taken")
    return [_section(place, given) for place, given in enumerate(listed, 1)]


def read_schema(text: str) -> dict[str, Any]:
    """A JSON Schema.

    Raises:
        UsageError: it is none.
    """
    import jsonschema  # 20 MiB, where answers follow a schema only

    found = _json(text, "the schema")
    if not isinstance(found, dict):
        raise UsageError("the schema is no JSON Schema: it is no object")
    try:
        jsonschema.validators.validator_for(found).check_schema(found)
    except jsonschema.SchemaError as error:
        raise UsageError(f"the schema is no JSON Schema: {error.message[:300]}") from None
    return found


def _section(place: int, given: Any) -> dict[str, str]:
    if not isinstance(given, dict):
        raise _no_sections(f"section {place} is no object")
    pages = given.get("pages", given.get("page_range"))
    if isinstance(pages, int) and not isinstance(pages, bool):
        pages = str(pages)
    if not isinstance(pages, str) or not pages.strip():
        raise _no_sections(f'section {place} has no "pages"')
    name = given.get("name", given.get("section_name"))
    name = " ".join(str(name).split()) if name is not None else ""
    return {"name": name[:_MOST_NAME] or f"pages {pages.strip()}"[:_MOST_NAME], "pages": pages.strip()[:_MOST_PAGES]}


def _json(text: str, what: str) -> Any:
    try:
        found = json.loads(text)
        json.dumps(found, allow_nan=False)
    except RecursionError:
        raise UsageError(f"{what} is nested too deeply") from None
    except ValueError as error:
        raise UsageError(f"{what} is no JSON: {error}"[:300]) from None
    return found


def _no_sections(why: str) -> UsageError:
    return UsageError(
        f"the section file can't be used: {why}",
        hint='write it as [{"name": "Introduction", "pages": "1-12"}, …], or have `narrowboat outline` write one',
    )
