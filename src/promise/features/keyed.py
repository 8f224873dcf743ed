"""Featurize for events: the features of all entities that an event names, as one matrix."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pyarrow as pa

from promise.data.columns import Array, Columns, FloatArray
from promise.errors import DataError
from promise.features.event import AMOUNT, Event
from promise.features.history import History
from promise.features.replay import replay
from promise.features.sets import FeatureSet
from promise.features.view import FeatureView
from promise.features.windows import duration_us
from promise.models.blend import matrix_column

SEEN = "\0seen"
"""The column in which features travel that were read when the event came in: float64 (n, d).

No file has such a column name."""

VIEW = "keyed"
"""The view whose matrix the scorer's members read."""

ENTITIES = ("entity", "other", "device", "ip", "user_agent", "location")
"""Roles whose columns are keys; an event may lack any of them."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Keyed:
    """What an event's entities did before it: read online from a store, offline by replay.

    Parameters
    ----------
    features
        The declared views.
    columns
        Role to the request's field: `id`, `time`, `amount`, and those of `ENTITIES`.
    numbers, texts
        Further fields that views read, by their own names.
    label_delay
        How long labels take to become known, as replays assume where no time is given.
    """

    kind: ClassVar[str] = "keyed"
    kind_version: ClassVar[int] = 1
    features: FeatureSet
    columns: Mapping[str, str]
    numbers: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    label_delay: str = "0s"

    @property
    def versions(self) -> Mapping[str, int]:
        """View name to version, as the manifest records it."""
        return self.features.versions

    @property
    def entities(self) -> Mapping[str, str]:
        """Role to field, of the keys alone."""
        return {role: name for role, name in self.columns.items() if role in ENTITIES}

    def event(self, row: Mapping[str, Any], *, id: str, at: int) -> Event:
        """Return one request as an event.

        Parameters
        ----------
        row
            Field to typed value: numbers as floats or None, keys and texts as text or None.
        at
            Microseconds since 1970.
        """
        entities = {role: row[name] for role, name in self.entities.items() if row[name]}
        fields = {name: row[name] for name in (*self.numbers, *self.texts)}
        amount = row[self.columns[AMOUNT]] if AMOUNT in self.columns else None
        return Event(id, at, entities, amount, fields)

    def needs(self, request: Columns) -> tuple[str, ...]:
        """Name the stored states of the request's entities."""
        found: list[str] = []
        for row in range(request.n_rows):
            named = {role: request[name][row] for role, name in self.entities.items()}
            keys = self.features.keys({role: key for role, key in named.items() if key})
            found += [key for key in keys if key is not None]
        return tuple(dict.fromkeys(found))

    def many(self, columns: Columns, state: Mapping[str, bytes], at: datetime | None) -> Columns:
        """Return the request with the matrix of its features, float32 (n, d), row for row.

        Features that were read when the events came in are taken as they are; otherwise they are
        computed from the given states, each row for itself.
        """
        seen = columns[SEEN] if SEEN in columns else self._read(columns, state, at)
        matrix = np.ascontiguousarray(seen, dtype=np.float32)
        return columns.with_columns({matrix_column(VIEW): matrix})

    def replay(self, rows: Columns, labels: Columns | None = None, *, threads: int = 2) -> Columns:
        """Return rows that came in one after the other with what each saw of those before it.

        Parameters
        ----------
        labels
            Columns `label` (float64, NaN: never known) and, where it is told, `known_at`.
        """
        history = self.history(rows, labels)
        return rows.with_columns({SEEN: replay(self.features, history, threads=threads)})

    def replay_by_time(
        self, rows: Columns, labels: Columns | None = None, *, threads: int = 2
    ) -> Columns:
        """Return rows of a file with what each saw of those that happened before it.

        A file does not tell what came in late, so rows are taken in the order of their times, and
        those of one time in the order of the file.
        """
        times = rows[self.columns["time"]]
        order = np.argsort(times, kind="stable")
        if bool((order[1:] > order[:-1]).all()):
            return self.replay(rows, labels, threads=threads)
        told = None if labels is None else labels.take(order)
        seen = self.replay(rows.take(order), told, threads=threads)[SEEN]
        back = np.empty_like(order)
        back[order] = np.arange(len(order))
        return rows.with_columns({SEEN: seen[back]})

    def history(self, rows: Columns, labels: Columns | None = None) -> History:
        """Return rows as the history that a replay reads."""
        arrays = {name: _arrow(rows[name]) for name in (*self.columns.values(), *self.numbers,
                                                        *self.texts)}  # fmt: skip
        told = {} if labels is None else {f"\0{n}": _arrow(labels[n]) for n in labels}
        if labels is not None and "known_at" in labels:  # where nobody tells, the usual delay
            usual = rows[self.columns["time"]] + np.timedelta64(duration_us(self.label_delay), "us")
            when = labels["known_at"]
            told["\0known_at"] = _arrow(np.where(np.isnat(when), usual, when))
        return History.of(
            pa.table({**arrays, **told}),
            time=self.columns["time"],
            entities=self.entities,
            id=self.columns.get("id"),
            amount=self.columns.get(AMOUNT),
            numbers=self.numbers,
            texts=self.texts,
            label=None if labels is None else "\0label",
            label_delay=self.label_delay,
            known_at="\0known_at" if "\0known_at" in told else None,
        )

    def save(self, folder: Path) -> None:
        """Write the declarations as JSON."""
        data = {
            "views": [json.loads(view.to_json()) for view in self.features.views],
            "columns": dict(self.columns),
            "numbers": list(self.numbers),
            "texts": list(self.texts),
            "label_delay": self.label_delay,
        }
        (folder / "keyed.json").write_text(json.dumps(data, indent=2), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote."""
        data = json.loads((folder / "keyed.json").read_text(encoding="utf-8"))
        views = tuple(FeatureView.from_json(json.dumps(view)) for view in data["views"])
        return cls(
            FeatureSet(views),
            data["columns"],
            tuple(data["numbers"]),
            tuple(data["texts"]),
            data["label_delay"],
        )

    def _read(
        self, columns: Columns, state: Mapping[str, bytes], at: datetime | None
    ) -> FloatArray:
        names = (*self.columns.values(), *self.numbers, *self.texts)
        out = np.empty((columns.n_rows, len(self.features.columns)))
        for row in range(columns.n_rows):
            values = {name: _plain(columns[name][row]) for name in names}
            moment = self._moment(columns[self.columns["time"]][row], at, row)
            event = self.event(values, id=f"row {row}", at=moment)
            keys = self.features.keys(event.entities)
            rings = [
                kernel.load(state[key]) if key is not None and key in state else None
                for kernel, key in zip(self.features.kernels, keys, strict=True)
            ]
            out[row] = self.features.vector(event, rings)
        return out

    def _moment(self, time: np.datetime64, at: datetime | None, row: int) -> int:
        if not np.isnat(time):
            return int(time.astype("datetime64[us]").astype(np.int64))
        if at is None:
            raise DataError(
                f"row {row} has no time in {self.columns['time']!r}; send when it happened."
            )
        return (at - _EPOCH) // _MICROSECOND


def _plain(value: Any) -> Any:
    """Return a typed cell as an event holds it; what is missing becomes None."""
    if value is None or isinstance(value, str | np.datetime64):
        return value
    return None if np.isnan(value) else float(value)


def _arrow(values: Array) -> Any:
    if values.dtype == object:
        return pa.array(values, pa.string(), from_pandas=True)
    return pa.array(values)
