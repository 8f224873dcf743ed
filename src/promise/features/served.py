"""Whether what was served is what training would compute: the log replayed, compared by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from promise.features.arrivals import Arrivals
from promise.features.event import AMOUNT, Event, Label
from promise.features.history import Coded, History, Labels
from promise.features.keyed import Keyed
from promise.features.model_views import ModelViews
from promise.features.parity import Parity, check
from promise.features.replay import replay
from promise.features.seen_log import Seen

_TEXT = pa.string()
_ALTERED = "the event came again with other values"


@dataclass(frozen=True)
class ServedParity:
    """The outcome of a check of everything that was logged.

    Parameters
    ----------
    versions
        Version to the comparison of all features that it read.
    events, labels
        How many different ones were replayed.
    left_out
        Why values were not compared, to how many rows: the log alone cannot tell them.
    """

    versions: Mapping[int, Parity]
    events: int
    labels: int
    left_out: Mapping[str, int] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        """Whether something was compared and nothing differs."""
        return bool(self.versions) and all(one.holds for one in self.versions.values())

    @property
    def rows(self) -> int:
        """How many served vectors were compared."""
        return sum(one.n_rows for one in self.versions.values())

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary."""
        return {
            "rows": self.rows,
            "events": self.events,
            "labels": self.labels,
            "differences": sum(len(one.differences) for one in self.versions.values()),
            "left_out": dict(self.left_out),
            "versions": {str(n): _parity_json(one) for n, one in self.versions.items()},
        }


def check_served(
    views: ModelViews, lines: Sequence[Seen], *, before: History | None = None
) -> ServedParity:
    """Replay logged events and labels offline and compare what was served, to the last bit.

    Parameters
    ----------
    views
        The stages of the versions that are compared.
    lines
        Of the log, in any order.
    before
        The events that state was backfilled from.
    """
    records, places = _distinct(lines)
    arrivals = Arrivals.of(records)
    told = _Told.of([records[place] for place in arrivals.order], views, before)
    row_of = {id: row for id, row in told.rows.items() if row >= told.first}
    left_out: dict[str, int] = {}
    found = {}
    for number, stage in views.stages.items():
        served = [one for one in lines if one.vector is not None and one.version == number]
        known = [one for one in served if one.record.id in row_of]  # type: ignore[union-attr]
        kept = [one for one in known if one.record == records[places[_key(one)]].record]
        if len(kept) < len(known):
            left_out[_ALTERED] = left_out.get(_ALTERED, 0) + len(known) - len(kept)
        if not kept:
            continue
        matrix = replay(stage.features, told.history)
        rows = [row_of[one.record.id] for one in kept]  # type: ignore[union-attr]
        recomputed = matrix[rows].astype(np.float32).astype(np.float64)
        logged = np.array([one.vector for one in kept], dtype=np.float64)
        masks = _Masks(views, stage, arrivals, before is not None, told.entities_before)
        for row, one in enumerate(kept):
            for reason, columns in masks.of(one, places[_key(one)]):
                left_out[reason] = left_out.get(reason, 0) + 1
                logged[row, columns] = recomputed[row, columns] = np.nan
        ids = [one.id for one in kept]
        found[number] = check(stage.features.columns, logged, recomputed, ids=ids)
    return ServedParity(found, told.events, told.labels, left_out)


def _key(seen: Seen) -> tuple[str, str]:
    kind = "label" if seen.kind == "label" else "event"
    return kind, seen.id if kind == "label" else seen.record.id  # type: ignore[union-attr]


def _distinct(lines: Sequence[Seen]) -> tuple[list[Seen], dict[tuple[str, str], int]]:
    """Return each record once, by the line that tells what it met, and where each is."""
    records: list[Seen] = []
    places: dict[tuple[str, str], int] = {}
    for seen in sorted(lines, key=lambda one: (one.kind == "again", one.at)):
        key = _key(seen)
        if key not in places and seen.before:
            places[key] = len(records)
            records.append(seen)
    for seen in lines:  # of a retry whose first line was lost: nothing tells what it met
        if _key(seen) not in places:
            places[_key(seen)] = len(records)
            records.append(seen)
    return records, places


@dataclass(frozen=True)
class _Told:
    """Records as one history, after what was backfilled.

    Parameters
    ----------
    rows
        Event id to row.
    first
        The first row that is of the log.
    entities_before
        Role to the keys that the backfill knew.
    """

    history: History
    rows: Mapping[str, int]
    first: int
    events: int
    labels: int
    entities_before: frozenset[str]

    @classmethod
    def of(cls, records: Sequence[Seen], views: ModelViews, before: History | None) -> _Told:
        first = 0 if before is None else len(before)
        ids = [] if before is None else [before.id_of(row) for row in range(first)]
        rows = {id: row for row, id in reversed(list(enumerate(ids)))}
        events: list[Event] = []
        marks: list[tuple[int, float, int, int]] = []
        for seen in records:
            record = seen.record
            if isinstance(record, Label):
                row = rows.get(record.event_id)
                if row is not None:
                    marks.append((row, record.value, record.known_at, first + len(events)))
            elif record.id not in rows:
                rows[record.id] = first + len(events)
                events.append(record)
        history = _history(events, views, marks)
        if before is not None:
            history = _joined(before, history)
        known = frozenset() if before is None else _keys_of(before, views)
        return cls(history, rows, first, len(events), len(marks), known)


def _history(
    events: Sequence[Event], views: ModelViews, marks: Sequence[tuple[int, float, int, int]]
) -> History:
    stages = list(views.stages.values())
    roles = dict.fromkeys(role for stage in stages for role in stage.entities)
    numbers = dict.fromkeys(name for stage in stages for name in stage.numbers)
    texts = dict.fromkeys(name for stage in stages for name in stage.texts)
    told = np.array(marks, dtype=object).reshape(len(marks), 4)
    return History(
        at=np.array([event.at for event in events], dtype=np.int64),
        entities={role: _coded([e.entities.get(role) for e in events]) for role in roles},
        numbers={
            AMOUNT: _floats([event.amount for event in events]),
            **{name: _floats([e.fields.get(name) for e in events]) for name in numbers},
        },
        texts={name: _coded([e.fields.get(name) for e in events]) for name in texts},
        labels=Labels(
            told[:, 0].astype(np.int64),
            told[:, 1].astype(np.float64),
            told[:, 2].astype(np.int64),
            told[:, 3].astype(np.int64),
        ),
        ids=_coded([event.id for event in events]),
    )


def _joined(first: History, second: History) -> History:
    """Return one history after the other; the labels of the second name rows of both."""
    one, two = first.labels, second.labels
    return History(
        at=np.concatenate([first.at, second.at]),
        entities={r: _after(first.entities.get(r), c, len(first)) for r, c in
                  second.entities.items()},
        numbers={
            name: np.concatenate([first.numbers.get(name, np.full(len(first), np.nan)), values])
            for name, values in second.numbers.items()
        },
        texts={n: _after(first.texts.get(n), c, len(first)) for n, c in second.texts.items()},
        labels=Labels(
            np.concatenate([one.rows, two.rows]),
            np.concatenate([one.values, two.values]),
            np.concatenate([one.known_at, two.known_at]),
            np.concatenate([np.minimum(one.after, len(first)), two.after]),
        ),
        ids=_after(
            _coded([first.id_of(row) for row in range(len(first))]) if first.ids is None
            else first.ids, second.ids or _coded([]), len(first),
        ),
    )  # fmt: skip


def _after(first: Coded | None, second: Coded, n_first: int) -> Coded:
    if first is None:
        return Coded(np.concatenate([np.full(n_first, -1, np.int64), second.codes]), second.values)
    places = {value: place for place, value in enumerate(first.values)}
    values = [*first.values, *(value for value in second.values if value not in places)]
    places = {value: place for place, value in enumerate(values)}
    turned = np.array([places[value] for value in second.values] or [0], dtype=np.int64)
    codes = np.where(second.codes < 0, -1, turned[np.maximum(second.codes, 0)])
    return Coded(np.concatenate([first.codes, codes]), tuple(values))


def _keys_of(history: History, views: ModelViews) -> frozenset[str]:
    found = set()
    for row in np.unique(history.first):
        found.update(views.keys(history.event(int(row))))
    return frozenset(found)


@dataclass(frozen=True)
class _Masks:
    """Which columns of a served row the records cannot tell."""

    views: ModelViews
    stage: Keyed
    arrivals: Arrivals
    backfilled: bool
    known_before: frozenset[str]

    def of(self, seen: Seen, place: int) -> list[tuple[str, slice]]:
        """Return reasons and columns."""
        event = seen.record
        assert isinstance(event, Event), "vectors are of events"
        features = self.stage.features
        broken = self.arrivals.unknown.get(place, frozenset())
        found, start = [], 0
        for kernel, plain in zip(features.kernels, features.keys(event.entities), strict=True):
            columns = slice(start, start + len(kernel.columns))
            start = columns.stop
            reason = None if plain is None else self._reason(f"{self.views.model}/{plain}", broken)
            if reason is not None:
                found.append((reason, columns))
        return found

    def _reason(self, key: str, broken: frozenset[str]) -> str | None:
        if key in broken:
            return "records of the entity are missing from the log"
        if key in self.arrivals.imported and not self.backfilled:
            return "the entity's state came from elsewhere"
        if key in self.arrivals.imported and key not in self.known_before:
            return "the entity's state came from elsewhere"
        if key not in self.arrivals.imported and key in self.known_before:
            return "the entity had come before the backfill"
        return None


def _coded(values: Sequence[Any]) -> Coded:
    return Coded.of(pa.chunked_array([pa.array(values, _TEXT)]))


def _floats(values: Sequence[Any]) -> Any:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _parity_json(parity: Parity) -> dict[str, Any]:
    return {
        "rows": parity.n_rows,
        "differences": [
            {name: _plain(value) for name, value in vars(one).items()} for one in parity.differences
        ],
        "only_logged": list(parity.only_logged),
        "only_recomputed": list(parity.only_recomputed),
    }


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and np.isnan(value) else value
