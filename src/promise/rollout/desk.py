"""Where a person's word about a name becomes a transition."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

from promise.clock import Clock, SystemClock
from promise.errors import PromiseError
from promise.records.evidence import EvidenceStore
from promise.registry.lifecycle import Conflict, Lifecycle, Transition
from promise.registry.registry import Registry
from promise.registry.revisions import Revisions
from promise.registry.route import Route
from promise.registry.verdicts import Verdicts
from promise.rollout.carried import Carried
from promise.rollout.events import Event
from promise.rollout.machine import step
from promise.settings import Settings

PERSON = "person"
_TRIES = 5


@dataclass
class Desk:
    """Everything that a change of a name by a person needs."""

    settings: Settings
    clock: Clock

    def __post_init__(self) -> None:
        self.registry = replace(Registry.open(self.settings), clock=self.clock)
        self.database = self.registry.database
        self.evidence = EvidenceStore(self.database, self.clock)
        self.lifecycle = Lifecycle(self.database, self.clock)
        self.revisions = Revisions(self.database, self.clock)
        self.verdicts = Verdicts(self.database, self.clock)

    @classmethod
    @contextlib.contextmanager
    def open(cls, settings: Settings | None, clock: Clock | None) -> Iterator[Desk]:
        """Open the installation's desk for a block."""
        desk = cls(settings or Settings.load(), clock or SystemClock())
        try:
            yield desk
        finally:
            desk.database.close()

    def commit(
        self, name: str, event: Event, evidence: dict[str, object] | None = None
    ) -> Transition | None:
        """Commit what follows from a person's word; again where the reconciler came between."""
        for _ in range(_TRIES):
            before = self.lifecycle.last(name)
            change = step(Route(name) if before is None else before.route, event)
            if change is None:
                return None
            carried = Carried.now(self.evidence, change.route, event.at)
            kept = {**(evidence or {}), "carried": carried.to_json()}
            try:
                return self.lifecycle.commit(
                    before, change.kind, change.route,
                    reason=change.reason, evidence=kept, actor=PERSON,
                )  # fmt: skip
            except Conflict:
                continue
        raise PromiseError(f"{name} changes all the time; run the command again.")

    def salt(self, name: str, version: int) -> str:
        """Return a salt of this rollout alone, so that each deals its entities anew."""
        last = self.lifecycle.last(name)
        text = f"{name}@{version}:{0 if last is None else last.seq}:{last and last.hash}"
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
