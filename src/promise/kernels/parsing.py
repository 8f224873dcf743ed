"""Text and typed cells as the arrays that features are made of.

Numbers and booleans become float64 (missing: NaN), dates datetime64[us] (missing: NaT),
categories and texts objects of str or None. A *field* is a dictionary with `name`, `type`
(`number`, `boolean`, `category`, `text`, `date`) and, optionally, `format`, `nulls`, `decimal`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

NUMBER = r"^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$"
ISO = r"^\d{4}-\d{2}-\d{2}([ T]\d{2}(:\d{2}(:\d{2}(\.\d{1,9})?)?)?)?$"
ISO_ZONED = (
    r"^\d{4}-\d{2}-\d{2}[ T]\d{2}(:\d{2}(:\d{2}(\.\d{1,9})?)?)?"
    r"(Z|[-+]([01]\d|2[0-3])(:?[0-5]\d)?)$"  # no zone is 99 hours away
)
CLOCK = r"^.{10}([ T]([01]\d|2[0-3])(:[0-5]\d(:[0-5]\d(\.\d+)?)?)?(Z|[-+]\d{2}(:?\d{2})?)?)?$"
TRUE_WORDS = ("true", "yes", "y", "t", "1", "1.0", "on")
FALSE_WORDS = ("false", "no", "n", "f", "0", "0.0", "off")


def parse_columns(table: pa.Table, schema: list[dict[str, Any]]) -> dict[str, npt.NDArray[Any]]:
    """Return one typed array per field of the schema.

    Raises
    ------
    ValueError
        When the table lacks a column of the schema.

    Examples
    --------
    >>> table = pa.table({"age": ["41", "?"], "sex": ["f", ""]})
    >>> schema = [{"name": "age", "type": "number", "nulls": ["?"]},
    ...           {"name": "sex", "type": "category"}]
    >>> parse_columns(table, schema)
    {'age': array([41., nan]), 'sex': array(['f', None], dtype=object)}
    """
    places = {name: place for place, name in enumerate(table.column_names)}
    arrays = {}
    for field in schema:
        name = field["name"]
        if name not in places:
            raise ValueError(f"column {name!r} is missing; there are {table.column_names[:20]}.")
        column = table.column(places[name]).combine_chunks()
        arrays[name] = parse_column(column, field)
    return arrays


def parse_column(column: Any, field: dict[str, Any]) -> npt.NDArray[Any]:
    """Return the typed array of one column."""
    kind = field["type"]
    if pa.types.is_null(column.type):
        column = column.cast(pa.string())
    if kind == "number":
        return parse_number(column, field)
    if kind == "boolean":
        return parse_boolean(column, field)
    if kind == "date":
        return parse_date(column, field)
    return parse_text(column, field)


def is_text(column: Any) -> bool:
    """Say whether a column holds text."""
    return bool(pa.types.is_string(column.type) or pa.types.is_large_string(column.type))


def trimmed(column: Any, field: dict[str, Any]) -> Any:
    """Return text without outer blanks; the empty text and the field's null tokens are missing."""
    text = pc.utf8_trim_whitespace(column)
    tokens = pa.array(["", *field.get("nulls", ())], text.type)
    return pc.if_else(pc.is_in(text, value_set=tokens), pa.scalar(None, text.type), text)


def matching(text: Any, pattern: str) -> Any:
    """Return the texts that match; the others are missing."""
    hits = pc.match_substring_regex(text, pattern)
    return pc.if_else(hits, text, pa.scalar(None, text.type))


def parse_number(column: Any, field: dict[str, Any]) -> npt.NDArray[np.float64]:
    """Return float64; what is no finite number is NaN."""
    if pa.types.is_temporal(column.type):
        raise ValueError(f"column {field['name']!r} holds dates, expected numbers.")
    if is_text(column):
        column = trimmed(column, field)
        if field.get("decimal", ".") == ",":
            column = pc.replace_substring(column, ",", ".")
        try:
            column = column.cast(pa.float64())
        except pa.ArrowInvalid:
            # Arrow's cast knows no sign "+" and fails for the whole column at one bad cell
            clean = pc.utf8_ltrim(matching(column, NUMBER), characters="+")
            column = clean.cast(pa.float64())
    elif pa.types.is_decimal(column.type) or pa.types.is_boolean(column.type):
        column = column.cast(pa.float64())
    else:
        column = column.cast(pa.float64(), safe=False)  # integers past 2^53 lose digits
    values = filled(column, float("nan"))
    values[np.isinf(values)] = np.nan
    return values


def filled(column: Any, missing: float) -> npt.NDArray[np.float64]:
    """Return a float column as an array that may be written to, nulls replaced."""
    return np.array(pc.fill_null(column, missing).to_numpy(zero_copy_only=False), dtype=np.float64)


def parse_boolean(column: Any, field: dict[str, Any]) -> npt.NDArray[np.float64]:
    """Return 1.0 for true, 0.0 for false, NaN for anything else."""
    if not is_text(column):
        if not pa.types.is_boolean(column.type):
            values = parse_number(column, field)
            return np.where(np.isnan(values), np.nan, (values != 0).astype(np.float64))
        return filled(column.cast(pa.float64()), float("nan"))
    words = pc.utf8_lower(trimmed(column, field))
    true = pc.is_in(words, value_set=pa.array(TRUE_WORDS, words.type)).to_numpy(False)
    false = pc.is_in(words, value_set=pa.array(FALSE_WORDS, words.type)).to_numpy(False)
    return np.where(true, 1.0, np.where(false, 0.0, np.nan))


def parse_date(column: Any, field: dict[str, Any]) -> npt.NDArray[np.datetime64]:
    """Return datetime64[us], times with a zone in UTC; what no format reads is NaT."""
    formats = (field.get("format") or "iso").split("|")
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        times = column.cast(pa.timestamp("us", getattr(column.type, "tz", None)), safe=False)
        return as_datetimes(times.cast(pa.timestamp("us")))
    if formats[0].startswith("epoch_"):
        per_second = {"epoch_s": 1e6, "epoch_ms": 1e3, "epoch_us": 1.0}[formats[0]]
        values = parse_number(column, field)
        known = ~np.isnan(values)
        times = np.full(len(values), np.datetime64("NaT", "us"))
        times[known] = (values[known] * per_second).round().astype(np.int64).astype("M8[us]")
        return times
    if not is_text(column):
        column = column.cast(pa.string())
    text = trimmed(column, field)
    times = read_times(text, formats[0])
    for pattern in formats[1:]:
        times = pc.coalesce(times, read_times(text, pattern))
    return as_datetimes(times)


def as_datetimes(times: Any) -> npt.NDArray[np.datetime64]:
    """Return an Arrow timestamp column in microseconds as NumPy's."""
    return np.array(times.to_numpy(zero_copy_only=False), dtype="M8[us]")


def read_times(text: Any, pattern: str) -> Any:
    """Return the timestamps, in microseconds and UTC, of the texts that this format reads."""
    kind = pa.timestamp("us")
    if pattern != "iso":
        return pc.strptime(text, format=pattern, unit="us", error_is_null=True)
    if (pc.max(pc.utf8_length(text)).as_py() or 0) > 26:
        text = pc.replace_substring_regex(text, r"(\.\d{6})\d+", r"\1")  # at most microseconds
    try:
        return text.cast(kind)
    except pa.ArrowInvalid:  # one bad cell, or zones: look at each
        naive = valid_dates(matching(text, ISO)).cast(kind)
    zoned = valid_dates(matching(text, ISO_ZONED))
    if zoned.null_count == len(zoned):
        return naive
    return pc.coalesce(naive, zoned.cast(pa.timestamp("us", "UTC")).cast(kind))


def valid_dates(text: Any) -> Any:
    """Return the ISO texts that name a real day and time: no thirtieth of February."""
    days = pc.strptime(pc.utf8_slice_codeunits(text, 0, 10), "%Y-%m-%d", "us", error_is_null=True)
    same = pc.equal(pc.strftime(days, "%Y-%m-%d"), pc.utf8_slice_codeunits(text, 0, 10))
    clock = pc.match_substring_regex(text, CLOCK)
    return pc.if_else(pc.and_(same, clock), text, pa.scalar(None, text.type))


def parse_text(column: Any, field: dict[str, Any]) -> npt.NDArray[Any]:
    """Return an object array of str or None; numbers read as categories as canonical text."""
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.string())
    if pa.types.is_floating(column.type) or pa.types.is_decimal(column.type):
        return number_texts(parse_number(column, {"name": field["name"]}))
    if not is_text(column):
        column = column.cast(pa.string())
    coded = trimmed(column, field).dictionary_encode()
    # equal cells share one Python object: a long column of few categories stays small
    words: npt.NDArray[Any] = np.array([*coded.dictionary.to_pylist(), None], dtype=object)
    return words[filled(coded.indices.cast(pa.float64()), len(words) - 1).astype(np.int64)]


def number_text(value: float) -> str:
    """Write a number the one canonical way: integers without a decimal point.

    Examples
    --------
    >>> number_text(3.0), number_text(-0.0), number_text(2.5)
    ('3', '0', '2.5')
    """
    return str(int(value)) if value.is_integer() and abs(value) < 1e16 else repr(value)


def number_texts(values: npt.NDArray[np.float64]) -> npt.NDArray[Any]:
    """Write numbers as canonical text; NaN is None."""
    distinct, codes = np.unique(values, return_inverse=True)
    texts = [None if np.isnan(v) else number_text(float(v)) for v in distinct]
    return np.array([*texts, None], dtype=object)[codes.reshape(-1)]


def label_codes(values: npt.NDArray[Any], classes: list[str]) -> npt.NDArray[np.int64]:
    """Return each value's position among the classes, -1 where missing or unknown.

    Examples
    --------
    >>> label_codes(np.array(["yes", None, "no"], dtype=object), ["no", "yes"])
    array([ 1, -1,  0])
    >>> label_codes(np.array([1.0, 0.0, np.nan]), ["0", "1"])
    array([ 1,  0, -1])
    """
    if values.dtype.kind == "b":
        values = values.astype(np.float64)
    if values.dtype.kind in "iuf":
        values = number_texts(values.astype(np.float64))
        if list(classes) == ["false", "true"]:  # what a boolean column's classes are called
            classes = ["0", "1"]
    known = pa.array(classes, pa.string())
    found = pc.index_in(pa.array(values, pa.string()), value_set=known)
    return filled(found.cast(pa.float64()), -1.0).astype(np.int64)
