"""New lines and new labels of this machine into the local index, each with its place."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from promise.data.columns import Columns
from promise.errors import ArtifactError, DataError
from promise.features.seen_log import SEEN_FOLDER, Seen, served_of
from promise.monitoring.index import Answered, Came, Index, Joined
from promise.monitoring.periods import Periods
from promise.monitoring.watched import Watched, group_values
from promise.records.labels import Label
from promise.records.machine import machine_of
from promise.records.reading import parse_line
from promise.records.segments import read_lines, segments
from promise.registry.registry import Registry
from promise.registry.revisions import Revisions

_log = logging.getLogger(__name__)
_CHUNK_BYTES = 4 << 20
_SUMMED = ("lines", "unreadable", "labels", "joined", "waiting", "elsewhere", "misnamed")

Lines = Sequence[Mapping[str, Any]]


@dataclass
class Collected:
    """What one pass found.

    Parameters
    ----------
    lines
        New lines of the log; `unreadable` are left out: damaged, or of no known version.
    labels, joined
        New labels, and those that found their answer; `waiting` came before it, `elsewhere` are
        of other machines; `misnamed` had been sent for another model than the one that answered.
    unknown_labels
        (model, value) of labels that are no class or number of their version, to how many.
    published
        Observations that were written.
    more
        Whether the pass ended before everything was read.
    """

    lines: int = 0
    unreadable: int = 0
    labels: int = 0
    joined: int = 0
    waiting: int = 0
    elsewhere: int = 0
    misnamed: int = 0
    unknown_labels: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    published: int = 0
    more: bool = False

    def add(self, other: Collected) -> None:
        """Add what a part of the pass found."""
        for name in _SUMMED:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for key, n in other.unknown_labels.items():
            self.unknown_labels[key] += n


class Versions:
    """The versions whose lines are read, their stages, and the groups fairness is judged by."""

    def __init__(self, registry: Registry, revisions: Revisions) -> None:
        self._registry = registry
        self._revisions = revisions
        self._watched: dict[tuple[str, int], Watched | None] = {}
        self._declared: dict[str, tuple[str, ...]] = {}
        self._epoch = -1
        self._periods: dict[str, Periods] = {}

    def refresh(self) -> None:
        """Read again what may have changed: stages, what was declared, versions that failed."""
        epoch = self._registry.lifecycle.epoch()
        if epoch != self._epoch:
            self._epoch, self._periods = epoch, {}
        self._declared = {}
        self._watched = {key: found for key, found in self._watched.items() if found is not None}

    def watched(self, model: str, version: int) -> Watched | None:
        """Return a version; None where it cannot be read."""
        key = (model, version)
        if key not in self._watched:
            try:
                self._watched[key] = Watched.of(self._registry.find(f"{model}@{version}"))
            except (ArtifactError, DataError) as error:
                facts = {"model": model, "version": version, "reason": str(error)}
                _log.warning("a version's lines cannot be read", extra=facts)
                self._watched[key] = None
        return self._watched[key]

    def periods(self, model: str) -> Periods:
        """Return the periods into which a model's drift is counted."""
        if model not in self._periods:
            self._periods[model] = Periods.of(self._registry.lifecycle.history(model))
        return self._periods[model]

    def groups(self, model: str, watched: Watched) -> tuple[str, ...]:
        """Return the columns by which fairness is judged: protected ones and those declared."""
        if model not in self._declared:
            promises = self._revisions.current(model).declared.promises
            named = (p.of for p in promises if p.of is not None and p.that != "psi")
            self._declared[model] = tuple(dict.fromkeys(named))
        protected = (f.name for f in watched.schema if f.role == "protected")
        return tuple(dict.fromkeys((*self._declared[model], *protected)))


@dataclass(frozen=True)
class Reader:
    """Reads within one transaction of the index.

    Parameters
    ----------
    folder
        Of the prediction log.
    machine
        Whose lines and labels are read.
    owners
        Prediction id to model of labels that may not tell it yet.
    """

    index: Index
    versions: Versions
    folder: Path
    machine: str
    found: Collected = field(default_factory=Collected)
    owners: dict[str, str] = field(default_factory=dict)

    def read(self, model: str) -> int:
        """Read, count and keep the next lines of a model; return how many bytes they were."""
        lines: list[dict[str, Any]] = []
        n_bytes = self._read(self.folder, model, model, lambda data: self._take(data, lines))
        for version, some in _by_version(lines).items():
            self._keep(model, version, some)
        return n_bytes

    def read_seen(self, model: str) -> int:
        """Count the next keyed features of a model as they were served; return the bytes read."""
        served: dict[int, list[Seen]] = defaultdict(list)

        def take(data: bytes) -> None:
            seen = served_of(data)
            if seen is not None and seen.version is not None:
                served[seen.version].append(seen)

        n_bytes = self._read(self.folder / SEEN_FOLDER, model, f"{SEEN_FOLDER}/{model}", take)
        for version, some in served.items():
            self._count_seen(model, version, some)
        return n_bytes

    def _read(self, folder: Path, model: str, places_of: str, take: Callable[[bytes], None]) -> int:
        """Read the next lines below a folder, remember the place; return how many bytes."""
        places = self.index.places(places_of)
        listed = [s for s in segments(folder, model) if self._own(s[0].slot)]
        room, moved = _CHUNK_BYTES, dict[str, int]()
        for name, path in listed:
            start = end = places.get(str(name), 0)
            for line in read_lines(path, start, room):
                end = line.end
                take(line.data)
            if end > start:
                moved[str(name)] = end
                room -= end - start
            if room <= 0:
                break
        self.index.move(places_of, moved, places.keys() - {str(name) for name, _ in listed})
        return _CHUNK_BYTES - room

    def _count_seen(self, model: str, version: int, lines: Sequence[Seen]) -> None:
        watched = self.versions.watched(model, version)
        if watched is None or not watched.keyed:
            return
        width, periods = len(watched.keyed), self.versions.periods(model)
        by_period: dict[str, list[NDArray[np.float32]]] = defaultdict(list)
        for line in lines:
            if line.vector is not None and len(line.vector) == width:
                by_period[periods.begun(line.at / 1e6)].append(line.vector)
        for period, vectors in by_period.items():
            self.index.count(model, version, period, watched.counted_seen(vectors))

    def _own(self, slot: str) -> bool:
        return slot.partition(".")[0] == self.machine

    def _take(self, data: bytes, lines: list[dict[str, Any]]) -> None:
        self.found.lines += 1
        parsed = parse_line(data)
        if parsed is not None and _whole(parsed):
            lines.append(parsed)
        else:
            self.found.unreadable += 1

    def _keep(self, model: str, version: int, lines: Lines) -> None:
        """Count lines of one version into its bins, and keep its answers for their labels."""
        watched = self.versions.watched(model, version)
        if watched is None:
            self.found.unreadable += len(lines)
            return
        good, columns = watched.typed(lines)
        self.found.unreadable += len(lines) - len(good)
        if not good:
            return
        outputs = [watched.output(line) for line in good]
        periods = self.versions.periods(model)
        begun = np.array([periods.begun(line["at"]) for line in good])
        for period in np.unique(begun):
            here = np.flatnonzero(begun == period)
            counts = watched.counted(columns.take(here), [outputs[i] for i in here])
            self.index.count(model, version, str(period), counts)
        names = self.versions.groups(model, watched)
        groups = _groups(columns, [name for name in names if name in columns])
        answers = [
            Answered(line["id"], model, version, float(line["at"]), _arm(line), output, own)
            for line, output, own in zip(good, outputs, groups, strict=True)
            if output is not None
        ]
        answers = list({answer.id: answer for answer in answers}.values())
        self.index.keep(answers)
        came = {c.id: c for c in self.index.came([answer.id for answer in answers])}
        self._join([(answer, came[answer.id]) for answer in answers if answer.id in came])
        self.owners.update((answer.id, model) for answer in answers if answer.id in came)

    def join(self, labels: Sequence[Label]) -> None:
        """Join labels, in the order in which they were accepted, to the answers kept so far."""
        own = {
            label.prediction_id: Came(label.prediction_id, label.number, label.value)
            for label in labels
            if machine_of(label.prediction_id) == self.machine
        }
        answers = self.index.answers(list(own))
        models = {answer.id: answer.model for answer in answers}
        for label in labels:
            owner = models.get(label.prediction_id, label.model)
            if owner != label.model:
                self.owners[label.prediction_id] = owner
                self.found.misnamed += label.model != ""
        self._join([(answer, own[answer.id]) for answer in answers])
        self.found.labels += len(labels)
        self.found.waiting += len(own.keys() - {answer.id for answer in answers})
        self.found.elsewhere += sum(label.prediction_id not in own for label in labels)
        now = max((label.received_at for label in labels), default=datetime.fromtimestamp(0, UTC))
        self.index.note(own.values(), now.timestamp())

    def _join(self, pairs: Sequence[tuple[Answered, Came]]) -> None:
        joined = []
        for answer, came in pairs:
            watched = self.versions.watched(answer.model, answer.version)
            y = None if watched is None else watched.label(came.value)
            joined.append(Joined(answer, came.number, y))
            if y is None:
                self.index.strange(answer.model, came.value)
                self.found.unknown_labels[answer.model, str(came.value)[:80]] += 1
            else:
                self.found.joined += 1
        self.index.join(joined)


def _arm(line: Mapping[str, Any]) -> str:
    return str(line.get("arm", "live"))


def _groups(columns: Columns, names: Sequence[str]) -> list[dict[str, str | None]]:
    """Return the groups of each row, by column."""
    values = [group_values(columns, name) for name in names]
    if not names:
        return [{} for _ in range(columns.n_rows)]
    return [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)]


def _whole(line: Mapping[str, Any]) -> bool:
    kinds = {"id": str, "version": int, "at": int | float, "row": dict}
    return all(isinstance(line.get(name), kind) for name, kind in kinds.items())


def _by_version(lines: Sequence[dict[str, Any]]) -> dict[int, list[dict[str, Any]]]:
    found: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for line in lines:
        found[line["version"]].append(line)
    return found
