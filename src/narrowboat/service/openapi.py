"""The OpenAPI document, made from the operations.

Covers: paths, parameters, bodies, answers and problems, as they are checked.
Does not cover: what they do.
"""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

from narrowboat.service import problems
from narrowboat.service.operations import Answer, Operation, Parameter

_PROBLEM = {"$ref": "#/components/schemas/Problem"}


def document(operations: Iterable[Operation], schemas: dict[str, Any], *, unlocked: bool) -> dict[str, Any]:
    """The document, version 3.1.

    Args:
        schemas: named ones, which answers refer to.
        unlocked: nobody needs a key.
    """
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    found = {
        "openapi": "3.1.0",
        "info": {
            "title": "Narrowboat",
            "version": version("narrowboat"),
            "description": "Heavy media jobs in a fixed amount of memory.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": {"Problem": problems.SCHEMA, **schemas},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }
    return found if unlocked else {**found, "security": [{"key": []}]}


def _operation(operation: Operation) -> dict[str, Any]:
    found: dict[str, Any] = {
        "summary": operation.summary,
        "operationId": _name(operation),
        "tags": [operation.tag],
        "responses": {
            **{str(status): _answer(answer) for status, answer in operation.answers.items()},
            **{str(status): _problem(status) for status in operation.statuses},
        },
    }
    if operation.parameters:
        found["parameters"] = [_parameter(parameter) for parameter in operation.parameters]
    if operation.body is not None:
        content = {media_type: {"schema": schema} for media_type, schema in operation.body.schemas.items()}
        found["requestBody"] = {"required": True, "content": content}
    if operation.open:
        found["security"] = []
    return found


def _name(operation: Operation) -> str:
    words = operation.path.replace("{", "").replace("}", "").replace("-", "_").strip("/").replace("/", "_")
    return f"{operation.method.lower()}_{words or 'page'}"


def _parameter(parameter: Parameter) -> dict[str, Any]:
    found = {
        "name": parameter.name,
        "in": parameter.place,
        "required": parameter.required,
        "description": parameter.about,
        "schema": parameter.schema,
    }
    if parameter.schema.get("type") == "array":
        found |= {"style": "form", "explode": False}
    return found


def _answer(answer: Answer) -> dict[str, Any]:
    found: dict[str, Any] = {"description": answer.about}
    if answer.schemas:
        found["content"] = {media_type: {"schema": schema} for media_type, schema in answer.schemas.items()}
    if answer.headers:
        found["headers"] = {
            name: {"description": about, "schema": {"type": "string"}} for name, about in answer.headers.items()
        }
    return found


def _problem(status: int) -> dict[str, Any]:
    return {"description": HTTPStatus(status).phrase, "content": {problems.MEDIA_TYPE: {"schema": _PROBLEM}}}
