"""One value of a request as its column would hold it, without building a column.

The twin is `kernels/parsing.parse_column` on an array of that one value: same digits, same text,
same missing values.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from math import inf, nan
from typing import Any

import numpy as np
import pyarrow as pa

from promise.data.columns import Array
from promise.data.schema import Field
from promise.kernels.parsing import number_text, parse_column

Read = Callable[[Any], Any]

ISO_TEXT = re.compile(
    r"\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?(?:Z|[-+]\d\d(?::?\d\d)?)?)?", re.ASCII
)
"""What `datetime.fromisoformat` reads as the kernel does; all else is left to the kernel."""
PARTS = {"Y": r"(\d{4})", "m": r"(\d\d)", "d": r"(\d\d)", "H": r"(\d\d)", "M": r"(\d\d)",
         "S": r"(\d\d)"}  # fmt: skip
FULL = (["Y", "d", "m"], ["H", "M", "Y", "d", "m"], ["H", "M", "S", "Y", "d", "m"])
"""Which parts make a date that needs no guess."""
EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 — naive, since fields hold times in UTC
EPOCH_UTC = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
PER_SECOND = {"epoch_s": 1e6, "epoch_ms": 1e3, "epoch_us": 1.0}
REMEMBERED = 4096
"""How many unusual dates a reader keeps, since days repeat."""


def reader(field: Field) -> Read:
    """Return what reads one value of a field.

    Numbers and booleans become floats (missing: NaN), dates microseconds since 1970 (missing:
    None), categories and text stripped text (missing: None).

    Examples
    --------
    >>> reader(Field("age", "number"))(True), reader(Field("sex", "category"))(" f ")
    (1.0, 'f')
    >>> reader(Field("day", "date"))("1970-01-02")
    86400000000
    """
    match field.type:
        case "number":
            return number_reader(field)
        case "boolean":
            return boolean_reader(field)
        case "date":
            return date_reader(field)
    return text_reader(field)


def column_of(values: Sequence[Any], field: Field) -> Array:
    """Return the typed array of many values, each read by itself: neighbours change nothing.

    Examples
    --------
    >>> column_of([1, " x ", None, 2.0], Field("size", "category"))
    array(['1', 'x', None, '2'], dtype=object)
    """
    if field.type == "number" and set(map(type, values)) <= {float, bool, type(None)}:
        numbers = np.array(values, dtype=np.float64)
        numbers[np.isinf(numbers)] = nan
        return numbers
    read = reader(field)
    if field.type == "date":
        return times_of([read(value) for value in values])
    if field.type in ("number", "boolean"):
        return np.fromiter(map(read, values), np.float64, len(values))
    column = np.empty(len(values), dtype=object)
    column[:] = [read(value) for value in values]
    return column


def times_of(times: Sequence[int | None]) -> Array:
    """Return microseconds since 1970 as `datetime64[us]`, None as NaT."""
    missing = np.iinfo(np.int64).min
    return np.array([missing if t is None else t for t in times], np.int64).view("M8[us]")


def number_reader(field: Field) -> Read:
    """Return what reads a number; text is read by the kernel."""

    def read(value: Any) -> float:
        if value is None:
            return nan
        if not isinstance(value, float | int):
            return float(read_alone(value, field))
        try:
            number = float(value)
        except OverflowError:  # an integer beyond every float, infinite like 1e400 in a file
            return nan
        return number if -inf < number < inf else nan

    return read


def boolean_reader(field: Field) -> Read:
    """Return what reads a truth value: 1.0, 0.0 or NaN; any other number than 0 is true."""

    def read(value: Any) -> float:
        if value is None:
            return nan
        if not isinstance(value, float | int):
            return float(read_alone(value, field))
        if isinstance(value, float) and not -inf < value < inf:
            return nan
        return 1.0 if value else 0.0

    return read


def text_reader(field: Field) -> Read:
    """Return what reads a category or text; Python and Arrow strip the same characters."""
    missing = frozenset(("", *field.nulls))

    def read(value: Any) -> str | None:
        if value is None:
            return None
        if isinstance(value, str):
            text = value.strip()
        elif isinstance(value, bool):
            text = "true" if value else "false"
        elif isinstance(value, int):
            text = str(value)
        elif isinstance(value, float):
            return number_text(value) if -inf < value < inf else None
        else:
            found: str | None = read_alone(value, field)
            return found
        return None if text in missing else text

    return read


def date_formats(field: Field) -> list[str]:
    """Return the formats that a date is kept in: `iso`, `epoch_…` or patterns, the first one first.

    Examples
    --------
    >>> date_formats(Field("day", "date", format="%d/%m/%Y|iso"))
    ['%d/%m/%Y', 'iso']
    """
    return (field.format or "iso").split("|")


def date_check(field: Field) -> Callable[[Any], bool]:
    """Return what tells a date, or what stands for a missing one, from all that is neither.

    Readers take both for missing, as files are read; a request is told of the difference.

    Examples
    --------
    >>> reads = date_check(Field("day", "date", nulls=("?",)))
    >>> reads("2026-01-31"), reads(" ? "), reads(None), reads("noon"), reads("2026-02-30")
    (True, True, True, False, False)
    """
    read, missing = date_reader(field), frozenset(("", *field.nulls))

    def check(value: Any) -> bool:
        if value is None or read(value) is not None:
            return True
        return isinstance(value, str) and value.strip() in missing

    return check


def date_reader(field: Field) -> Read:
    """Return what reads a date: the usual spellings at once, the others by the kernel."""
    missing = frozenset(("", *field.nulls))
    first = date_formats(field)[0]
    if first in PER_SECOND:
        return epoch_reader(field, PER_SECOND[first])
    strict = iso_time if first == "iso" else pattern_reader(first)

    # typed: 1, 1.0 and True are equal keys but not equal texts
    @lru_cache(maxsize=REMEMBERED, typed=True)
    def unusual(value: Any) -> int | None:
        return microseconds(read_alone(value, field))

    def read(value: Any) -> int | None:
        if value is None:
            return None
        text = value.strip() if isinstance(value, str) else value
        if text in missing:
            return None
        found = strict(text) if isinstance(text, str) else None
        return unusual(text) if found is None else found

    return read


def epoch_reader(field: Field, per_second: float) -> Read:
    """Return what reads a date kept as a number of seconds or parts of them."""
    number = number_reader(field)

    def read(value: Any) -> int | None:
        if not isinstance(value, float | int | None):
            return microseconds(read_alone(value, field))
        found: float = number(value) * per_second
        if not abs(found) < 2.0**63:  # also NaN; the kernel's integers overflow to NaT
            return None
        return round(found)

    return read


def iso_time(text: str) -> int | None:
    """Return microseconds in UTC of an ISO text in its usual spelling, else None.

    Examples
    --------
    >>> iso_time("1970-01-01T01:00+01:00"), iso_time("19700101")
    (0, None)
    """
    if ISO_TEXT.fullmatch(text) is None:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (time - (EPOCH if time.tzinfo is None else EPOCH_UTC)) // MICROSECOND


def pattern_reader(pattern: str) -> Callable[[str], int | None]:
    """Return what reads texts of a strptime pattern whose parts have their full width.

    Examples
    --------
    >>> read = pattern_reader("%d/%m/%Y")
    >>> read("02/01/1970"), read("2/1/1970")
    (86400000000, None)
    """
    pieces = re.split(r"%(.)", pattern)
    names = pieces[1::2]
    if sorted(names) not in FULL:
        return lambda _: None
    spelled = "".join(PARTS[p] if i % 2 else re.escape(p) for i, p in enumerate(pieces))
    matches = re.compile(spelled, re.ASCII).fullmatch
    order = [names.index(part) for part in "YmdHMS" if part in names]

    def read(text: str) -> int | None:
        found = matches(text)
        if found is None:
            return None
        groups = found.groups()
        try:
            time = datetime(*[int(groups[i]) for i in order])  # type: ignore[arg-type]  # noqa: DTZ001
        except ValueError:
            return None
        return (time - EPOCH) // MICROSECOND

    return read


def read_alone(value: Any, field: Field) -> Any:
    """Return the value as the kernel reads a column of it alone."""
    settings = {
        "name": field.name, "type": field.type, "format": field.format, "nulls": field.nulls,
        "decimal": field.decimal,
    }  # fmt: skip
    try:
        return parse_column(pa.array([value], from_pandas=True), settings)[0]
    except (pa.ArrowInvalid, OverflowError):  # e.g. a time zone of 99 hours: no date
        return parse_column(pa.nulls(1, pa.string()), settings)[0]


def microseconds(time: Any) -> int | None:
    """Return a `datetime64[us]` as microseconds since 1970, None for NaT."""
    return None if np.isnat(time) else int(time.astype(np.int64))
