"""Types guessed from a sample, and rows read by those types."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from promise.data.columns import Columns, IntArray
from promise.data.schema import Field, Schema
from promise.data.source import Source
from promise.data.target import label_answer
from promise.errors import DataError
from promise.kernels.parsing import ISO, ISO_ZONED, NUMBER, is_text, parse_columns, read_times

__all__ = ["infer_field", "infer_schema", "label_answer", "read_columns"]

NULL_TOKENS = (
    "?", "NA", "N/A", "n/a", "na", "#N/A", "#NA", "NULL", "Null", "null", "None", "none", "NaN",
    "nan", "-nan", "<NA>", "nil", "-", "--", ".", "missing", "Missing", "MISSING", "unknown",
    "Unknown", "UNKNOWN", "undefined", "inf", "-inf", "Inf", "-Inf", "Infinity", "-Infinity",
)  # fmt: skip
_ALWAYS_NULL = frozenset(
    ("?", "NA", "N/A", "n/a", "#N/A", "#NA", "NULL", "null", "NaN", "nan", "<NA>")
)
_DATE_SHAPES = (
    r"^\d{1,2}(?P<mark>[/.-])\d{1,2}[/.-]\d{4}(?P<clock> \d{1,2}:\d{2}(:\d{2})?( [AaPp][Mm])?)?$",
    r"^\d{1,2}(?P<mark>[/.-])\d{1,2}[/.-]\d{2}(?P<clock> \d{1,2}:\d{2}(:\d{2})?( [AaPp][Mm])?)?$",
    r"^\d{4}(?P<mark>[/.])\d{1,2}[/.]\d{1,2}(?P<clock> \d{1,2}:\d{2}(:\d{2})?)?$",
    r"^\d{1,2}(?P<mark>[ -])[A-Za-z]{3}[ -]\d{4}$",
    r"^[A-Za-z]{3,9} \d{1,2}, \d{4}$",
    r"^\d{1,2} [A-Za-z]{4,9} \d{4}$",
)
_SAMPLE_CELLS = 8_000_000  # 20,000 rows of up to 400 columns; of wider tables, fewer rows
_EPOCH_NAME = re.compile(r"(^|_)(timestamp|epoch|unix_?time|unixtime)($|_)", re.IGNORECASE)


def infer_schema(source: Source, *, sample_rows: int = 20000) -> Schema:
    """Guess every column's type from rows spread over the source; all roles are `input`.

    Text columns become numbers when all of 99 % of their cells do, null tokens such as `?` aside;
    dates when a known form reads them; long, mostly distinct cells are text; the rest categories.

    Examples
    --------
    >>> from promise.data.source import open_source
    >>> frame = pa.table({"age": ["41", "?", "30"], "when": ["2024-01-02", "2024-01-03", ""]})
    >>> [(field.name, field.type, field.nulls) for field in infer_schema(open_source(frame))]
    [('age', 'number', ('?',)), ('when', 'date', ())]
    """
    rows = min(sample_rows, max(256, _SAMPLE_CELLS // max(1, len(source.columns))))
    table = source.sample(rows)
    mark = source.decimal
    fields = [infer_field(name, table.column(name), mark) for name in table.column_names]
    if mark is not None:
        fields = [replace(f, decimal=mark) for f in fields]
    elif any(f.decimal == "," for f in fields):  # then commas part no thousands elsewhere
        fields = [
            infer_field(f.name, table.column(f.name), ",") if f.type == "category" else f
            for f in fields
        ]
    return Schema(tuple(fields))


def infer_field(name: str, column: Any, decimal: str | None = None) -> Field:
    """Guess the type of one Arrow column from its cells, and their decimal mark if none is told."""
    kind = column.type
    if pa.types.is_boolean(kind):
        return Field(name, "boolean")
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return Field(name, "date")
    if pa.types.is_integer(kind) and (epoch := _epoch(name, column)):
        return Field(name, "date", format=epoch)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return Field(name, "number")
    if pa.types.is_null(kind) or not is_text(column):
        return Field(name, "number" if pa.types.is_null(kind) else "category")
    return _infer_text(name, column, decimal)


def _infer_text(name: str, column: Any, decimal: str | None) -> Field:
    """Guess the type of a column that comes as text, by its distinct cells and their counts."""
    counts = pc.value_counts(pc.utf8_trim_whitespace(column.combine_chunks().drop_null()))
    cells, times = counts.field("values"), counts.field("counts").to_numpy()
    texts = np.array(cells.to_pylist(), dtype=object)
    tokens = np.array([text in NULL_TOKENS for text in texts], dtype=bool)
    real = ~tokens & (texts != "")
    if not real.any():
        return Field(name, "number" if not tokens.any() else "category", nulls=tuple(texts[tokens]))
    nulls = tuple(sorted(texts[tokens]))
    kept, weight = cells.filter(pa.array(real)), times[real]
    number = _as_number(name, kept, weight, nulls, decimal)
    typed = number or _as_date(name, kept, weight, nulls)
    if typed is not None:
        return typed
    sure = tuple(token for token in nulls if token in _ALWAYS_NULL)
    lengths = pc.utf8_length(kept).to_numpy()
    words = np.array([text.count(" ") + 1 for text in texts[real]])
    mean_words = float(np.average(words, weights=weight))
    mean_length = float(np.average(lengths, weights=weight))
    distinct = len(weight) / weight.sum()
    if distinct > 0.5 and (mean_words > 4 or (mean_length > 40 and mean_words > 2)):
        return Field(name, "text", nulls=sure)
    return Field(name, "category", nulls=sure)


def _share(hits: Any, weight: npt.NDArray[Any]) -> float:
    return float(weight[hits.to_numpy(zero_copy_only=False).astype(bool)].sum() / weight.sum())


def _as_number(
    name: str, cells: Any, weight: npt.NDArray[Any], nulls: tuple[str, ...], decimal: str | None
) -> Field | None:
    """Return a number field when the cells read as numbers, with the decimal mark or either."""
    points = _share(pc.match_substring_regex(cells, NUMBER), weight)
    if points >= 0.99:
        # "007" is a code, as long as every cell is as long as the others
        lengths = pc.utf8_length(cells)
        padded = pc.any(pc.match_substring_regex(cells, r"^0\d+$")).as_py()
        if padded and pc.min(lengths).as_py() == pc.max(lengths).as_py() > 1:
            return None
        if (epoch := _epoch(name, cells)) is not None:
            return Field(name, "date", format=epoch, nulls=nulls)
        return Field(name, "number", nulls=nulls)
    if decimal == ".":
        return None
    swapped = pc.replace_substring(cells, ",", ".")
    commas = pc.match_substring_regex(cells, r"^[-+]?\d*(,\d+)?([eE][-+]?\d+)?$")
    hits = pc.and_(commas, pc.match_substring_regex(swapped, NUMBER))
    told = decimal == ","
    if _share(hits, weight) >= 0.99 and (told or not _thousands(cells.filter(hits))):
        return Field(name, "number", nulls=nulls, decimal=",")
    return None


def _thousands(cells: Any) -> bool:
    """Say whether the commas group digits by three, as in 1,000: then they mark no decimals."""
    grouped = pc.match_substring_regex(cells, r"^[-+]?[1-9]\d{0,2},\d{3}$")
    short = pc.match_substring_regex(cells, r"^[-+]?\d{1,3}$")
    return bool(pc.all(pc.or_(grouped, short)).as_py())


def _epoch(name: str, column: Any) -> str | None:
    """Recognise seconds or milliseconds since 1970 by the column's name and range."""
    if not _EPOCH_NAME.search(name):
        return None
    try:
        values = column.cast(pa.float64()).drop_null().to_numpy()
    except pa.ArrowInvalid:
        return None
    for unit, scale in (("epoch_s", 1.0), ("epoch_ms", 1e3)):
        if len(values) and values.min() >= 3e8 * scale and values.max() <= 4e9 * scale:
            return unit
    return None


def _as_date(
    name: str, cells: Any, weight: npt.NDArray[Any], nulls: tuple[str, ...]
) -> Field | None:
    """Return a date field when known forms read the cells; several forms are joined by `|`."""
    rest = cells
    formats: list[str] = []
    for pattern in (ISO, ISO_ZONED):
        hits = pc.match_substring_regex(rest, pattern)
        if pc.any(hits).as_py():
            formats = ["iso"]
            rest = rest.filter(pc.invert(hits))
    for shape in _DATE_SHAPES:
        hits = pc.match_substring_regex(rest, shape)
        if pc.any(hits).as_py():
            formats += _formats(rest.filter(hits))
            rest = rest.filter(pc.invert(hits))
    if not formats:
        return None
    read = pc.is_null(pa.nulls(len(cells)))
    known = pc.invert(read)
    for pattern in formats:
        known = pc.or_(known, pc.is_valid(read_times(cells, pattern)))
    if _share(known, weight) < 0.97:
        return None
    return Field(name, "date", format="|".join(dict.fromkeys(formats)), nulls=nulls)


def _formats(cells: Any) -> list[str]:
    """Return the strptime patterns of cells of one shape, the likelier order first.

    A component above 12 is a day. Without such evidence a slash means month first, as Americans
    write, and a dot or a dash day first.
    """
    found: list[str] = []
    for text in cells.to_pylist():
        pattern = _pattern(text)
        if pattern not in found:
            found.append(pattern)
    patterns: list[str] = []
    for pattern in found:
        if not pattern.startswith("AB"):
            patterns.append(pattern)
            continue
        mark, rest = pattern[2], pattern[3:]
        pairs = [_leading(text) for text in cells.to_pylist() if _pattern(text) == pattern]
        day_first = any(first > 12 for first, _ in pairs)
        month_first = any(second > 12 for _, second in pairs)
        orders = [f"%d{mark}%m{mark}{rest}"] if day_first or mark != "/" else []
        if month_first or not orders:
            orders.append(f"%m{mark}%d{mark}{rest}")
        if month_first and not day_first:
            orders = orders[-1:]
        patterns += orders
    return patterns


def _leading(text: str) -> tuple[int, int]:
    first, second, *_ = re.split(r"[/.\-]", text)
    return int(first), int(second)


def _pattern(text: str) -> str:
    """Turn one date into its pattern; `AB` stands for day and month in an order not yet known."""
    day, _, clock = text.partition(" ") if ":" in text else (text, "", "")
    suffix = ""
    if clock:
        half = clock[-1] in "mM"
        seconds = ":%S" if clock.count(":") == 2 else ""
        suffix = f" %I:%M{seconds} %p" if half else f" %H:%M{seconds}"
    if re.match(r"^\d{4}", day):
        return f"%Y{day[4]}%m{day[4]}%d{suffix}"
    if day[0].isalpha():
        month = day.split(" ", 1)[0]
        return ("%b" if len(month) == 3 else "%B") + " %d, %Y"
    if any(letter.isalpha() for letter in day):
        word = re.sub(r"[^A-Za-z]", "", day)
        mark = "-" if "-" in day else " "
        return f"%d{mark}{'%b' if len(word) == 3 else '%B'}{mark}%Y"
    mark = next(letter for letter in day if not letter.isdigit())
    year = "%Y" if len(day.rsplit(mark, 1)[-1]) == 4 else "%y"
    return f"AB{mark}{year}{suffix}"


def read_columns(
    source: Source,
    schema: Schema,
    rows: IntArray | None = None,
    limit: int | None = None,
) -> tuple[Columns, IntArray]:
    """Read the schema's columns typed, streaming; returns them and their row numbers.

    Parameters
    ----------
    rows
        Only these row numbers, sorted; None: all.
    limit
        At most so many rows from the beginning.

    Examples
    --------
    >>> from promise.data.source import open_source
    >>> source = open_source(pa.table({"age": [30, 41, 52]}))
    >>> columns, rows = read_columns(source, infer_schema(source), rows=np.array([0, 2]))
    >>> columns["age"], rows
    (array([30., 52.]), array([0, 2]))
    """
    fields = schema.to_json()
    parts: list[dict[str, npt.NDArray[Any]]] = []
    kept: list[IntArray] = []
    last = None if rows is None or not len(rows) else int(rows[-1])
    if limit is not None and rows is None:
        last = limit - 1
    for first, table in source.batches(list(schema.names)):
        numbers: IntArray = np.arange(first, first + table.num_rows, dtype=np.int64)
        if rows is not None:
            start, stop = np.searchsorted(rows, [first, first + table.num_rows])
            numbers = np.asarray(rows[start:stop], dtype=np.int64)
            table = table.take(numbers - first)
        elif last is not None and first + table.num_rows > last + 1:
            numbers = numbers[: last + 1 - first]
            table = table.slice(0, len(numbers))
        if len(numbers) or not parts:
            parts.append(_parsed(table, fields))
            kept.append(numbers)
        if last is not None and first + table.num_rows > last:
            break
        if last is not None and len(numbers) and numbers[-1] >= last:
            break
    if not parts:
        raise DataError(f"{source.name} has no rows.")
    found = np.concatenate(kept)[:limit]
    arrays = {name: np.concatenate([p[name] for p in parts])[:limit] for name in schema.names}
    return Columns(arrays), found


def _parsed(table: pa.Table, fields: list[dict[str, Any]]) -> dict[str, npt.NDArray[Any]]:
    try:
        return parse_columns(table, fields)
    except ValueError as error:
        raise DataError(str(error)) from error
