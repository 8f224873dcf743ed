"""Serialisable rules that seal a holdout and deal the other rows into folds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from promise.data.answer import Answer
from promise.data.columns import Array, Columns, IntArray
from promise.data.evidence import BIRTH, group_evidence, holdout_fraction, ordered
from promise.data.sample import strata_codes, time_numbers
from promise.data.schema import Schema
from promise.errors import ConfigError, DataError
from promise.kernels.parsing import number_text
from promise.kernels.rows import row_hash, text_hash

SplitKind = Literal["random", "stratified", "grouped", "temporal"]
TRAIN, HOLDOUT, GAP = 0, 1, -1
LEAST_ROWS = 10
"""With fewer rows, no holdout says anything about what was learned from the others."""

_APART = 0x5EA1


@dataclass(frozen=True)
class Split:
    """A rule that says of each row whether it is sealed away.

    Parameters
    ----------
    fraction
        Share of rows in the holdout.
    column
        The time or group column, for temporal and grouped splits.
    cutoff
        For temporal splits: the first time of the holdout, in ISO form, or a number.
    gap_s
        For temporal splits: seconds before the cutoff whose rows belong to neither side.
    reason
        The evidence for this rule.

    Examples
    --------
    >>> split = Split("temporal", 0.2, 7, "day", "2024-01-03", 86400.0)
    >>> days = np.array(["2024-01-01", "2024-01-02", "2024-01-03"], dtype="M8[us]")
    >>> split.holdout(np.arange(3), time=days)
    array([ 0, -1,  1], dtype=int8)
    >>> split.describe()
    'the latest 20 % of rows by `day` (from 2024-01-03, gap 86,400 s)'
    """

    kind: SplitKind
    fraction: float
    seed: int
    column: str | None = None
    cutoff: str | None = None
    gap_s: float = 0.0
    reason: str = ""

    def holdout(
        self,
        rows: IntArray,
        *,
        y: Array | None = None,
        time: Array | None = None,
        group: Array | None = None,
    ) -> npt.NDArray[np.int8]:
        """Return 0 for rows to learn from, 1 for sealed rows, -1 for rows to drop (the gap).

        A random, grouped or temporal rule judges each row by itself. A stratified one ranks the
        rows of each class (or quantile of a number) by hash and seals the first share, so it
        wants the same rows again. Classes too small for a share of their own are pooled, and
        each keeps a row to learn from: a class of one row is sealed as the last resort only.
        """
        if self.kind == "temporal":
            return self._temporal(given(time, "time", self))
        if self.kind == "grouped":
            side = _unit(group_hash(given(group, "group", self), self.seed)) < self.fraction
            return side.astype(np.int8)
        # a sample of the same seed is made of small hashes: another seed keeps the two apart
        hashes = row_hash(np.asarray(rows, dtype=np.int64), self.seed + _APART)
        if self.kind == "random":
            return (_unit(hashes) < self.fraction).astype(np.int8)
        sealed = _stratified(given(y, "y", self), hashes, self.fraction)
        if sealed.all() or not sealed.any():
            raise DataError(
                f"{len(sealed):,} rows are too few to seal {self.fraction:.0%} of them and learn "
                f"from the others; give at least {LEAST_ROWS} rows with a label."
            )
        return sealed.astype(np.int8)

    def _temporal(self, time: Array) -> npt.NDArray[np.int8]:
        numbers = time_numbers(time)
        if self.cutoff is None:
            raise ConfigError("a temporal split needs its cutoff.")
        cutoff = cutoff_number(self.cutoff, time.dtype.kind == "M")
        gap = self.gap_s * (1e6 if time.dtype.kind == "M" else 1.0)
        side = np.where(numbers >= cutoff, HOLDOUT, np.where(numbers >= cutoff - gap, GAP, TRAIN))
        # a row without a time may be of the future: it is on neither side
        return np.where(np.isnan(numbers), GAP, side).astype(np.int8)

    def describe(self) -> str:
        """Say in one phrase which rows are sealed."""
        share = f"{100 * self.fraction:.4g} %"
        if self.kind == "temporal":
            gap = f"gap {self.gap_s:,.0f} s"
            return f"the latest {share} of rows by `{self.column}` (from {self.cutoff}, {gap})"
        if self.kind == "grouped":
            return f"all rows of a random {share} of the values of `{self.column}`"
        by = ", in equal shares of each class or quantile of the target"
        return f"a random {share} of rows" + (by if self.kind == "stratified" else "")

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready description."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Split:
        """Read back what `to_json` wrote."""
        return cls(**data)


def choose_split(
    columns: Columns,
    schema: Schema,
    y: Array,
    answer: Answer,
    rows: IntArray,
    *,
    time: str | None = None,
    group: str | None = None,
    seed: int,
    fraction: float | None = None,
    gap_s: float = 0.0,
) -> Split:
    """Choose how to seal the holdout: what the user names wins, then evidence in the data.

    A date column along which the rows are in order asks for later rows. A column that names
    people or the like, repeated and with labels more alike within than between its values, asks
    for whole groups. Otherwise rows are drawn stratified by the label.

    Parameters
    ----------
    columns, y, rows
        The rows to split, their labels without missing ones, and their numbers in the source.
    fraction
        Share of the holdout; None: 20 %, at most 20,000 rows, and 25 % below 250 rows.

    Raises
    ------
    DataError
        When a side would be empty: too few rows, a single time or group, a gap too long.

    Examples
    --------
    >>> from promise.data.answer import Number
    >>> from promise.data.schema import Field
    >>> days = np.arange("2024-01-01", "2024-02-01", dtype="M8[D]").astype("M8[us]")
    >>> split = choose_split(
    ...     Columns({"day": days}), Schema((Field("day", "date"),)), np.arange(31.0), Number(),
    ...     np.arange(31), seed=7,
    ... )
    >>> split.kind, split.cutoff
    ('temporal', '2024-01-24')
    """
    if len(y) < LEAST_ROWS:
        raise DataError(
            f"{len(y)} rows have a label, too few to learn from some and be judged by others; "
            f"expected at least {LEAST_ROWS}, better some hundreds: add rows."
        )
    share = holdout_fraction(len(y)) if fraction is None else fraction
    time = time or _role(schema, "time")
    group = group or _role(schema, "group")
    if time is not None:
        return _temporal(columns[time], time, share, seed, gap_s, f"`{time}` was named as the time")
    if group is not None:
        return _grouped(columns[group], group, share, seed, f"`{group}` was named as the group")
    for field in schema:
        if field.type == "date" and field.name in columns and not BIRTH.search(field.name):
            order = ordered(columns[field.name], rows)
            if abs(order) > 0.95:
                reason = (
                    f"the rows are in the order of `{field.name}` (rank correlation {order:.2f})"
                )
                return _temporal(columns[field.name], field.name, share, seed, gap_s, reason)
    for field in schema:
        found = group_evidence(field, columns, y, answer)
        if found is not None:
            return _grouped(columns[field.name], field.name, share, seed, found)
    reason = "no column shows an order in time or groups of rows that belong together"
    return Split("stratified", share, seed, reason=reason)


def time_cutoff(time: Array, fraction: float) -> str:
    """Return the time whose later rows make up about this share; equal times stay together.

    Examples
    --------
    >>> time_cutoff(np.array(["2024-01-01", "2024-01-02", "2024-01-02"], dtype="M8[us]"), 0.3)
    '2024-01-02'
    """
    numbers = time_numbers(time)
    distinct, counts = np.unique(numbers[~np.isnan(numbers)], return_counts=True)
    if len(distinct) < 2:
        raise DataError("the time column has a single value; name another with --time.")
    later = np.cumsum(counts[::-1])[::-1] / counts.sum()
    best = 1 + int(np.argmin(np.abs(later[1:] - fraction)))
    if time.dtype.kind != "M":
        return number_text(float(distinct[best]))
    moment = str(np.datetime64(int(distinct[best]), "us"))
    return moment.removesuffix(".000000").removesuffix("T00:00:00")


def cutoff_number(cutoff: str, is_date: bool) -> float:
    """Return a cutoff on the scale of `time_numbers`."""
    if is_date:
        return float(np.datetime64(cutoff, "us").astype(np.int64))
    return float(cutoff)


def _role(schema: Schema, role: str) -> str | None:
    return next((field.name for field in schema if field.role == role), None)


def _temporal(
    values: Array, name: str, share: float, seed: int, gap_s: float, reason: str
) -> Split:
    if values.dtype.kind not in "Mfiu":
        raise DataError(f"the time column {name!r} holds text; expected dates or numbers.")
    split = Split("temporal", share, seed, name, time_cutoff(values, share), gap_s, reason)
    if not (split.holdout(np.arange(len(values)), time=values) == TRAIN).any():
        raise DataError(
            f"no row of {name!r} is earlier than the gap of {gap_s:,.0f} s before {split.cutoff}; "
            "give a shorter gap."
        )
    return split


def _grouped(values: Array, name: str, share: float, seed: int, reason: str) -> Split:
    # among few groups the seed's own draw may seal none or nearly all: then the next draw counts
    hashes = group_hash(values, seed)
    for draw in range(64):
        split = Split("grouped", share, seed + draw, name, reason=reason)
        side = split.holdout(np.arange(len(values)), group=values)
        if side.any() and len(np.unique(hashes[side == TRAIN])) >= 2:
            return split
    raise DataError(
        f"the group column {name!r} has {len(np.unique(hashes))} values, too few to seal whole "
        "groups, learn from others and validate on a third; expected at least a dozen: "
        "name another column with --group."
    )


def _unit(hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.float64]:
    """Return hashes as numbers in [0, 1)."""
    return (hashes >> np.uint64(11)).astype(np.float64) / 2.0**53


def _stratified(y: Array, hashes: npt.NDArray[np.uint64], share: float) -> npt.NDArray[np.bool_]:
    """Return which rows to seal: the share of each large stratum, and of the small ones pooled."""
    strata = strata_codes(y)
    ranks, sizes = _ranks(strata, hashes)
    small = sizes < 1 / share
    sealed = ~small & ((ranks + 0.5) / sizes < share)
    # in the order of strata, rows picked at even distances lie in different strata
    pool = np.lexsort((hashes, strata))
    pool = pool[small[pool]]
    single = sizes[pool] == 1 if y.dtype.kind not in "fM" else np.zeros(len(pool), dtype=np.bool_)
    repeated, alone = pool[~single], pool[single]
    wanted = round(share * len(pool))
    from_repeated = min(wanted, len(repeated) // 2)
    sealed[_evenly(repeated, from_repeated)] = True
    sealed[_evenly(alone, min(wanted - from_repeated, len(alone)))] = True
    return sealed


def _evenly(places: npt.NDArray[np.int64], wanted: int) -> npt.NDArray[np.int64]:
    """Return so many of the places, at even distances."""
    return places[(2 * np.arange(wanted) + 1) * len(places) // max(1, 2 * wanted)]


def _ranks(
    strata: npt.NDArray[np.int64], hashes: npt.NDArray[np.uint64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return each row's rank by hash within its stratum, and the stratum's size."""
    order = np.lexsort((hashes, strata))
    _, starts, counts = np.unique(strata[order], return_index=True, return_counts=True)
    ranks = np.empty(len(strata), dtype=np.int64)
    sizes = np.empty(len(strata), dtype=np.int64)
    ranks[order] = np.arange(len(strata)) - np.repeat(starts, counts)
    sizes[order] = np.repeat(counts, counts)
    return ranks, sizes


def given(values: Array | None, name: str, split: Split) -> Array:
    if values is None:
        raise ConfigError(f"a {split.kind} split needs `{name}` of each row.")
    return values


def group_hash(group: Array, seed: int) -> npt.NDArray[np.uint64]:
    """Hash groups by their text, so that 7 and 7.0 and "7" are one group."""
    if group.dtype.kind == "O":
        return text_hash(group, seed)
    numbers = group.astype(np.float64) if group.dtype.kind in "iufb" else time_numbers(group)
    distinct, codes = np.unique(numbers, return_inverse=True)
    texts = [None if np.isnan(v) else number_text(float(v)) for v in distinct]
    return text_hash(np.array([*texts, None], dtype=object), seed)[codes.reshape(-1)]
