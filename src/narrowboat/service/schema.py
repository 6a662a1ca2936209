"""JSON held against a schema: the part of JSON Schema that the service's own document uses.

Covers: what is checked and what is shown to others are one and the same, so that the document is true.
Does not cover: schemas of users (``pipelines/extract``), which may use all of JSON Schema and are read in a worker.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from narrowboat.errors import UsageError
from narrowboat.values import Json

Schema: TypeAlias = Mapping[str, Any]

_KINDS: dict[str, Callable[[Json], bool]] = {
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
}


def check(value: Json, schema: Schema, where: str = "the body") -> None:
    """See that ``value`` is as the schema says.

    Raises:
        UsageError: it is not; says where, and what was wanted. Fact ``where``.
    """
    if "anyOf" in schema:
        _check_any(value, schema["anyOf"], where)
        return
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(_KINDS[kind](value) for kind in kinds):
        raise _refused(where, f"has to be {_or(kinds)}", value)
    if "enum" in schema and value not in schema["enum"]:
        raise _refused(where, f"has to be {_or([str(one) for one in schema['enum']])}", value)
    if isinstance(value, str):
        _check_text(value, schema, where)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        _check_number(value, schema, where)
    elif isinstance(value, list):
        _check_list(value, schema, where)
    elif isinstance(value, dict):
        _check_object(value, schema, where)


def _check_any(value: Json, schemas: list[Schema], where: str) -> None:
    problems = []
    for schema in schemas:
        try:
            check(value, schema, where)
            return
        except UsageError as error:
            problems.append(error)
    raise problems[0]


def _check_text(value: str, schema: Schema, where: str) -> None:
    if len(value) < schema.get("minLength", 0):
        raise _refused(where, "can't be empty" if not value else f"needs {schema['minLength']} characters", value)
    if len(value) > schema.get("maxLength", math.inf):
        raise _refused(where, f"may have {schema['maxLength']} characters, and has {len(value)}")
    if "pattern" in schema and not re.search(schema["pattern"], value):
        raise _refused(where, f"has to look like {schema['pattern']}", value)


def _check_number(value: float, schema: Schema, where: str) -> None:
    low, high = schema.get("minimum", -math.inf), schema.get("maximum", math.inf)
    if not low <= value <= high:
        raise _refused(where, f"has to be from {low} to {high}", value)


def _check_list(value: list[Json], schema: Schema, where: str) -> None:
    low, high = schema.get("minItems", 0), schema.get("maxItems", math.inf)
    if not low <= len(value) <= high:
        raise _refused(where, f"has {len(value)} entries, and has to have {low} to {high}")
    for number, one in enumerate(value):
        check(one, schema.get("items", {}), f"{where}[{number}]")


def _check_object(value: dict[str, Json], schema: Schema, where: str) -> None:
    known = schema.get("properties", {})
    missing = [name for name in schema.get("required", ()) if name not in value]
    if missing:
        raise UsageError(f"{where} has no {missing[0]!r}", hint=_names(known), where=where)
    others = schema.get("additionalProperties", True)
    for name, one in value.items():
        if name in known:
            check(one, known[name], f"{where}.{name}" if where != "the body" else name)
        elif others is False:
            raise UsageError(f"{where} knows no {name[:60]!r}", hint=_names(known), where=where)
        elif isinstance(others, Mapping):
            check(one, others, f"{where}.{name[:60]}")


def _names(known: Mapping[str, Any]) -> str | None:
    return "known are " + ", ".join(known) if known else None


def _or(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _refused(where: str, wanted: str, value: Json = None) -> UsageError:
    given = f", not {str(value)[:60]!r}" if isinstance(value, str | int | float) else ""
    return UsageError(f"{where} {wanted}{given}", where=where)


def converted(text: str, schema: Schema, where: str) -> Json:
    """A value of a query or a form as the schema wants it: text stays, numbers, truth and lists are read.

    Raises:
        UsageError: it is not as the schema says.
    """
    kind = schema.get("type", "string")
    value: Json = text
    if kind == "integer" and re.fullmatch(r"-?[0-9]{1,15}", text):
        value = int(text)
    elif kind == "number" and re.fullmatch(r"-?[0-9]{1,15}(\.[0-9]{1,15})?", text):
        value = float(text)
    elif kind == "boolean" and text.lower() in ("true", "1", "yes", "on", "false", "0", "no", "off"):
        value = text.lower() in ("true", "1", "yes", "on")
    elif kind == "array":
        value = [part.strip() for part in text.split(",") if part.strip()]
    check(value, schema, where)
    return value
