"""Events on disk as plain columns in order of time, so that any number of them can be replayed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from promise.data.answer import Decision
from promise.data.columns import Array, Columns, IntArray
from promise.data.schema import Field, Schema
from promise.data.source import Source
from promise.data.target import check_target, labelled
from promise.errors import DataError
from promise.features.event import AMOUNT
from promise.features.history import Coded, History, Labels
from promise.features.keyed import ENTITIES
from promise.features.windows import duration_us
from promise.kernels.parsing import label_codes, parse_columns
from promise.kernels.rows import text_hash
from promise.workloads.fraud.events import Oddities, outcomes_counted, refuse_repeats, refuse_rows
from promise.workloads.fraud.task import fraud_task, known_at_field, label_field

_READ_ROWS = 1 << 21
_SEED = 0  # of the hashes of keys: equal keys are equal in every run
_NO_KEY = text_hash(np.array([None], dtype=object), _SEED)[0]


@dataclass(frozen=True)
class Spool:
    """Columns of all events, one file each, in order of time and each event once.

    Keys are kept as 64-bit hashes: among ten million different keys two are taken for one with a
    chance of about 1 in 400,000.

    Parameters
    ----------
    types
        Column to the type of its file: `at`, `row`, `y`, `known_at`, `id`, `key:ROLE` and
        `number:NAME`.
    """

    folder: Path
    n_rows: int
    types: Mapping[str, str]
    answer: Decision
    told: tuple[str, ...]

    def column(self, name: str, start: int = 0, stop: int | None = None) -> Array:
        """Return a stretch of a column."""
        kind = np.dtype(self.types[name])
        count = (self.n_rows if stop is None else stop) - start
        offset = start * kind.itemsize
        return np.fromfile(_path(self.folder, name), kind, count, offset=offset)

    def pick(self, name: str, rows: IntArray) -> Array:
        """Return a column at rising positions, reading it stretch by stretch."""
        parts = [self.column(name, 0, 0)]
        for start, stop in stretches(self.n_rows):
            low, high = np.searchsorted(rows, [start, stop])
            if high > low:
                parts.append(self.column(name, start, stop)[rows[low:high] - start])
        return np.concatenate(parts)

    def history(self, rows: IntArray, label_delay: str) -> History:
        """Return the events at rising positions as the history that a replay reads.

        Labels become known so long after their event, or when the table says.
        """
        at = self.pick("at", rows)
        y = self.pick("y", rows).astype(np.float64)
        known = at + duration_us(label_delay)
        if "known_at" in self.types:
            told = self.pick("known_at", rows)
            known = np.where(told == _NEVER, known, told)
        labelled = np.flatnonzero(~np.isnan(y))
        numbers = [n.removeprefix("number:") for n in self.types if n.startswith("number:")]
        keys = [n.removeprefix("key:") for n in self.types if n.startswith("key:")]
        return History(
            at,
            {role: _coded(self.pick(f"key:{role}", rows)) for role in keys},
            {name: self.pick(f"number:{name}", rows) for name in numbers},
            labels=Labels(labelled, y[labelled], known[labelled], labelled + 1),
        )


_NEVER = np.iinfo(np.int64).min
"""Not-a-time as a whole number."""


def spool(
    source: Source,
    formats: Mapping[str, Field],
    columns: Mapping[str, str],
    numbers: tuple[str, ...],
    folder: Path,
) -> Spool:
    """Write the events of a source, batch by batch, and put them in order of time.

    Parameters
    ----------
    formats, columns, numbers
        As for `read_events`, whose refusals hold here too.
    """
    folder.mkdir(parents=True, exist_ok=True)
    label = label_field(columns["label"], formats)
    answer, said = _outcomes(source, label)
    request = fraud_task(columns, numbers=numbers, formats=formats).request
    late = [known_at_field(columns["known_at"], formats)] if "known_at" in columns else []
    fields = Schema((*request.fields, label, *late))
    odd, types, n_rows = Oddities(columns), {}, 0
    files: dict[str, IO[bytes]] = {}
    try:
        for first, batch in source.batches(list(fields.names)):
            table = Columns(parse_columns(batch, fields.to_json()))
            rows = np.arange(first, first + batch.num_rows)
            refuse_rows(table, columns, rows)
            odd.add(table, rows)
            for name, values in _told(table, rows, columns, numbers, answer).items():
                if name not in files:
                    files[name] = _path(folder, name).open("wb")
                    types[name] = values.dtype.str
                values.tofile(files[name])
            n_rows += batch.num_rows
    finally:
        for file in files.values():
            file.close()
    if not n_rows:
        raise DataError(f"{source.name} has no rows, so there is nothing to learn from.")
    whole = Spool(folder, n_rows, types, answer, tuple([said] if said else []))
    ordered = _ordered(whole, columns.get("id", ""))
    return Spool(folder, ordered.n_rows, types, answer, (*ordered.told, *odd.told))


def stretches(n_rows: int, size: int = _READ_ROWS) -> Iterator[tuple[int, int]]:
    """Yield the ends of stretches of rows.

    Examples
    --------
    >>> list(stretches(5, 2))
    [(0, 2), (2, 4), (4, 5)]
    """
    for start in range(0, n_rows, size):
        yield start, min(start + size, n_rows)


def _outcomes(source: Source, label: Field) -> tuple[Decision, str]:
    """Look at all labels once and return what they say."""
    totals: dict[Any, int] = {}
    values: Array = np.zeros(0)
    for _, batch in source.batches([label.name]):
        values = parse_columns(batch, Schema((label,)).to_json())[label.name]
        distinct, counts = np.unique(values[labelled(values)], return_counts=True)
        for value, count in zip(distinct.tolist(), counts.tolist(), strict=True):
            totals[value] = totals.get(value, 0) + count
    found = np.array(sorted(totals), dtype=values.dtype)
    numbers = np.array([totals[value] for value in sorted(totals)], dtype=np.int64)
    check_target(np.repeat(found, np.minimum(numbers, 2)) if totals else values, label)
    return outcomes_counted(found, numbers, label)


def _told(
    table: Columns,
    rows: IntArray,
    columns: Mapping[str, str],
    numbers: tuple[str, ...],
    answer: Decision,
) -> dict[str, Array]:
    """Return what is kept of a batch."""
    codes = label_codes(table[columns["label"]], list(answer.outcomes))
    found: dict[str, Array] = {
        "at": _microseconds(table[columns["time"]]),
        "row": rows.astype(np.int64),
        "y": np.where(codes < 0, np.nan, codes).astype(np.float32),
    }
    if "known_at" in columns:
        found["known_at"] = _microseconds(table[columns["known_at"]])
    if "id" in columns:
        found["id"] = text_hash(table[columns["id"]], _SEED)
    for role in ENTITIES:
        if role in columns:
            found[f"key:{role}"] = text_hash(table[columns[role]], _SEED)
    if AMOUNT in columns:
        found[f"number:{AMOUNT}"] = table[columns[AMOUNT]]
    return found | {f"number:{name}": table[name] for name in numbers}


def _ordered(whole: Spool, id_name: str) -> Spool:
    """Put rows in order of time, and keep the first of each id, where that is not so yet."""
    at, told = whole.column("at"), list(whole.told)
    order: IntArray | None = None
    if not bool((at[1:] >= at[:-1]).all()):
        order = np.argsort(at, kind="stable")
        told.append("rows were out of order and are taken in the order of their times")
    del at
    if "id" in whole.types:
        keys = whole.column("id")
        keys = keys if order is None else keys[order]
        repeated = repeats(keys) & (keys != _NO_KEY)
        refuse_repeats(int(repeated.sum()), whole.n_rows, id_name)
        if repeated.any():
            told.append(f"{int(repeated.sum()):,} rows repeat an event's id and count once")
            order = np.arange(whole.n_rows) if order is None else order
            order = order[~repeated]
    if order is not None:
        for name in whole.types:
            whole.column(name)[order].tofile(_path(whole.folder, name))
    n_rows = whole.n_rows if order is None else len(order)
    return Spool(whole.folder, n_rows, whole.types, whole.answer, tuple(told))


def repeats(keys: Array) -> Array:
    """Return where a key was met before.

    Examples
    --------
    >>> repeats(np.array([5, 6, 5])).tolist()
    [False, False, True]
    """
    order = np.argsort(keys, kind="stable")
    again = np.zeros(len(keys), dtype=np.bool_)
    again[order[1:]] = keys[order[1:]] == keys[order[:-1]]
    return again


def _coded(keys: Array) -> Coded:
    """Return hashed keys as codes without gaps."""
    distinct, codes = np.unique(keys, return_inverse=True)
    codes = codes.reshape(-1).astype(np.int64)
    return Coded(np.where(keys == _NO_KEY, -1, codes), tuple(map(str, distinct.tolist())))


def _microseconds(times: Array) -> IntArray:
    found: IntArray = times.astype("datetime64[us]").astype(np.int64)
    return found


def _path(folder: Path, name: str) -> Path:
    return folder / f"{name.replace(':', '-')}.bin"
