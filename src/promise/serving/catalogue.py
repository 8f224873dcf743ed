"""What the database knows of models: versions, promises, verdicts and how it all came to be."""

from __future__ import annotations

from dataclasses import dataclass, replace

from promise.clock import Clock
from promise.promises.spec import Promise
from promise.records.events import Events
from promise.registry.lifecycle import Lifecycle
from promise.registry.registry import Registry
from promise.registry.revisions import Revision, Revisions
from promise.registry.verdicts import Judged, Verdicts
from promise.registry.versions import Version
from promise.serving.worker import Worker


@dataclass(frozen=True)
class Catalogue:
    """The rooms of the registry that the API reads, opened once for each worker."""

    registry: Registry
    lifecycle: Lifecycle
    revisions: Revisions
    verdicts: Verdicts
    events: Events

    @classmethod
    def open(cls, worker: Worker, clock: Clock) -> Catalogue:
        """Open everything on the worker's database."""
        database = worker.database
        return cls(
            replace(Registry.open(worker.settings), database=database),
            Lifecycle(database, clock),
            Revisions(database, clock),
            Verdicts(database, clock),
            Events(database, clock),
        )

    def versions(self) -> dict[str, list[Version]]:
        """Return the registered versions of every name, oldest first."""
        found: dict[str, list[Version]] = {}
        for version in self.registry.versions():
            found.setdefault(version.name, []).append(version)
        return found

    def names(self) -> list[str]:
        """Return every registered name."""
        return sorted({version.name for version in self.registry.versions()})

    def promises(self, name: str, version: int | None) -> Promised:
        """Return what a name is held to, and the newest verdicts on one of its versions."""
        revision = self.revisions.current(name)
        judged = [] if version is None else self.verdicts.current(name, version)
        return Promised(revision, {one.verdict.promise: one for one in judged})


@dataclass(frozen=True)
class Promised:
    """A declaration with the newest verdict of each promise, as far as one was given."""

    revision: Revision
    judged: dict[str, Judged]

    @property
    def pairs(self) -> list[tuple[Promise, Judged | None]]:
        """Every declared promise beside its newest verdict."""
        declared = self.revision.declared.promises
        return [(promise, self.judged.get(promise.key)) for promise in declared]
