"""Which JSON values each field takes, for the decoder, for checks and in words."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from promise.data.schema import Field, Schema
from promise.features.values import date_check, date_formats

NO_FIELDS = Schema(())
Check = Callable[[Any], bool]

TYPES: dict[str, Any] = {
    "number": float | None,  # an integer becomes the nearest float at once
    "boolean": bool | int | float | None,  # of numbers 0 and 1 alone, see `check_of`
    "category": str | int | float | bool | None,
    "text": str | None,
    "date": str | int | float | None,
    "iso": str | None,
    "epoch": int | float | None,
}
ACCEPTED: dict[str, frozenset[type]] = {
    "number": frozenset((float, int, type(None))),
    "boolean": frozenset((bool, int, float, type(None))),
    "category": frozenset((str, int, float, bool, type(None))),
    "text": frozenset((str, type(None))),
    "date": frozenset((str, int, float, type(None))),
    "iso": frozenset((str, type(None))),
    "epoch": frozenset((int, float, type(None))),
}
"""Python types of the JSON values that a kind takes; `TYPES` says the same to the decoder."""
EXPECTED = {
    "number": "a number",
    "boolean": "true, false, 1 or 0",
    "category": "text, a number or a truth value",
    "text": "text",
}
_SHOWN = datetime(2026, 1, 31, 12)  # noqa: DTZ001 — an example, of no place
_SPELLED = {
    "iso": "ISO 8601 text such as '2026-01-31' or '2026-01-31T12:00:00Z'",
    "epoch_s": "seconds since 1970 such as 1769860800",
    "epoch_ms": "milliseconds since 1970 such as 1769860800000",
    "epoch_us": "microseconds since 1970 such as 1769860800000000",
}


def json_kind(field: Field) -> str:
    """Return which of `TYPES` a field takes: its type; of dates `iso` or `epoch` where it is that.

    Examples
    --------
    >>> json_kind(Field("day", "date")), json_kind(Field("day", "date", format="%d.%m.%Y|iso"))
    ('iso', 'date')
    """
    if field.type != "date":
        return field.type
    formats = date_formats(field)
    if formats[0].startswith("epoch_"):
        return "epoch"
    return "iso" if set(formats) == {"iso"} else "date"


def check_of(field: Field) -> Check | None:
    """Return what says whether a value of the right JSON type can be read; None where all can."""
    if field.type == "boolean":
        return _is_truth
    return date_check(field) if field.type == "date" else None


def _is_truth(value: Any) -> bool:
    return value is None or value in (0, 1)


def expected(field: Field) -> str:
    """Say in words which values a field takes.

    Examples
    --------
    >>> expected(Field("day", "date", format="%d.%m.%Y"))
    "text as %d.%m.%Y such as '31.01.2026'"
    """
    if field.type != "date":
        return EXPECTED[field.type]
    return " or ".join(
        _SPELLED.get(form) or f"text as {form} such as {_SHOWN.strftime(form)!r}"
        for form in date_formats(field)
    )


def compiled_row(
    schema: Schema, optional: Schema = NO_FIELDS, *, others: bool = False
) -> type[msgspec.Struct] | None:
    """Return a struct of the schemas' fields, or None where a name cannot be compiled.

    Attribute names are numbered: column names are free text.
    """
    every = (*schema.fields, *optional.fields)
    names = {f"f{place}": field.name for place, field in enumerate(every)}
    fields: list[Any] = [
        (f"f{place}", TYPES[json_kind(field)])
        if place < len(schema)
        else (f"f{place}", TYPES[json_kind(field)] | UnsetType, UNSET)
        for place, field in enumerate(every)
    ]
    try:
        return msgspec.defstruct(
            "Row", fields, rename=names, forbid_unknown_fields=not others, gc=False, frozen=True
        )
    except ValueError:  # quotes, backslashes and control characters in a name
        return None
