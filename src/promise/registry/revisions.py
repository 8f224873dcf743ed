"""The promises of a name in numbered revisions; loosening one needs a recorded reason."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from promise.clock import Clock, SystemClock
from promise.errors import ConfigError, DataError, PromiseError
from promise.pipeline.order import workload_named
from promise.promises.defaults import default_model_file
from promise.promises.spec import STAGES, Action, ModelFile, Promise
from promise.registry.audit import append_only, canonical
from promise.registry.epoch import EPOCH, grow_epoch
from promise.registry.tables import VERSIONS
from promise.state.database import Database, Migrations
from promise.state.moments import from_text, to_text

REVISIONS = Migrations(
    "revisions",
    (
        """CREATE TABLE revisions (
            name VARCHAR(63) NOT NULL,
            number INTEGER NOT NULL,
            created VARCHAR(40) NOT NULL,
            declared TEXT NOT NULL,
            reason TEXT NOT NULL,
            PRIMARY KEY (name, number)
        )""",
        lambda connection: append_only(connection, "revisions"),
    ),
)

_STRENGTH: dict[Action, int] = {"alert": 0, "retrain": 1, "hold": 2, "rollback": 3}
_START = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


@dataclass(frozen=True)
class Revision:
    """One numbered declaration of what a name is held to."""

    name: str
    number: int
    created: datetime
    declared: ModelFile
    reason: str

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary."""
        return {
            **vars(self),
            "created": to_text(self.created),
            "declared": self.declared.to_json(),
        }


@dataclass
class Revisions:
    """Keeps every declaration; the newest is what live is judged by."""

    database: Database
    clock: Clock = field(default_factory=SystemClock)

    def declare(self, name: str, declared: ModelFile, *, reason: str = "") -> Revision:
        """Keep a declaration as the next revision; the same one again adds nothing.

        Raises
        ------
        ConfigError
            Where a promise is loosened or dropped without a reason; says which and how.
        """

        def work(connection: sa.Connection) -> Revision:
            made = self._following(connection, name, declared, reason)
            self.append(connection, made)
            return made

        self._prepare()
        return self.database.run(work)

    def proposed(self, name: str, declared: ModelFile, *, reason: str = "") -> Revision:
        """Return the revision that a declaration would be, without keeping it.

        `append` keeps it together with whatever it belongs to. Raises as `declare` does.
        """
        self._prepare()
        with self.database.reading() as connection:
            return self._following(connection, name, declared, reason)

    def append(self, connection: sa.Connection, revision: Revision) -> None:
        """Keep a proposed revision inside the caller's transaction; one that is kept adds nothing.

        Raises
        ------
        ConfigError
            Where another one was declared since it was proposed.
        """
        last = _newest(connection, revision.name)
        number = 0 if last is None else last.number
        if revision.number == number and (last is None or last.declared == revision.declared):
            return
        if revision.number != number + 1:
            raise ConfigError(
                f"the promises of {revision.name} were declared anew meanwhile (revision "
                f"{number}); look at them and run the command again."
            )
        row = {
            "name": revision.name,
            "number": revision.number,
            "at": to_text(revision.created),
            "declared": canonical(revision.declared.to_json()),
            "reason": revision.reason,
        }
        insert = "INSERT INTO revisions VALUES (:name, :number, :at, :declared, :reason)"
        connection.execute(sa.text(insert), row)
        grow_epoch(connection)

    def keep(self, revision: Revision) -> None:
        """Keep a proposed revision by itself."""
        self._prepare()
        self.database.run(lambda connection: self.append(connection, revision))

    def _following(
        self, connection: sa.Connection, name: str, declared: ModelFile, reason: str
    ) -> Revision:
        last = _newest(connection, name)
        if last is not None:
            if last.declared == declared:
                return last
            _ask_reason(name, loosened(last.declared, declared), reason)
        number = 1 if last is None else last.number + 1
        return Revision(name, number, self.clock.now(), declared, reason)

    def current(self, name: str) -> Revision:
        """Return the newest revision; 0 with what the workload promises where none is there."""
        self._prepare()
        with self.database.reading() as connection:
            return _newest(connection, name) or _undeclared(connection, name)

    def get(self, name: str, number: int) -> Revision:
        """Return one revision; 0 stands for the default promises."""
        if number == 0:
            self._prepare()
            with self.database.reading() as connection:
                return _undeclared(connection, name)
        for revision in self.all(name):
            if revision.number == number:
                return revision
        raise DataError(
            f"the promises of {name} have no revision {number}; the newest is "
            f"{self.current(name).number}."
        )

    def all(self, name: str) -> list[Revision]:
        """Return every revision that was declared, oldest first."""
        self._prepare()
        query = sa.text("SELECT * FROM revisions WHERE name = :name ORDER BY number")
        with self.database.reading() as connection:
            return [_from_row(row) for row in connection.execute(query, {"name": name}).mappings()]

    def _prepare(self) -> None:
        for tables in (REVISIONS, EPOCH, VERSIONS):
            self.database.migrate(tables)


def loosened(before: ModelFile, after: ModelFile) -> list[str]:
    """Say what a new declaration asks less of than the one before; empty when nothing.

    A bound moved to the lenient side, a promise dropped or of something else, due in a later
    stage, with a weaker answer to a breach or a longer grace: each is a sentence. Nearer warnings
    and new promises are not.

    Examples
    --------
    >>> speed = Promise("speed", "latency_p99", at_most=12.0)
    >>> slower = Promise("speed", "latency_p99", at_most=20.0)
    >>> loosened(ModelFile(promises=(speed,)), ModelFile(promises=(slower,)))
    ['speed: at_most 12 becomes 20']
    """
    kept = {promise.key: promise for promise in after.promises}
    # renaming a promise does not loosen it
    same = {(promise.that, promise.of): promise for promise in after.promises}
    found: list[str] = []
    for promise in before.promises:
        now = kept.get(promise.key) or same.get((promise.that, promise.of))
        found += _less(promise, now)
    return found


def _less(before: Promise, after: Promise | None) -> list[str]:
    if after is None:
        return [f"{before.key}: dropped"]
    if (before.that, before.of) != (after.that, after.of):
        return [f"{before.key}: {_about(before)} becomes {_about(after)}"]
    if (before.at_most is None) != (after.at_most is None):
        return [f"{before.key}: its bound turns around"]
    found = []
    side = "at_least" if before.at_most is None else "at_most"
    if not before.holds(after.bound):
        found.append(f"{before.key}: {side} {before.bound:g} becomes {after.bound:g}")
    if STAGES.index(after.due) > STAGES.index(before.due):
        found.append(f"{before.key}: due {before.due} becomes {after.due}")
    strongest = max((_STRENGTH[action] for action in after.on_break), default=-1)
    lost = [a for a in before.on_break if a not in after.on_break and _STRENGTH[a] > strongest]
    if lost:
        found.append(f"{before.key}: a breach no longer leads to {' and '.join(lost)}")
    if after.grace_s > before.grace_s:
        found.append(f"{before.key}: grace {before.grace_s:g} s becomes {after.grace_s:g} s")
    return found


def _about(promise: Promise) -> str:
    return promise.that if promise.of is None else f"{promise.that} of {promise.of}"


def _ask_reason(name: str, less: list[str], reason: str) -> None:
    if less and not reason.strip():
        raise ConfigError(
            f"this loosens what {name} promised ({'; '.join(less)}); say why: --reason TEXT."
        )


def _undeclared(connection: sa.Connection, name: str) -> Revision:
    """Return what holds until somebody declares more: the default, and the workload's own."""
    query = sa.text("SELECT workload FROM versions WHERE name = :name ORDER BY number LIMIT 1")
    workload = connection.execute(query, {"name": name}).scalar()
    declared = default_model_file(name)
    with suppress(PromiseError):  # one that is not installed here adds nothing
        own = workload_named(workload) if workload else None
        if own is not None:
            promises = (*declared.promises, *own.promised)
            declared = replace(declared, promises=promises, retrain=dict(own.retrain))
    return Revision(name, 0, _START, declared, "nothing was declared")


def _newest(connection: sa.Connection, name: str) -> Revision | None:
    query = sa.text("SELECT * FROM revisions WHERE name = :name ORDER BY number DESC LIMIT 1")
    found = connection.execute(query, {"name": name}).mappings().first()
    return None if found is None else _from_row(found)


def _from_row(row: Mapping[Any, Any]) -> Revision:
    return Revision(
        name=row["name"],
        number=row["number"],
        created=from_text(row["created"]),
        declared=ModelFile.from_json(json.loads(row["declared"])),
        reason=row["reason"],
    )
