"""From a worker's counters to evidence by time: nothing saved is lost or counted twice."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from promise.clock import Clock, SteadyClock
from promise.errors import StateError
from promise.records.buckets import Cell, bucket_start
from promise.records.counters import Counters, Series
from promise.records.evidence import EvidenceStore
from promise.records.machine import base36, machine_slot
from promise.state.moments import from_text, to_text

_log = logging.getLogger(__name__)

_Labels = tuple[str, int, str]


@dataclass(frozen=True)
class _Seen:
    """What a series had counted at the last look."""

    requests: int = 0
    errors: int = 0
    over: dict[float, int] = field(default_factory=dict)

    @classmethod
    def of(cls, series: Series) -> _Seen:
        # a series counts a request first: read in the other order, no part exceeds the whole
        over = dict(series.over)
        errors = series.errors
        return cls(series.requests, errors, over)


class CountsPublisher:
    """Called about once a second by a worker: saves its counters and passes on what is new.

    Each run of a process counts into cells of its own (its slot carries the time of its start),
    so that setting a cell again changes nothing. Cells are saved with the counters before they
    are sent, and kept until they are over and confirmed: a kill between the two, or a database
    that is away, loses nothing that was saved; the next run sends what the last one could not.

    What was counted since the last look is as old as that look at most, and is put into the bucket
    of that moment: no request is ever in a bucket that begins after it was answered, so that a
    stage never counts one of the stage before. The price: of a stage, the requests of up to one
    bucket and one pause between two looks are counted to nothing.

    Parameters
    ----------
    counters
        As this process loaded them; what they hold from earlier runs is not counted again.
    clock
        Made steady where it is not: moving the machine's clock changes nothing until the next
        start, and a start after it was set back goes on from the last saved moment, or from the
        newest that the evidence store knows.
    machine
        For tests that play several machines.
    """

    def __init__(
        self,
        counters: Counters,
        evidence: EvidenceStore,
        clock: Clock,
        *,
        machine: str | None = None,
    ) -> None:
        self._counters = counters
        self._evidence = evidence
        self._clock = clock = SteadyClock.over(clock)
        start = base36(int(clock.now().timestamp() * 1_000_000), 11)
        self._slot = f"{machine_slot(counters.slot, machine)}.{start}"
        self._seen = _seen_before(counters)
        self._left = [_cell(entry) for entry in counters.published.get("cells", ())]
        self._cells: dict[tuple[_Labels, datetime], Cell] = {}
        self._sent: dict[tuple[_Labels, datetime], Cell] = {}
        kept = counters.published.get("until")
        if kept is not None:
            self._until = from_text(kept)
            clock.not_before(self._until)
            self._count()  # what the last run saved and had not looked at
        self._until = clock.now()
        self._note()  # whoever saves the counters before the first tick saves this too

    @property
    def slot(self) -> str:
        """The name under which this run counts."""
        return self._slot

    def tick(self) -> bool:
        """Save and send what was counted since the last tick; say whether the store took it.

        Raises
        ------
        DataError
            When the counters cannot be saved; nothing is sent then.
        """
        self._count()
        self._note()
        self._counters.save()
        due = [cell for key, cell in self._cells.items() if self._sent.get(key) != cell]
        try:
            late = self._evidence.add_cells([*self._left, *due])
        except StateError as error:
            _log.warning("counts wait for the database", extra={"reason": str(error)})
            return False
        if late:
            _log.warning("counts came too late to be evidence", extra={"n_cells": late})
        self._left = []
        self._sent = dict(self._cells)
        bucket = bucket_start(self._until)
        self._cells = {key: cell for key, cell in self._cells.items() if key[1] >= bucket}
        self._sent = {key: cell for key, cell in self._sent.items() if key in self._cells}
        try:
            self._evidence.timeline.keep_up(self._clock)
        except StateError as error:
            _log.warning("the database cannot be asked for the time", extra={"reason": str(error)})
        return True

    def _note(self) -> None:
        self._counters.published = {
            "until": to_text(self._until),
            "seen": [[*labels, *_pairs(seen)] for labels, seen in self._seen.items()],
            "cells": [_entry(cell) for cell in (*self._left, *self._cells.values())],
        }

    def _count(self) -> None:
        bucket = bucket_start(self._until)
        self._until = max(self._until, self._clock.now())
        for series in self._counters.all_series:
            now, before = _Seen.of(series), self._seen.get(series.labels, _Seen())
            if now.requests == before.requests and now.errors == before.errors:
                continue
            self._seen[series.labels] = now
            key = (series.labels, bucket)
            was = self._cells.get(key)
            over = {t: n - before.over.get(t, 0) for t, n in now.over.items()}
            if was is not None:
                over = {t: n + was.over.get(t, 0) for t, n in over.items()}
            self._cells[key] = Cell(
                self._slot,
                *series.labels,
                bucket,
                now.requests - before.requests + (was.requests if was else 0),
                now.errors - before.errors + (was.errors if was else 0),
                over,
            )


def _seen_before(counters: Counters) -> dict[_Labels, _Seen]:
    """Return how far the last run had come: what its file holds beyond that is still to be sent."""
    kept = counters.published.get("seen")
    if kept is None:
        return {series.labels: _Seen.of(series) for series in counters.all_series}
    return {
        (model, version, arm): _Seen(requests, errors, _over(over))
        for model, version, arm, requests, errors, over in kept
    }


def _pairs(seen: _Seen) -> list[Any]:
    return [seen.requests, seen.errors, list(seen.over.items())]


def _over(pairs: list[Any]) -> dict[float, int]:
    return {float(target): int(n) for target, n in pairs}


def _entry(cell: Cell) -> list[Any]:
    labels = [cell.slot, cell.model, cell.version, cell.arm, to_text(cell.start)]
    return [*labels, cell.requests, cell.errors, list(cell.over.items())]


def _cell(entry: list[Any]) -> Cell:
    slot, model, version, arm, start, requests, errors, over = entry
    return Cell(slot, model, version, arm, from_text(start), requests, errors, _over(over))
