"""Whether an answer follows a JSON Schema. Loads in workers only.

Covers: reading the answer as JSON, and one sentence on what is wrong with it.
Does not cover: reading the schema (``section_files``), asking again (``asking``).
"""

from __future__ import annotations

import json
from itertools import islice
from typing import Any

from narrowboat.errors import UsageError
from narrowboat.values import Json

_TOLD = 5  # complaints that an engine is told
_MOST = 200  # characters of one


def complaint(text: str, schema: dict[str, Any]) -> tuple[Json, str | None]:
    """What an answer means as JSON, and why it does not follow the schema; None when it does.

    Raises:
        UsageError: the schema leads to another one that is not in it.
    """
    import jsonschema  # 20 MiB, where answers follow a schema only
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None, "it is no JSON"
    kind = jsonschema.validators.validator_for(schema)
    checker = kind(schema, registry=Registry())  # one that is empty: nothing is fetched
    try:
        wrong = [_told(error) for error in islice(checker.iter_errors(value), _TOLD)]
    except Unresolvable as error:
        raise UsageError(f"the schema refers to what is not in it: {error}"[:300]) from None
    return value, "; ".join(wrong) or None


def _told(error: Any) -> str:
    where = "/".join(str(part) for part in error.absolute_path)
    message = " ".join(str(error.message).split())[:_MOST]
    return f"at {where}: {message}" if where else message
