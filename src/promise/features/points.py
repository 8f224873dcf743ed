"""Point-in-time joins: to each row what was known at its time, and nothing that came later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from promise.errors import ConfigError, DataError, near

_Codes = npt.NDArray[np.int64]
_UNITS = ("s", "ms", "us", "ns")


@dataclass(frozen=True)
class PointInTime:
    """Joins facts to rows as they were known at each row's time, so that no training leaks.

    Of an entity's facts with `event_time ≤ t` and `known_at ≤ t` a row gets the one with the
    latest event time; of several with the same event time the one known last, and of those the
    one that stands last in the table. A correction replaces its fact from when it became known,
    never before: the leak of joins that look at the event time alone.

    Parameters
    ----------
    on
        The entity columns, the same in both tables; two or more for pairs.
    at
        The rows' time column, or one moment for all of them.
    event_time
        The facts' column of when each happened.
    known_at
        The facts' column of when each became known; None only where every fact is known the
        moment it happens.
    max_age
        Facts that happened longer before a row's time are left out; None: none is too old.

    Notes
    -----
    Times are Arrow timestamps, all with a zone or all without, or whole numbers on one scale.
    Facts without an entity or a time are never known, rows without an entity find none.

    Examples
    --------
    >>> rows = pa.table({"card": ["a", "a"], "at": [5, 9]})
    >>> labels = pa.table({"card": ["a"], "event_time": [4], "known_at": [8], "fraud": [True]})
    >>> PointInTime(on=("card",)).join(rows, labels, ["fraud"])["fraud"].to_pylist()
    [None, True]
    """

    on: Sequence[str]
    at: str | datetime = "at"
    event_time: str = "event_time"
    known_at: str | None = "known_at"
    max_age: timedelta | None = None

    def __post_init__(self) -> None:
        if isinstance(self.on, str) or not self.on:
            raise ConfigError(f"on is {self.on!r}; expected a list of entity columns.")
        if isinstance(self.at, datetime) and self.at.tzinfo is None:
            raise ConfigError(f"{self.at.isoformat()} names no time zone; add tzinfo=UTC.")
        if self.max_age is not None and self.max_age < timedelta(0):
            raise ConfigError(f"max_age is {self.max_age}; expected a duration of 0 or more.")

    def join(self, rows: pa.Table, facts: pa.Table, values: Sequence[str]) -> pa.Table:
        """Return the rows in their order, with the facts' columns beside them; null for none.

        Raises
        ------
        DataError
            When a column is missing, types do not go together or a row has no time.
        ConfigError
            When a column would stand in the table twice.
        """
        twice = [name for name in values if name in rows.column_names]
        if twice:
            raise ConfigError(
                f"the rows have a column {twice[0]!r} already; rename the facts' column."
            )
        places = self.places(rows, facts)
        picked = _chosen(facts, values, "facts").take(places)
        for name in values:
            rows = rows.append_column(facts.schema.field(name), picked[name])
        return rows

    def places(self, rows: pa.Table, facts: pa.Table) -> pa.Array:
        """Return for each row the place of its fact in the table, int64; null for none.

        `facts.take(places)` is the facts beside the rows.
        """
        keys, fact_keys = _entities(
            _chosen(rows, self.on, "rows"), _chosen(facts, self.on, "facts")
        )
        t, happened, known, age = self._times(rows, facts)
        if len(facts) == 0 or len(rows) == 0:
            return pa.nulls(len(rows), pa.int64())
        usable = np.flatnonzero((fact_keys >= 0) & ~np.isnat(happened) & ~np.isnat(known))
        found = _latest(keys, t, fact_keys[usable], happened[usable], known[usable])
        places = np.where(found >= 0, usable[found] if len(usable) else -1, -1)
        if age is not None:
            # the chosen one is the latest, so where it is too old all others are
            old = (places >= 0) & (t - happened[places] > age)
            places[old] = -1
        return pa.array(places, mask=places < 0)

    def _times(self, rows: pa.Table, facts: pa.Table) -> tuple[Any, Any, Any, Any]:
        """Return the times of rows and facts as datetime64 of one unit, and the age with them."""
        named = [_chosen(facts, [self.event_time], "facts").column(0)]
        if self.known_at is not None:
            named.append(_chosen(facts, [self.known_at], "facts").column(0))
        if isinstance(self.at, datetime):
            moment = pa.scalar(self.at.astimezone(UTC), pa.timestamp("us", "UTC"))
            first = pa.chunked_array([pa.repeat(moment, len(rows))], moment.type)
        else:
            first = _chosen(rows, [self.at], "rows").column(0)
        t, happened, *rest = _aligned([first, *named])
        if np.isnat(t).any():
            raise DataError(
                f"row {int(np.flatnonzero(np.isnat(t))[0]) + 1:,} has no time in {self.at!r}; "
                "drop such rows first."
            )
        known = np.maximum(happened, rest[0]) if rest else happened
        return t, happened, known, self._age(first.type)

    def _age(self, kind: pa.DataType) -> Any:
        if self.max_age is None:
            return None
        if not pa.types.is_timestamp(kind):
            raise ConfigError("max_age needs times that are timestamps, not whole numbers.")
        return np.timedelta64(self.max_age, "us")


def _latest(keys: _Codes, t: Any, fact_keys: _Codes, happened: Any, known: Any) -> _Codes:
    """Return for each row the index of its fact; -1 for none.

    A fact can be used from the later of its two times on. In this order, entity by entity, the
    best fact so far is a running maximum over the rank by event time; as ranks of later
    entities are shifted above those before, one maximum over all of them never mixes two.
    """
    n = len(fact_keys)
    if n == 0:
        return np.full(len(keys), -1, dtype=np.int64)
    rank = np.empty(n, dtype=np.int64)
    by_rank = np.lexsort((known, happened))  # stable: of equals the last in the table wins
    rank[by_rank] = np.arange(n)
    order = np.lexsort((known, fact_keys))
    best = np.maximum.accumulate(fact_keys[order] * n + rank[order])  # (n_facts,)
    scale, codes = np.unique(np.concatenate([known, t]), return_inverse=True)
    stride = len(scale)
    ends = np.searchsorted(
        fact_keys[order] * stride + codes[:n][order], keys * stride + codes[n:], side="right"
    )
    found = best[np.maximum(ends - 1, 0)]
    # what lies before a row may be of another entity
    own = (ends > 0) & (keys >= 0) & (found // n == keys)
    return np.where(own, by_rank[found % n], -1)


def _entities(rows: pa.Table, facts: pa.Table) -> tuple[_Codes, _Codes]:
    """Return the code of each row's entity and of each fact's; -1 where a part is missing."""
    n = len(rows)
    codes = np.zeros(n + len(facts), dtype=np.int64)
    missing = np.zeros(len(codes), dtype=bool)
    for name in rows.column_names:
        ours, theirs = _plain(rows[name]), _plain(facts[name])
        if ours.type != theirs.type and len(rows) and len(facts):
            raise DataError(
                f"entity column {name!r} is {ours.type} in the rows and {theirs.type} in the "
                "facts; cast one of them, so that equal entities compare equal."
            )
        part = pa.concat_arrays([_combined(ours), _combined(theirs.cast(ours.type))])
        encoded = part.dictionary_encode()
        missing |= np.asarray(part.is_null())
        own = np.asarray(pc.fill_null(encoded.indices, 0)).astype(np.int64)
        # made dense again after each column, so that the product stays small
        codes = np.unique(codes * max(len(encoded.dictionary), 1) + own, return_inverse=True)[1]
    codes = codes.astype(np.int64)
    codes[missing] = -1
    return codes[:n], codes[n:]


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column without its own encoding, texts of every width as one type."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_string(column.type) or pa.types.is_string_view(column.type):
        return column.cast(pa.large_string())
    return column


def _combined(column: pa.ChunkedArray) -> pa.Array:
    made = column.combine_chunks()
    return made if isinstance(made, pa.Array) else pa.concat_arrays(made.chunks)


def _aligned(columns: list[pa.ChunkedArray]) -> list[Any]:
    """Return time columns as datetime64 of the finest unit among them; NaT for null."""
    kinds = {_zoned(column.type) for column in columns}
    if len(kinds) > 1:
        shown = ", ".join(str(column.type) for column in columns)
        raise DataError(
            f"the times are of types {shown}; expected all with a zone, all without, or whole "
            "numbers on one scale."
        )
    if kinds == {"number"}:
        found = [pc.cast(column, pa.int64()).cast(pa.timestamp("us")) for column in columns]
    else:
        unit = max((column.type.unit for column in columns), key=_UNITS.index)
        try:
            found = [column.cast(pa.timestamp(unit, column.type.tz)) for column in columns]
        except pa.ArrowInvalid as error:
            raise DataError(f"a time cannot be told in {unit}: {error}; cast it first.") from error
    return [_instants(column) for column in found]


def _instants(column: pa.ChunkedArray) -> Any:
    unit = column.type.unit
    numbers = pc.fill_null(column.cast(pa.int64()), np.iinfo(np.int64).min)  # NaT
    return np.asarray(numbers).view(f"datetime64[{unit}]")


def _zoned(kind: pa.DataType) -> str:
    if pa.types.is_timestamp(kind):
        return "naive" if kind.tz is None else "zoned"
    if pa.types.is_integer(kind):
        return "number"
    raise DataError(f"a time column is of type {kind}; expected timestamps or whole numbers.")


def _chosen(table: pa.Table, names: Sequence[str], what: str) -> pa.Table:
    for name in names:
        if name not in table.column_names:
            hint = near(name, table.column_names)
            way = (
                " Facts need a time from when they are known; set known_at=None only where that "
                "is the moment they happen."
                if name == "known_at"
                else ""
            )
            raise DataError(f"the {what} have no column {name!r}; {hint}{way}")
    return table.select(list(names))
