"""Where a person's word about a name becomes a transition."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import sqlalchemy as sa

from promise.clock import Clock, SteadyClock
from promise.errors import PromiseError, StateError
from promise.records.evidence import EvidenceStore
from promise.registry.gates import Gates
from promise.registry.lifecycle import Conflict, Lifecycle, Transition
from promise.registry.registry import Registry
from promise.registry.revisions import Revision, Revisions
from promise.registry.route import Route
from promise.registry.verdicts import Verdicts
from promise.rollout.at_rest import copy_at_rest
from promise.rollout.events import Event
from promise.rollout.machine import step
from promise.rollout.moves import Change
from promise.settings import Settings
from promise.state.database import Database
from promise.state.failpoints import reach

PERSON = "person"
_TRIES = 5


@dataclass
class Desk:
    """Everything that a change of a name by a person needs.

    Parameters
    ----------
    copy
        Read this in the place of the installation's own database.
    """

    settings: Settings
    clock: Clock
    copy: Database | None = None

    def __post_init__(self) -> None:
        self.registry = replace(Registry.open(self.settings), clock=self.clock)
        if self.copy is not None:
            self.registry = replace(self.registry, database=self.copy)
        self.database = self.registry.database
        self.evidence = EvidenceStore(self.database, self.clock)
        self.lifecycle = Lifecycle(self.database, self.clock)
        self.revisions = Revisions(self.database, self.clock)
        self.verdicts = Verdicts(self.database, self.clock)
        self.gates = Gates(self.database, self.clock)

    @classmethod
    @contextlib.contextmanager
    def open(cls, settings: Settings | None, clock: Clock | None) -> Iterator[Desk]:
        """Open the installation's desk for a block, at a time that is not before what it keeps."""
        steady = SteadyClock.over(clock)
        desk = cls(settings or Settings.load(), steady)
        try:
            desk.evidence.timeline.keep_up(steady)
            yield desk
        finally:
            desk.database.close()

    @classmethod
    @contextlib.contextmanager
    def reading(cls, settings: Settings | None, clock: Clock | None) -> Iterator[Desk]:
        """Open the desk to look only, for which a full disk is no hindrance."""
        steady, settings = SteadyClock.over(clock), settings or Settings.load()
        desk = cls(settings, steady)
        try:
            try:
                desk.evidence.timeline.keep_up(steady)
            except StateError:
                copy = copy_at_rest(settings.database)
                if copy is None:
                    raise
                desk.database.close()
                desk = cls(settings, steady, copy)
            yield desk
        finally:
            desk.database.close()

    def commit(
        self,
        name: str,
        event: Event,
        evidence: dict[str, object] | None = None,
        revision: Revision | None = None,
    ) -> Transition | None:
        """Commit what follows from a person's word; again where the reconciler came between.

        Parameters
        ----------
        revision
            Promises that are declared with it: both are kept, or neither.
        """
        self.lifecycle.prepare()
        for _ in range(_TRIES):
            before = self.lifecycle.last(name)
            change = step(Route(name) if before is None else before.route, event)
            if change is None:
                if revision is not None:
                    self.revisions.keep(revision)
                return None
            try:
                return self._commit(before, change, evidence, revision)
            except Conflict:
                continue
        raise PromiseError(f"{name} changes all the time; run the command again.")

    def _commit(
        self,
        before: Transition | None,
        change: Change,
        evidence: dict[str, object] | None,
        revision: Revision | None,
    ) -> Transition:
        def work(connection: sa.Connection) -> Transition:
            if revision is not None:
                self.revisions.append(connection, revision)
            return self.lifecycle.append(
                connection, before, change.kind, change.route,
                reason=change.reason, evidence=evidence, actor=PERSON,
            )  # fmt: skip

        reach("lifecycle.commit.before")
        made = self.database.run(work)
        reach("lifecycle.commit.after")
        return made

    def salt(self, name: str, version: int) -> str:
        """Return a salt of this rollout alone, so that each deals its entities anew."""
        last = self.lifecycle.last(name)
        text = f"{name}@{version}:{0 if last is None else last.seq}:{last and last.hash}"
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
