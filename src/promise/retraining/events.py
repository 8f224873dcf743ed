"""Everything that a keyed model's features counted: answers without a label, events told alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np

from promise.data.answer import Answer
from promise.data.columns import Array, IntArray
from promise.data.schema import Schema
from promise.data.target import labelled
from promise.features.event import micros_of
from promise.features.keyed import Keyed
from promise.records.events import Event, Events
from promise.records.labels import Labels
from promise.records.source import AT, ID
from promise.retraining.frontier import Frontier
from promise.retraining.logged import Logged, typed_rows
from promise.state.moments import to_text

_AT_ONCE = 2_000


@dataclass(frozen=True)
class Telling:
    """Completes the answers of a keyed model to all the events that its servers met.

    Features look back on every event, whether it was asked about or told, and whether anybody
    knows what became of it; a history without some of them would teach other values than servers
    read.

    Parameters
    ----------
    schema
        Of the rows, the label last.
    as_of
        Nothing that was not known then is read.
    """

    keyed: Keyed
    schema: Schema
    answer: Answer
    labels: Labels
    model: str
    as_of: datetime

    def completed(self, logged: Logged, frontier: Frontier) -> Logged:
        """Return all events behind a frontier, each once, with every label known by now."""
        told = frontier.behind(self._told()).joined(logged.columns)
        return self._once(self._relabelled(told, logged.strange)).sorted()

    def _told(self) -> Logged:
        """Return the events that were told without asking for an answer."""
        events, number = Events(self.labels.database, self.labels.clock), 0
        rows: list[dict[str, Any]] = []
        happened: dict[str, np.datetime64] = {}
        while block := events.since(number, _AT_ONCE, model=self.model):
            number = block[-1].number
            for event in block:
                if event.received_at <= self.as_of:
                    rows.append(self._row(event))
                    happened[event.event_id] = np.datetime64(micros_of(event.at), "us")
        told = typed_rows(iter(rows), self.schema, self.answer, unlabelled=True)
        time = self.keyed.columns.get("time")
        if time is None or not rows:
            return told
        at = np.array([happened[id] for id in told.columns[ID]])
        given = told.columns[time]
        filled = np.where(np.isnat(given), at, given)
        return replace(told, columns=told.columns.with_columns({time: filled}))

    def _row(self, event: Event) -> dict[str, Any]:
        columns = self.keyed.columns
        row = {name: event.payload.get(name) for name in self.schema.names[:-1]}
        entity = columns.get("entity")
        if entity is not None and row.get(entity) is None:
            row[entity] = event.entity
        if "id" in columns:
            row[columns["id"]] = event.event_id
        return {**row, ID: event.event_id, AT: to_text(event.received_at)}

    def _relabelled(self, logged: Logged, strange: int) -> Logged:
        """Look for labels of rows that had none when they were read."""
        columns, name = logged.columns, logged.label
        waiting = np.flatnonzero(~logged.labelled)
        newest = self.labels.newest(columns[ID][waiting].tolist(), as_of=self.as_of)
        found = {id: one for id, one in newest.items() if one.model in ("", self.model)}
        rows = [row for row in waiting if columns[ID][row] in found]
        told = ({name: found[id].value, ID: id} for id in columns[ID][rows])
        read = typed_rows(told, self.schema, self.answer, unlabelled=True)
        values = dict(zip(read.columns[ID], read.columns[name], strict=True))
        labels = columns[name].copy()
        for row in rows:
            labels[row] = values.get(columns[ID][row], labels[row])
        return replace(
            logged, columns=columns.with_columns({name: labels}), strange=strange + logged.strange
        )

    def _once(self, logged: Logged) -> Logged:
        """Keep each event once, at the time of its first answer, with the label of any."""
        name, columns = self.keyed.columns.get("id"), logged.sorted().columns
        if name is None:
            return logged
        chosen, first = _each_once(columns[name], labelled(columns[logged.label]))
        kept = columns.take(chosen).with_columns({AT: columns[AT][first]})
        return replace(logged, columns=kept)


def _each_once(ids: Array, told: Array) -> tuple[IntArray, IntArray]:
    """Return for each event the row that is kept, the newest labelled one, and its first row.

    Examples
    --------
    >>> ids = np.array(["a", "b", "a", None], dtype=object)
    >>> [rows.tolist() for rows in _each_once(ids, np.array([False, False, True, False]))]
    [[2, 1, 3], [0, 1, 3]]
    """
    chosen: dict[object, int] = {}
    first: dict[object, int] = {}
    for row, id in enumerate(ids):
        key = (row,) if id is None else id  # without an id each is an event of its own
        first.setdefault(key, row)
        if key not in chosen or told[row]:
            chosen[key] = row
    return np.array(list(chosen.values()), np.int64), np.array(list(first.values()), np.int64)
