"""What the service can be asked: each operation is declared once, and checked and documented from that.

Covers: the declaration, and a request held against it.
Does not cover: the document (``openapi``), what operations do (the modules beside), who may ask (``door``).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from narrowboat.errors import MediaType, NotFound, TooLarge, TooSlow, UsageError
from narrowboat.service.schema import Schema, check, converted
from narrowboat.sizes import format_size
from narrowboat.values import Json

if TYPE_CHECKING:
    from narrowboat.service.service import Service

#: Bytes of a JSON body: five hundred sections with names, and a prompt, are a fifth of it.
MOST_JSON = 1 << 20
#: Seconds in which a JSON body has to come.
JSON_S = 30.0
JSON_TYPE = "application/json"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a path, a query or a header."""

    name: str
    schema: Schema
    about: str
    place: str = "query"

    @property
    def required(self) -> bool:
        """Whether there is no request without it."""
        return self.place == "path"


@dataclass(frozen=True, slots=True)
class Body:
    """What a request carries, by media type.

    Attributes:
        by: the property that tells which schema of an ``anyOf`` is meant, so that what is wrong is said of that one.
    """

    schemas: Mapping[str, Schema]
    by: str | None = None

    def check(self, value: Json) -> None:
        """See that a JSON body is as it has to be.

        Raises:
            UsageError: it is not.
        """
        schema = self.schemas[JSON_TYPE]
        if self.by is not None and isinstance(value, dict):
            schemas = schema["anyOf"]
            known = {one["properties"][self.by]["default"]: one for one in schemas}
            named = value.get(self.by, next(iter(known)))
            if not isinstance(named, str) or named not in known:
                raise UsageError(f"there is no {self.by} {str(named)[:60]!r}", hint="there are " + ", ".join(known))
            schema = known[named]
        check(value, schema)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer without an error: what it says, and its schema by media type; none for an empty one."""

    about: str
    schemas: Mapping[str, Schema] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


class Call:
    """A request that was held against its operation.

    Attributes:
        given: path and query parameters, converted.
    """

    def __init__(self, service: Service, request: Request, operation: Operation) -> None:
        self.service = service
        self.request = request
        self.operation = operation
        self.given = _parameters(operation, request)

    @property
    def media_type(self) -> str:
        """Of the body, without its parameters."""
        return self.request.headers.get("content-type", "").partition(";")[0].strip().lower()

    async def json(self) -> Json:
        """The body, read up to :data:`MOST_JSON` and checked.

        Raises:
            MediaType, TooLarge, TooSlow, UsageError: it is not what the operation takes.
        """
        if self.media_type != JSON_TYPE:
            raise MediaType(
                f"the body is {self.media_type or 'of no named type'}, and has to be {JSON_TYPE}",
                hint=f"say content-type: {JSON_TYPE}",
            )
        body = await self._body()
        try:
            value = json.loads(body, parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"the body is no JSON: {error}", where="the body") from None
        assert self.operation.body is not None
        self.operation.body.check(value)
        return value

    async def _body(self) -> bytes:
        body = bytearray()
        try:
            async with asyncio.timeout(JSON_S):
                async for part in self.request.stream():
                    body += part
                    if len(body) > MOST_JSON:
                        raise TooLarge(f"the body is larger than {format_size(MOST_JSON)}", limit_bytes=MOST_JSON)
        except TimeoutError:
            raise TooSlow(f"the body did not come in {JSON_S:.0f} s", limit_s=JSON_S) from None
        except ClientDisconnect:
            raise UsageError("the body was cut off") from None
        return bytes(body)


Handler = Callable[[Call], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that the service can be asked.

    Attributes:
        problems: statuses of the errors that it may end with, beside those that follow from the rest.
        open: asked without a key.
        strict: parameters that it does not know are refused.
        openai: errors are also said as OpenAI's clients read them.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    answers: Mapping[int, Answer]
    parameters: Sequence[Parameter] = ()
    body: Body | None = None
    problems: Sequence[int] = ()
    tag: str = "jobs"
    open: bool = False
    strict: bool = True
    openai: bool = False

    @property
    def statuses(self) -> list[int]:
        """Of all errors that it may end with."""
        found = set(self.problems)
        if self.parameters or self.body is not None or self.strict:
            found.add(400)
        if any(parameter.place == "path" for parameter in self.parameters):
            found.add(404)
        if self.body is not None:
            found |= {400, 408, 413, 415}
        if not self.open:
            found |= {401, 403}
        return sorted(found | {503})


def _parameters(operation: Operation, request: Request) -> dict[str, Json]:
    query = request.query_params
    known = {parameter.name: parameter for parameter in operation.parameters if parameter.place == "query"}
    if operation.strict:
        for name in query:
            if name not in known:
                hint = f"known are {', '.join(known)}" if known else "it takes none"
                raise UsageError(f"there is no parameter {name[:60]!r} here", hint=hint)
    found: dict[str, Json] = dict(request.path_params)
    for parameter in operation.parameters:
        if parameter.place == "path":
            _check_path(found[parameter.name], parameter)
    for name, parameter in known.items():
        given = query.getlist(name)
        if len(given) > 1 and operation.strict:
            raise UsageError(f"the parameter {name!r} comes {len(given)} times")
        if given:
            found[name] = converted(given[-1], parameter.schema, name)
        elif "default" in parameter.schema:
            found[name] = parameter.schema["default"]
    return found


def _check_path(value: str, parameter: Parameter) -> None:
    try:
        check(value, parameter.schema, parameter.name)
    except UsageError as error:
        raise NotFound(f"there is nothing of that address: {error.message}") from None


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")
