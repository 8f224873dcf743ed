"""What is live, and why: routes, and the append-only chain of transitions between them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from promise.clock import Clock, SystemClock
from promise.errors import ConfigError
from promise.registry.audit import (
    CHAIN,
    GENESIS,
    append_link,
    canonical,
    chain_of,
    first_wrong,
    newest_link,
    newest_links,
)
from promise.registry.epoch import EPOCH, grow_epoch, read_epoch
from promise.registry.route import BUCKETS, Route, Stage, check_route
from promise.registry.tables import VERSIONS
from promise.state.database import Database
from promise.state.failpoints import reach
from promise.state.files import plain
from promise.state.moments import from_text, to_text

__all__ = ["BUCKETS", "Conflict", "Lifecycle", "Route", "Stage", "Transition"]


@dataclass(frozen=True)
class Transition:
    """One link of a name's chain: what changed, why, on which evidence.

    Parameters
    ----------
    seq
        Counts up from 1 within the name.
    kind
        `deploy`, `advance`, `promote`, `rollback`, `hold`, `resume`, `release` (the standby is
        let go), `experiment` or `retire`.
    route
        After the transition.
    previous, hash
        sha256 of the link before (64 zeros for the first) and of this one.
    """

    name: str
    seq: int
    at: datetime
    kind: str
    route: Route
    reason: str
    evidence: dict[str, Any]
    actor: str
    previous: str
    hash: str

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary."""
        return {**vars(self), "at": to_text(self.at), "route": self.route.to_json()}


class Conflict(Exception):
    """Somebody else changed the route first; read it again and decide anew."""


@dataclass
class Lifecycle:
    """Reads routes and commits transitions, each in one transaction with its evidence."""

    database: Database
    clock: Clock = field(default_factory=SystemClock)

    def prepare(self) -> None:
        """Make the tables where they are missing."""
        for tables in (VERSIONS, CHAIN, EPOCH):
            self.database.migrate(tables)

    def route(self, name: str) -> Route:
        """Return the current route of a name; an empty one where nothing was deployed yet."""
        last = self.last(name)
        return Route(name) if last is None else last.route

    def routes(self) -> dict[str, Route]:
        """Return the current route of every name that was ever deployed."""
        links = self._read(newest_links)
        return {link.name: link.route for link in links if link.route.loaded}

    def last(self, name: str) -> Transition | None:
        """Return the newest transition of a name."""
        self.prepare()
        with self.database.reading() as connection:
            return self.last_in(connection, name)

    @staticmethod
    def last_in(connection: sa.Connection, name: str) -> Transition | None:
        """Return the newest transition as a transaction of the caller sees it."""
        row = newest_link(connection, name)
        return None if row is None else _from_row(row)

    def commit(
        self,
        before: Transition | None,
        kind: str,
        route: Route,
        *,
        reason: str,
        evidence: dict[str, Any] | None = None,
        actor: str = "reconciler",
    ) -> Transition:
        """Append the transition that follows `before`, and let servers notice.

        The time of a link is never before that of the link before it, even where the clock was
        moved back.

        Raises
        ------
        Conflict
            When `before` is not the last transition any more.
        ConfigError
            When the route cannot be: no live version where there was one, a version in two roles,
            or one that was retired.
        """
        self.prepare()
        reach("lifecycle.commit.before")
        made = self.database.run(
            lambda connection: self.append(
                connection, before, kind, route, reason=reason, evidence=evidence, actor=actor
            )
        )
        reach("lifecycle.commit.after")
        return made

    def append(
        self,
        connection: sa.Connection,
        before: Transition | None,
        kind: str,
        route: Route,
        *,
        reason: str,
        evidence: dict[str, Any] | None = None,
        actor: str = "reconciler",
    ) -> Transition:
        """Do what `commit` does inside the caller's transaction, for changes that go together."""
        last = newest_link(connection, route.name)
        if (last and last["hash"]) != (before and before.hash):
            raise Conflict(f"{route.name}: another transition came first; look again.")
        known = Route(route.name) if before is None else before.route
        check_route(known, route)
        _refuse_retired(connection, known, route)
        row = append_link(
            connection,
            {
                "name": route.name,
                "seq": 1 if last is None else last["seq"] + 1,
                "at": max(to_text(self.clock.now()), "" if last is None else last["at"]),
                "kind": kind,
                "route": canonical(route.to_json()),
                "reason": reason,
                "evidence": canonical(plain(evidence or {})),
                "actor": actor,
                "previous": GENESIS if last is None else last["hash"],
            },
        )
        reach("lifecycle.commit.inserted")
        grow_epoch(connection)
        reach("lifecycle.commit.epoch")
        return _from_row(row)

    def history(self, name: str) -> list[Transition]:
        """Return the whole chain of a name, oldest first."""
        return self._read(lambda connection: chain_of(connection, name))

    def at(self, name: str, moment: datetime) -> Transition | None:
        """Return the transition in force at a moment: what was live then, and why.

        Retirements leave the route as it is, so they are no answer to why it was so.
        """
        query = (
            "SELECT * FROM transitions WHERE name = :name AND at <= :at AND kind <> 'retire' "
            "ORDER BY seq DESC LIMIT 1"
        )
        asked = {"name": name, "at": to_text(moment)}
        self.prepare()
        with self.database.reading() as connection:
            row = connection.execute(sa.text(query), asked).mappings().first()
        return None if row is None else _from_row(dict(row))

    def verify(self, name: str) -> int | None:
        """Return the first link whose hash or predecessor is wrong; None for an intact chain."""
        self.prepare()
        with self.database.reading() as connection:
            return first_wrong(chain_of(connection, name))

    def epoch(self) -> int:
        """Return a number that grows with every change that servers must notice."""
        self.prepare()
        with self.database.reading() as connection:
            return read_epoch(connection)

    def touch(self) -> None:
        """Grow the epoch for a change beside routes: keys, promise revisions, retirements."""
        self.prepare()
        self.database.run(grow_epoch)

    def _read(self, rows: Callable[[sa.Connection], list[dict[str, Any]]]) -> list[Transition]:
        self.prepare()
        with self.database.reading() as connection:
            return [_from_row(row) for row in rows(connection)]


def _from_row(row: Mapping[str, Any]) -> Transition:
    read = {
        "at": from_text(row["at"]),
        "route": Route.from_json(json.loads(row["route"])),
        "evidence": json.loads(row["evidence"]),
    }
    return Transition(**{**row, **read})


def _refuse_retired(connection: sa.Connection, before: Route, after: Route) -> None:
    query = sa.text("SELECT state FROM versions WHERE name = :name AND number = :number")
    for number in set(after.loaded) - set(before.loaded):
        key = {"name": after.name, "number": number}
        state = connection.execute(query, key).scalar()
        if state not in (None, "active"):
            raise ConfigError(
                f"{after.name}@{number} is retired ({state}); take that back first with "
                f"`promise models retire {after.name}@{number} --undo`."
            )
