"""From an address to its operation.

Covers: finding it, methods that it does not know, holding the request against it.
Does not cover: who may ask (``door``), what is answered (the modules of the operations).
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import compile_path

from narrowboat.errors import NotAllowed, NotFound
from narrowboat.service.operations import Call, Operation
from narrowboat.service.service import Service


class Routes:
    """The operations by their addresses."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        self._found: dict[str, tuple[re.Pattern[str], dict[str, Operation]]] = {}
        for operation in operations:
            pattern = compile_path(operation.path)[0]
            self._found.setdefault(operation.path, (pattern, {}))[1][operation.method] = operation

    def find(self, scope: MutableMapping[str, Any]) -> Operation:
        """The operation that is asked for; what its path says goes to ``path_params``.

        Raises:
            NotFound: there is nothing of that address. NotAllowed: it does not know that method.
        """
        for pattern, methods in self._found.values():
            match = pattern.match(scope["path"])
            if match is None:
                continue
            scope["path_params"] = match.groupdict()
            operation = methods.get(scope["method"])
            if operation is None:
                allow = ", ".join(sorted(methods))
                raise NotAllowed(f"{scope['method'][:20]} is not known here", hint=f"use {allow}", allow=allow)
            return operation
        raise NotFound(f"there is nothing at {scope['path'][:100]!r}", hint="GET /openapi.json lists what there is")

    async def answer(
        self,
        service: Service,
        operation: Operation,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
    ) -> Response:
        """What the operation answers to the request."""
        return await operation.handler(Call(service, Request(scope, receive), operation))
