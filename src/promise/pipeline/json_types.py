"""Which JSON values each type of field takes, for the decoder, for checks and in words."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from promise.data.schema import Schema

NO_FIELDS = Schema(())

TYPES: dict[str, Any] = {
    "number": float | bool | None,  # an integer becomes the nearest float at once
    "boolean": bool | int | None,
    "category": str | int | float | bool | None,
    "text": str | None,
    "date": str | int | float | None,
}
EXPECTED = {
    "number": "a number",
    "boolean": "true, false or a whole number",
    "category": "text, a number or a truth value",
    "text": "text",
    "date": "text in the field's format, or a number",
}
NAMED = {str: "text", bool: "a truth value", int: "a whole number", float: "a number with decimals",
         list: "a list", dict: "an object", type(None): "null"}  # fmt: skip
ACCEPTED: dict[str, frozenset[type]] = {
    "number": frozenset((float, int, bool, type(None))),
    "boolean": frozenset((bool, int, type(None))),
    "category": frozenset((str, int, float, bool, type(None))),
    "text": frozenset((str, type(None))),
    "date": frozenset((str, int, float, type(None))),
}
"""Python types of the JSON values that a field takes; `TYPES` says the same to the decoder."""


def compiled_row(
    schema: Schema, optional: Schema = NO_FIELDS, *, others: bool = False
) -> type[msgspec.Struct] | None:
    """Return a struct of the schemas' fields, or None where a name cannot be compiled.

    Attribute names are numbered: column names are free text.
    """
    every = (*schema.fields, *optional.fields)
    names = {f"f{place}": field.name for place, field in enumerate(every)}
    fields: list[Any] = [
        (f"f{place}", TYPES[field.type])
        if place < len(schema)
        else (f"f{place}", TYPES[field.type] | UnsetType, UNSET)
        for place, field in enumerate(every)
    ]
    try:
        return msgspec.defstruct(
            "Row", fields, rename=names, forbid_unknown_fields=not others, gc=False, frozen=True
        )
    except ValueError:  # quotes, backslashes and control characters in a name
        return None
