"""The JSON schema of one row of a request: what OpenAPI shows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from promise.data.schema import Field, Schema
from promise.pipeline.json_types import expected, json_kind

TYPES: dict[str, tuple[str, ...]] = {
    "number": ("number",),
    "boolean": ("boolean", "integer"),
    "category": ("string", "number", "boolean"),
    "text": ("string",),
    "date": ("string", "number"),
    "iso": ("string",),
    "epoch": ("number",),
}
"""What each kind of `promise.pipeline.json_types` is called in JSON schema."""
EXAMPLES: dict[str, Any] = {
    "number": 1.5, "boolean": True, "category": "a", "text": "a few words", "date": None,
    "iso": "2026-01-31", "epoch": 1769860800,
}  # fmt: skip


_PASSED_OVER = "Optional and passed over: a column of the training table, not read by the model."


def row_schema(
    schema: Schema, optional: Schema | None = None, ignored: Iterable[str] = ()
) -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) of one row; every field is required and may be null.

    Parameters
    ----------
    optional
        Further fields that may be absent.
    ignored
        Names of fields that may be sent and are passed over.

    Examples
    --------
    >>> from promise.data.schema import Field
    >>> row_schema(Schema((Field("age", "number"),)))["properties"]["age"]["type"]
    ['number', 'null']
    """
    more = () if optional is None else optional.fields
    return {
        "type": "object",
        "title": "Row",
        "properties": {
            **{field.name: field_schema(field) for field in schema},
            **{field.name: _may_be_absent(field_schema(field)) for field in more},
            **{name: {"title": name, "description": _PASSED_OVER} for name in ignored},
        },
        "required": list(schema.names),
        "additionalProperties": False,
        "examples": [{field.name: example(field) for field in (*schema, *more)}],
    }


def _may_be_absent(schema: dict[str, Any]) -> dict[str, Any]:
    told = "Optional: the live version does not read it, another one does."
    return {**schema, "description": f"{schema.get('description', '')} {told}".strip()}


def field_schema(field: Field) -> dict[str, Any]:
    """Return the JSON schema of one field."""
    found: dict[str, Any] = {"title": field.name, "type": [*TYPES[json_kind(field)], "null"]}
    told = []
    if field.unit:
        told.append(f"In {field.unit}.")
    if field.type == "date":
        told.append(f"A time, in UTC where it names no zone: {expected(field)}.")
    if field.type == "boolean":
        found["enum"] = [True, False, 1, 0, None]
    return {**found, "description": " ".join(told)} if told else found


def example(field: Field) -> Any:
    """Return a value that the field accepts; null for dates in a format of their own."""
    return EXAMPLES[json_kind(field)]
