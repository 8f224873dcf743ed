"""Counting one column, batch by batch, in memory that its length does not change."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from promise.data.columns import Array
from promise.data.schema import Field
from promise.kernels.parsing import is_text, number_text, parse_column
from promise.profiling.association import is_missing
from promise.profiling.column import QUANTILES, TOP, ColumnProfile, iso
from promise.profiling.sketches import Distinct, Moments, hash_array, hash_numbers

MAX_COUNTED = 4096
"""Columns of at most so many different values are counted exactly; others are sketched."""

_PROBE = 16384
_BLOCK = 32768  # rows sketched at a time: their work arrays stay in the processor's cache

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class ColumnTally:
    """Collects what a `ColumnProfile` says.

    A column starts as a dictionary of its values; when that grows past `MAX_COUNTED` it becomes a
    sketch: moments, a distinct count, and the rest from the row sample.

    Parameters
    ----------
    field
        How the column is read.
    sketch_size
        Hashes that the distinct count keeps: its error is `1 / sqrt(sketch_size)`.
    """

    def __init__(self, field: Field, sketch_size: int = 16384) -> None:
        self.field = field
        self.n_rows = 0
        self.missing = 0
        self.unparsed = 0
        self.physical = ""
        self.tokens: Counter[str] = Counter()
        self.counts: dict[Any, int] | None = {}
        self.moments = Moments()
        self.distinct = Distinct(sketch_size)
        self._reading = dict(vars(field))
        self._words = field.type in ("category", "text")

    def add(self, raw: Any) -> None:
        """Count the cells of one batch."""
        self.physical = self.physical or str(raw.type)
        raw = _countable(raw, self.field)
        self.n_rows += len(raw)
        if self.counts is not None and not self._count(raw):
            self._become_sketch()
        if self.counts is None:
            for at in range(0, len(raw), _BLOCK):
                self._sketch(raw.slice(at, _BLOCK))

    def _count(self, raw: Any) -> bool:
        """Add to the dictionary; False, and nothing added, when it would grow too large."""
        assert self.counts is not None
        # a short look at the first cells spares a long column the counting of every cell
        if len(raw) > _PROBE and len(pc.unique(raw.slice(0, _PROBE))) > MAX_COUNTED:
            return False
        pairs = pc.value_counts(raw)
        if len(pairs) > MAX_COUNTED:
            return False
        values = _keys(pairs.field("values"))
        merged = dict(self.counts)
        for value, count in zip(values, pairs.field("counts").to_pylist(), strict=True):
            merged[value] = merged.get(value, 0) + count
        if len(merged) > MAX_COUNTED:
            return False
        self.counts = merged
        return True

    def _become_sketch(self) -> None:
        assert self.counts is not None
        counts, self.counts = self.counts, None
        if not counts:
            return
        raw = _array(list(counts))
        repeats = np.fromiter(counts.values(), dtype=np.int64, count=len(counts))
        self._sketch(raw, repeats)

    def _sketch(self, raw: Any, repeats: Counts | None = None) -> None:
        """Merge cells into the sketches, each counted once or `repeats` times."""
        weights = np.ones(len(raw), dtype=np.int64) if repeats is None else repeats
        given = self._given(raw, weights)
        if self._words:
            self.missing += int(weights[~given].sum())
            self.distinct = self.distinct.merge(hash_array(_filter(raw, given)))
            return
        values = self._parsed(raw)
        known = ~np.isnan(values)
        self.missing += int(weights[~known].sum())
        self.unparsed += int(weights[given & ~known].sum())
        numbers = values[known] if not known.all() else values
        self.moments = self.moments.merge(
            Moments.of(numbers, None if repeats is None else weights[known])
        )
        whole = pa.types.is_integer(raw.type)
        hashes = hash_array(_filter(raw, known)) if whole else hash_numbers(numbers)
        self.distinct = self.distinct.merge(hashes)

    def _given(self, raw: Any, weights: Counts) -> Array:
        """Say which cells hold something besides blanks and null tokens; count the tokens."""
        if not is_text(raw):
            return np.ones(len(raw), bool) if raw.null_count == 0 else _bools(pc.is_valid(raw))
        text = pc.utf8_trim_whitespace(raw)
        given = _bools(pc.fill_null(pc.not_equal(text, pa.scalar("", text.type)), False))
        if self.field.nulls:
            tokens = pc.index_in(text, value_set=pa.array(self.field.nulls, text.type))
            hits = pc.fill_null(tokens, -1).to_numpy(zero_copy_only=False)
            found = np.bincount(hits + 1, weights=weights, minlength=len(self.field.nulls) + 1)
            for token, count in zip(self.field.nulls, found[1:], strict=True):
                self.tokens[token] += int(count)
            given &= hits < 0
        return given

    def _parsed(self, raw: Any) -> Floats:
        """Return float64: numbers as they are, times in microseconds; missing is NaN."""
        values = parse_column(raw, self._reading)
        return _microseconds(values) if values.dtype.kind == "M" else values

    def finish(self, sample: Array) -> ColumnProfile:
        """Return the profile; `sample` holds typed values of a uniform sample of rows."""
        if self.counts is None:
            return self._from_sketch(sample)
        counts = self.counts
        raw = _array(list(counts))
        if pa.types.is_null(raw.type):
            raw = raw.cast(pa.string())
        repeats = np.fromiter(counts.values(), dtype=np.int64, count=len(counts))
        given = self._given(raw, repeats)
        values = parse_column(raw, self._reading)
        lost = is_missing(values)
        self.missing += int(repeats[lost].sum())
        self.unparsed += int(repeats[lost & given].sum())
        values, repeats = _merged(values[~lost], repeats[~lost])
        if not self._words:
            self.moments = Moments.of(_microseconds(values), repeats)
        order = np.lexsort((np.arange(len(values)), -repeats))[:TOP]
        return self._profile(
            distinct=len(values),
            exact=True,
            quantiles=self._quantiles(values, repeats),
            top=tuple((_shown(values[at]), int(repeats[at])) for at in order),
            top_exact=True,
        )

    def _from_sketch(self, sample: Array) -> ColumnProfile:
        values, repeats = _merged(
            sample[~is_missing(sample)], np.ones(int((~is_missing(sample)).sum()), dtype=np.int64)
        )
        scale = (self.n_rows - self.missing) / max(1, int(repeats.sum()))
        order = np.lexsort((np.arange(len(values)), -repeats))[:TOP]
        order = order[repeats[order] > 1]
        return self._profile(
            distinct=min(self.distinct.count, self.n_rows - self.missing),
            exact=self.distinct.exact,
            quantiles=self._quantiles(values, repeats),
            top=tuple((_shown(values[at]), round(repeats[at] * scale)) for at in order),
            top_exact=scale <= 1.0,
        )

    def _quantiles(self, values: Array, repeats: Counts) -> tuple[tuple[str, float | str], ...]:
        """Return the quantiles of sorted distinct values with their counts (nearest rank)."""
        if self._words or len(values) == 0:
            return ()
        ends = np.cumsum(repeats)
        at = [int(np.searchsorted(ends, q * ends[-1])) for q in QUANTILES]
        return tuple(
            (f"p{round(q * 100)}", _shown(values[min(i, len(values) - 1)]))
            for q, i in zip(QUANTILES, at, strict=True)
        )

    def _profile(
        self,
        *,
        distinct: int,
        exact: bool,
        quantiles: tuple[tuple[str, float | str], ...],
        top: tuple[tuple[float | str, int], ...],
        top_exact: bool,
    ) -> ColumnProfile:
        spread = self.moments if self.moments.n else None
        dates = self.field.type == "date"
        low: float | str | None = None if spread is None else spread.low
        high: float | str | None = None if spread is None else spread.high
        if spread is not None and dates:
            low, high = (iso(np.datetime64(int(v), "us")) for v in (spread.low, spread.high))
        return ColumnProfile(
            name=self.field.name,
            type=self.field.type,
            physical=self.physical,
            n_rows=self.n_rows,
            missing=self.missing,
            distinct=distinct,
            exact=exact,
            unparsed=self.unparsed,
            null_tokens=tuple((t, n) for t, n in self.tokens.items() if n),
            min=low,
            max=high,
            mean=None if spread is None or dates else spread.mean,
            std=None if spread is None or dates else spread.std,
            quantiles=quantiles,
            top=top,
            top_exact=top_exact,
        )


def _countable(raw: Any, field: Field) -> Any:
    """Return a plain Arrow array: no dictionary, decimal, zone or unit to look after."""
    kind = raw.type
    if pa.types.is_dictionary(kind):
        raw = raw.dictionary_decode()
    elif pa.types.is_null(kind):
        raw = raw.cast(pa.string())
    elif pa.types.is_decimal(kind) or pa.types.is_float16(kind) or pa.types.is_float32(kind):
        raw = raw.cast(pa.float64())
    elif pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        times = raw.cast(pa.timestamp("us", getattr(kind, "tz", None)), safe=False)
        raw = times.cast(pa.timestamp("us"))
        raw = raw if field.type == "date" else raw.cast(pa.string())
    elif pa.types.is_time(kind) or pa.types.is_duration(kind):
        raw = raw.cast(pa.string())
    return raw


def _array(values: list[Any]) -> Any:
    """Return an Arrow array; values of several types, as JSON Lines may bring, become text."""
    try:
        return pa.array(values, from_pandas=True)
    except pa.ArrowException:
        texts = [
            v if v is None or isinstance(v, str)
            else number_text(float(v)) if isinstance(v, int | float)
            else str(v)
            for v in values
        ]  # fmt: skip
        return pa.array(texts, pa.string())


def _keys(values: Any) -> list[Any]:
    """Return hashable Python values; NaN, which differs from itself, becomes None."""
    if pa.types.is_floating(values.type):
        return [None if v is None or v != v else v for v in values.to_pylist()]  # noqa: PLR0124
    found: list[Any] = values.to_pylist()
    return found


def _filter(raw: Any, keep: Array) -> Any:
    return raw if keep.all() else raw.filter(pa.array(keep))


def _bools(mask: Any) -> Array:
    found: Array = mask.to_numpy(zero_copy_only=False).astype(bool)
    return found


def _microseconds(values: Array) -> Floats:
    """Return times as microseconds since 1970, missing as NaN; numbers pass unchanged."""
    if values.dtype.kind != "M":
        return values
    return np.where(np.isnat(values), np.nan, values.view(np.int64).astype(np.float64))


def _merged(values: Array, counts: Counts) -> tuple[Array, Counts]:
    """Return the sorted distinct values with their counts added up."""
    if len(values) == 0:
        return values, counts
    unique, which = np.unique(values, return_inverse=True)
    return unique, np.bincount(which, weights=counts).astype(np.int64)


def _shown(value: Any) -> float | str:
    """Return a value as JSON has it."""
    if isinstance(value, np.datetime64):
        return iso(value)
    return value if isinstance(value, str) else float(value)
