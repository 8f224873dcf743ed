"""From the prediction log, labels and processes of this machine to evidence, pass by pass."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TypeVar

import sqlalchemy as sa

from promise.clock import Clock, SteadyClock
from promise.features.seen_log import prune_seen, seen_folder
from promise.monitoring.alerts import deliver
from promise.monitoring.index import Index
from promise.monitoring.memory import MemoryProbe
from promise.monitoring.publish import publish
from promise.monitoring.reading import Collected, Reader, Versions
from promise.monitoring.tables import INDEX
from promise.records.evidence import EvidenceStore
from promise.records.labels import Labels
from promise.records.machine import base36, machine_id
from promise.records.reading import prune
from promise.records.segments import models
from promise.registry.registry import Registry
from promise.registry.revisions import Revisions
from promise.settings import Settings
from promise.state.database import Database
from promise.state.moments import to_text

__all__ = ["Collected", "Collector", "Kept"]

_log = logging.getLogger(__name__)
_LABELS_AT_ONCE = 10_000
_TIDY_S = 3600.0

T = TypeVar("T")


@dataclass(frozen=True)
class Kept:
    """How long what is kept on this machine.

    Parameters
    ----------
    join_days
        How late a label may come and still be joined to its answer, and how long a line may wait
        to be read.
    log_days
        How long segments of the prediction log stay.
    """

    join_days: float = 30.0
    log_days: float = 90.0


class Collector:
    """Turns what happened on this machine into evidence; one pass follows another.

    Reads only this machine's segments and joins only labels of its own answers; each machine that
    serves runs one. Safe to kill at any moment (see `promise.monitoring.index`).

    Parameters
    ----------
    machine
        For tests that play several machines.
    limit_mb
        How much of a model's log one pass reads at most.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Clock | None = None,
        *,
        kept: Kept | None = None,
        machine: str | None = None,
        limit_mb: float = 16.0,
    ) -> None:
        self.settings = settings
        self.clock = clock = SteadyClock.over(clock)
        self.kept = kept or Kept()
        self.machine = machine or machine_id(settings)
        self._limit_bytes = int(limit_mb * 2**20)
        self.database = Database(settings.database)
        self.index = Database(f"sqlite:///{(settings.run / 'join.db').absolute()}")
        self.registry = Registry.open(settings)
        self.evidence = EvidenceStore(self.database, clock)
        self.labels = Labels(self.database, clock)
        self._versions = Versions(self.registry, Revisions(self.database, clock))
        self._memory = MemoryProbe(settings.run, clock)
        self._tidied_s: float | None = None

    def collect(self) -> Collected:
        """Read what is new, join, publish, measure memory, send alerts that wait.

        Raises
        ------
        StateError
            When the database is away; the next pass goes on where this one was.
        """
        found = Collected()
        self.index.migrate(INDEX)
        self.evidence.timeline.keep_up(self.clock)
        self._versions.refresh()
        generation = self._generation()
        for model in models(self.settings.records):
            self._read_all(partial(Reader.read, model=model), found)
        for model in models(seen_folder(self.settings)):
            self._read_all(partial(Reader.read_seen, model=model), found)
        self._read_labels(found)
        found.published = publish(self.index.engine, self.evidence, self.machine, generation)
        self._observe_memory()
        deliver(self.database, self.clock, self.settings)
        self._tidy()
        for (model, value), n in found.unknown_labels.items():
            facts = {"model": model, "label": value, "n_labels": n}
            _log.warning("labels that their version does not know", extra=facts)
        if found.misnamed:
            facts = {"n_labels": found.misnamed}
            _log.warning("labels named another model than the one that answered", extra=facts)
        return found

    def close(self) -> None:
        """Give back connections."""
        self.index.close()
        self.registry.database.close()
        self.database.close()

    def unknown_labels(self) -> dict[tuple[str, str], int]:
        """Return every (model, value) that no version knew, to how often it came so far."""
        self.index.migrate(INDEX)
        with self.index.reading() as connection:
            rows = connection.execute(sa.text("SELECT model, value, n FROM strange"))
            return {(model, value): n for model, value, n in rows}

    def _reading(self, work: Callable[[Reader], T], found: Collected) -> T:
        """Run work on the index in one transaction; what it found counts once it is committed."""
        versions, folder = self._versions, self.settings.records

        def whole(connection: sa.Connection) -> tuple[T, Collected]:
            reader = Reader(Index(connection), versions, folder, self.machine)
            done = work(reader)
            self.labels.settle(reader.owners)  # before the index's commit: a kill repeats both
            return done, reader.found

        done, part = self.index.run(whole)
        found.add(part)
        return done

    def _read_all(self, read: Callable[[Reader], int], found: Collected) -> None:
        room = self._limit_bytes
        while room > 0:
            n_bytes = self._reading(read, found)
            if n_bytes == 0:
                return
            room -= n_bytes
        found.more = True

    def _read_labels(self, found: Collected) -> None:
        def some(reader: Reader) -> int:
            last = int(reader.index.fact("labels", "0"))
            labels = self.labels.since(last, _LABELS_AT_ONCE)
            if labels:
                reader.join(labels)
                reader.index.remember("labels", str(labels[-1].number))
            return len(labels)

        while self._reading(some, found) == _LABELS_AT_ONCE:
            pass

    def _generation(self) -> str:
        """Return this index's own mark; what an index that was lost had published is withdrawn."""
        made = base36(int(self.clock.now().timestamp() * 1e6), 11)

        def work(connection: sa.Connection) -> tuple[str, bool]:
            index = Index(connection)
            mark = index.fact("generation") or made
            index.remember("generation", mark)
            return mark, index.fact("withdrawn") == mark

        mark, withdrawn = self.index.run(work)
        if not withdrawn:
            prefix = f"{self.machine}:"
            self.evidence.withdraw("outcome", prefix, keep=f"{prefix}{mark}:")
            self.index.run(lambda connection: Index(connection).remember("withdrawn", mark))
        return mark

    def _observe_memory(self) -> None:
        """Observe what the workers hold, for every version that they have loaded."""
        sample = self._memory.sample()
        if sample is None:
            return
        payload = {"pss_mb": sample.pss_mb, "workers": sample.workers, "machine": self.machine}
        key = f"{self.machine}:{sample.minute}"
        self.evidence.observe_all(
            [
                (name, version, "memory", key, payload)
                for name, route in self.registry.lifecycle.routes().items()
                for version in route.loaded
            ]
        )

    def _tidy(self) -> None:
        """Once in an hour: drop what this machine keeps and is too old."""
        now_s, now = self.clock.monotonic(), self.clock.now()
        if self._tidied_s is not None and now_s - self._tidied_s < _TIDY_S:
            return
        kept = self.kept
        before = now - timedelta(days=kept.join_days)

        def work(connection: sa.Connection) -> None:
            Index(connection).prune(before.timestamp())
            Index(connection).forget_periods(to_text(before))

        self.index.run(work)
        prune(self.settings.records, kept.log_days, self.clock)
        prune_seen(self.settings, kept.log_days, self.clock)
        self._tidied_s = now_s
