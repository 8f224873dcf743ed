"""Events and labels of the past as columns, in the order in which they came in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from promise.errors import DataError, near
from promise.features.event import AMOUNT, LARGEST, LATEST_US, Event, Label, Record
from promise.features.windows import duration_us

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Coded:
    """Texts as numbers: `codes` int64 (n_rows,) are places in `values`, −1 where missing."""

    codes: Ints
    values: tuple[str, ...]

    @classmethod
    def of(cls, column: pa.ChunkedArray) -> Coded:
        """Code a column; numbers are coded by their text."""
        coded = column.combine_chunks().dictionary_encode()
        codes = pc.fill_null(coded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
        return cls(codes, tuple(coded.dictionary.cast(pa.string()).to_pylist()))

    def at(self, row: int) -> str | None:
        """Return a row's text."""
        code = self.codes[row]
        return None if code < 0 else self.values[code]


@dataclass(frozen=True)
class Labels:
    """Labels in the order in which they came in.

    Parameters
    ----------
    rows
        The events' row numbers, int64 (n_labels,).
    values, known_at
        Above 0 is a positive; from when on features may use it.
    after
        How many event rows had come in before the label. A label that came before its event is of
        an unknown event and changes nothing.
    """

    rows: Ints
    values: NDArray[np.float64]
    known_at: Ints
    after: Ints


def no_labels() -> Labels:
    """Return the labels of a history that has none."""
    none = np.zeros(0, np.int64)
    return Labels(none, none.astype(np.float64), none, none)


@dataclass(frozen=True)
class History:
    """What came in, row by row in that order: times may go back, ids may repeat.

    Parameters
    ----------
    ids
        None: every row is an event of its own.
    at
        Microseconds since 1970, int64 (n_rows,).
    numbers
        By field name, float64 with NaN where missing; `amount` among them.
    """

    at: Ints
    entities: Mapping[str, Coded]
    numbers: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    texts: Mapping[str, Coded] = field(default_factory=dict)
    labels: Labels = field(default_factory=no_labels)
    ids: Coded | None = None

    def __len__(self) -> int:
        return len(self.at)

    @classmethod
    def of(
        cls,
        table: pa.Table,
        *,
        time: str,
        entities: Mapping[str, str],
        id: str | None = None,
        amount: str | None = None,
        numbers: tuple[str, ...] = (),
        texts: tuple[str, ...] = (),
        label: str | None = None,
        label_delay: str = "0s",
        known_at: str | None = None,
    ) -> History:
        """Read a table of events whose rows stand in the order in which they came in.

        Parameters
        ----------
        entities
            Role to column.
        label
            Column of 0 and 1; null: never known.
        label_delay, known_at
            When labels become known: so long after the event, or at the time in this column.

        Raises
        ------
        DataError
            When a column is absent, a time is null or a number is out of range.

        Examples
        --------
        >>> table = pa.table({"t": [0, 5], "card": ["ann", "ann"], "eur": [3.0, None]})
        >>> history = History.of(table, time="t", entities={"entity": "card"}, amount="eur")
        >>> history.event(1)
        Event(id='1', at=5, entities={'entity': 'ann'}, amount=None, fields={})
        """
        at = _times(table, time)
        read = {name: _numbers(table, name) for name in numbers}
        if amount is not None:
            read[AMOUNT] = _numbers(table, amount)
        labels = no_labels()
        if label is not None:
            values = _numbers(table, label)
            known = at + duration_us(label_delay) if known_at is None else _times(table, known_at)
            rows = np.flatnonzero(~np.isnan(values))
            labels = Labels(rows, values[rows], known[rows], rows + 1)
        return cls(
            at,
            {role: Coded.of(_column(table, name)) for role, name in entities.items()},
            read,
            {name: Coded.of(_column(table, name)) for name in texts},
            labels,
            None if id is None else Coded.of(_column(table, id)),
        )

    @cached_property
    def first(self) -> Ints:
        """For each row the first row of the same event id: itself, unless it is a duplicate."""
        rows = np.arange(len(self), dtype=np.int64)
        if self.ids is None or len(self.ids.values) == len(self):
            return rows
        _, first, codes = np.unique(self.ids.codes, return_index=True, return_inverse=True)
        return first[codes].astype(np.int64)

    def number(self, name: str) -> NDArray[np.float64]:
        """Return a field's numbers.

        Raises
        ------
        DataError
            When the history has none of this name.
        """
        if name not in self.numbers:
            known = sorted(self.numbers)
            raise DataError(f"the history has no numbers {name!r}; {near(name, known)}")
        return self.numbers[name]

    def text(self, name: str) -> Coded:
        """Return the keys of a role, or the texts of a field.

        Raises
        ------
        DataError
            When the history has none of this name.
        """
        found = self.entities.get(name) or self.texts.get(name)
        if found is None:
            known = sorted({*self.entities, *self.texts})
            raise DataError(f"the history has no role or text {name!r}; {near(name, known)}")
        return found

    def event(self, row: int) -> Event:
        """Return one event."""
        told = ((role, coded.at(row)) for role, coded in self.entities.items())
        fields: dict[str, float | str | None] = {n: c.at(row) for n, c in self.texts.items()}
        fields |= {n: _or_none(v[row]) for n, v in self.numbers.items() if n != AMOUNT}
        return Event(
            self.id_of(row),
            int(self.at[row]),
            {role: key for role, key in told if key is not None},
            _or_none(self.numbers[AMOUNT][row]) if AMOUNT in self.numbers else None,
            fields,
        )

    def label(self, place: int) -> Label:
        """Return one label."""
        row = int(self.labels.rows[place])
        told = ((role, coded.at(row)) for role, coded in self.entities.items())
        return Label(
            self.id_of(row),
            float(self.labels.values[place]),
            int(self.labels.known_at[place]),
            {role: key for role, key in told if key is not None},
        )

    def id_of(self, row: int) -> str:
        """Return an event's id; the row's number where the table has none."""
        if self.ids is None:
            return str(row)
        told = self.ids.at(row)
        if told is None:
            raise DataError(f"row {row} has no event id; fill the column or leave it out")
        return told

    def records(self) -> Iterator[tuple[int, Record]]:
        """Yield events and labels in the order in which they came in, events with their row.

        Labels have −1 for a row.
        """
        waiting = np.argsort(self.labels.after, kind="stable").tolist()
        after = self.labels.after[waiting].tolist()
        place = 0
        for row in range(len(self) + 1):
            while place < len(waiting) and (after[place] <= row or row == len(self)):
                yield -1, self.label(waiting[place])
                place += 1
            if row < len(self):
                yield row, self.event(row)


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _column(table: pa.Table, name: str) -> pa.ChunkedArray:
    if name not in table.column_names:
        raise DataError(f"the events have no column {name!r}; {near(name, table.column_names)}")
    return table.column(name)


def _times(table: pa.Table, name: str) -> Ints:
    column = _column(table, name)
    if column.null_count:
        raise DataError(f"{column.null_count} events have no time in {name!r}; fill or drop them")
    if pa.types.is_temporal(column.type):
        column = column.cast(pa.timestamp("us"), safe=False).cast(pa.int64())
    elif not pa.types.is_integer(column.type):
        raise DataError(
            f"the time column {name!r} is {column.type}; expected timestamps, or whole "
            "microseconds since 1970"
        )
    at: Ints = column.cast(pa.int64()).to_numpy()
    if len(at) and max(-at.min(), at.max()) >= LATEST_US:
        raise DataError(f"times in {name!r} lie beyond the year 30000; expected microseconds")
    return at


def _numbers(table: pa.Table, name: str) -> NDArray[np.float64]:
    column = _column(table, name)
    values = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    bad = np.flatnonzero(np.abs(values) > LARGEST)
    if len(bad):
        raise DataError(
            f"row {bad[0]} has {values[bad[0]]!r} in {name!r}, beyond ±1e11; expected a number, or "
            "null where it is missing"
        )
    return np.asarray(values, dtype=np.float64)
