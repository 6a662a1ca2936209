"""Values that a JSON Schema, or Gemini's dialect of it, allows.

Covers: a sample for the schemas that clients send: objects, arrays, enums, numbers, ``$ref``, ``anyOf``, nullable.
Does not cover: validating.
"""

from __future__ import annotations

from typing import Any


def kind(schema: dict[str, Any]) -> str:
    """The type that a schema asks for, in lower case; of several, the first that is not null."""
    named = schema.get("type")
    if isinstance(named, list):
        named = next((one for one in named if one.lower() != "null"), "null")
    if named is None:
        named = "object" if "properties" in schema else "array" if "items" in schema else "string"
    return str(named).lower()


def resolved(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    """A schema without ``$ref``, ``anyOf``, ``oneOf``, ``allOf`` at its top."""
    if "$ref" in schema:
        found: Any = root
        for step in schema["$ref"].lstrip("#/").split("/"):
            found = found[step]
        return resolved(found, root)
    for word in ("anyOf", "oneOf", "allOf"):
        if schema.get(word):
            options = [resolved(one, root) for one in schema[word]]
            return next((one for one in options if kind(one) != "null"), options[0])
    return schema


def sample(schema: dict[str, Any], root: dict[str, Any] | None = None) -> Any:
    """The smallest honest value: every property, one entry in each list."""
    root = schema if root is None else root
    schema = resolved(schema, root)
    if schema.get("enum"):
        return schema["enum"][0]
    if "const" in schema:
        return schema["const"]
    match kind(schema):
        case "object":
            return {name: sample(one, root) for name, one in schema.get("properties", {}).items()}
        case "array":
            count = max(1, int(schema.get("minItems", 1)))
            return [sample(schema.get("items", {}), root)] * count
        case "integer" | "number":
            return schema.get("minimum", 0)
        case "boolean":
            return True
        case "null":
            return None
    return "canned".ljust(int(schema.get("minLength", 0)), ".")
