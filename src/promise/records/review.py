"""Logged answers that wait for a person: found by following the log, gone with their label."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from promise.records.labelled import LabelCount
from promise.records.labels import Labels
from promise.records.reading import parse_line
from promise.records.segments import Line, read_lines, segments

Order = Literal["oldest", "uncertain"]
MOST_WAITING = 10_000
"""So many are known at a time; what comes later is read when these have their labels."""

_READ_MB = 32.0
_LABELS_AT_ONCE = 10_000
_MARKS = (b'"review":true', b'"prediction":"')


@dataclass(frozen=True)
class Waiting:
    """An answer without a label that a person was asked to look at.

    Parameters
    ----------
    certainty
        How sure the model was: the largest probability, or how far a score is from one half, in
        [0, 1].
    segment, start
        Where its line lies.
    """

    id: str
    at: float
    certainty: float
    segment: str
    start: int


@dataclass(frozen=True)
class Page:
    """A part of the queue.

    Parameters
    ----------
    lines
        Whole lines of the log, in the order that was asked for.
    waiting
        How many wait, as far as the log was read.
    complete
        Whether the log was read to its end; else the next page knows of more.
    machines
        Whose logs were read: those that lie in this folder.
    """

    lines: list[dict[str, Any]]
    waiting: int
    complete: bool
    machines: tuple[str, ...] = ()


@dataclass(eq=False)
class ReviewQueue:
    """Follows one model's log in this machine's folder, a bounded part at each look.

    Machines that share the folder (`PROMISE_RECORDS`) have one queue; others have one each.

    Nothing is stored: what waits follows from the log and the labels alone, so looking twice, or
    from several processes, changes nothing.

    Parameters
    ----------
    action
        The prediction that itself asks for a person; None where only `"review": true` does.
    read_mb
        How much of the log one look reads at most.
    most
        Bound on what is known to wait.
    """

    folder: Path
    model: str
    labels: Labels
    action: str | None = None
    read_mb: float = _READ_MB
    most: int = MOST_WAITING
    _waiting: dict[str, Waiting] = field(default_factory=dict, repr=False)
    _read: dict[str, int] = field(default_factory=dict, repr=False)
    _labelled: int | None = None
    _guard: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def page(self, limit: int, order: Order = "oldest") -> Page:
        """Return up to `limit` answers that wait, oldest or least certain first."""
        with self._guard:
            self._take_off()
            complete = self._follow()
            waiting = sorted(
                self._waiting.values(),
                key=lambda one: (one.at if order == "oldest" else one.certainty, one.at, one.id),
            )
            lines = list(islice(self._lines(waiting), limit))
            there = segments(self.folder, self.model)
            machines = sorted({name.slot.partition(".")[0] for name, _ in there})
            return Page(lines, len(self._waiting), complete, tuple(machines))

    def _take_off(self) -> None:
        """Forget what got its label since the last look."""
        if self._labelled is None:
            self._labelled = LabelCount(self.labels.database).last()
        while found := self.labels.since(self._labelled, _LABELS_AT_ONCE):
            for label in found:
                self._waiting.pop(label.prediction_id, None)
            self._labelled = found[-1].number

    def _follow(self) -> bool:
        """Read on in the log; say whether its end was reached."""
        room = int(self.read_mb * 2**20)
        there = segments(self.folder, self.model)
        names = {path.name for _, path in there}
        self._read = {name: end for name, end in self._read.items() if name in names}
        for _, path in there:
            start = end = self._read.get(path.name, 0)
            found: list[Waiting] = []
            for line in read_lines(path, start, room):
                if len(self._waiting) + len(found) >= self.most:
                    self._keep(found, path.name, end)
                    return False
                one = self._asked(line)
                found += [] if one is None else [one]
                end = line.end
            self._keep(found, path.name, end)
            room -= end - start
            if room <= 0:
                return False
        return True

    def _keep(self, found: list[Waiting], segment: str, end: int) -> None:
        """Keep what has no label yet."""
        known = self.labels.newest([one.id for one in found]) if found else {}
        self._waiting |= {one.id: one for one in found if one.id not in known}
        self._read[segment] = end

    def _asked(self, line: Line) -> Waiting | None:
        """Return an answer that a person was asked to look at, else None; shadows asked nobody."""
        if not any(mark in line.data for mark in _MARKS[: 1 if self.action is None else 2]):
            return None
        told = parse_line(line.data)
        answer = None if told is None else told.get("answer")
        if told is None or not isinstance(answer, dict) or told.get("arm") == "shadow":
            return None
        asked = answer.get("review") is True or (
            self.action is not None and answer.get("prediction") == self.action
        )
        if not asked:
            return None
        start = line.end - len(line.data) - 1
        return Waiting(told["id"], float(told["at"]), certainty(answer), line.segment, start)

    def _lines(self, waiting: list[Waiting]) -> Iterator[dict[str, Any]]:
        """Yield the lines of these; one whose segment was pruned, or that was scrubbed, is gone."""
        for one in waiting:
            path = self.folder / self.model / one.segment
            line = next(read_lines(path, one.start, 1), None)
            told = None if line is None else parse_line(line.data)
            if told is None or told["id"] != one.id:
                self._waiting.pop(one.id, None)
                continue
            yield {**told, "certainty": one.certainty}


@dataclass(eq=False)
class ReviewQueues:
    """The queues of one process, each made when it is first asked for."""

    folder: Path
    labels: Labels
    _queues: dict[tuple[str, str | None], ReviewQueue] = field(default_factory=dict)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def of(self, model: str, action: str | None) -> ReviewQueue:
        """Return a model's queue."""
        with self._guard:
            found = self._queues.get((model, action))
            if found is None:
                found = ReviewQueue(self.folder, model, self.labels, action)
                self._queues[model, action] = found
            return found


def certainty(answer: dict[str, Any]) -> float:
    """Return how sure an answer is, in [0, 1]; 0 where it does not tell.

    Examples
    --------
    >>> certainty({"confidence": 0.7}), certainty({"probability": {"a": 0.4, "b": 0.6}})
    (0.7, 0.6)
    >>> certainty({"prediction": "review", "score": 0.25}), certainty({})
    (0.5, 0.0)
    """
    sure, shares, score = (answer.get(key) for key in ("confidence", "probability", "score"))
    if isinstance(sure, int | float):
        return float(sure)
    if isinstance(shares, dict) and shares:
        return float(max(shares.values()))
    return abs(2.0 * score - 1.0) if isinstance(score, int | float) else 0.0
