"""How a version leaves: deprecated for a while, then archived; never while it serves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import sqlalchemy as sa

from promise.errors import ConfigError
from promise.registry.lifecycle import Lifecycle, Route, Transition
from promise.registry.versions import State, Version
from promise.state.artifacts import Artifacts
from promise.state.failpoints import reach
from promise.state.moments import maybe_text, to_text

T = TypeVar("T")
DEPRECATION = timedelta(days=30)
"""How long a retired version can still be loaded by those who name it."""

_WAYS_OUT = {
    "live": "deploy another version first: `promise deploy {name}@V`",
    "standby": "it is what a rollback returns to; wait until `promise status {name}` shows that it "
    "was let go",
    "experiment": "end the experiment first: deploy a promise.toml without [experiment]",
}
_ROLES = {"live": "live", "standby": "the standby", "experiment": "part of an experiment"}


@dataclass(frozen=True)
class Retirement:
    """Changes the state of versions; each change is a link of the name's chain."""

    lifecycle: Lifecycle
    store: Artifacts

    def begin(self, version: Version, reason: str, actor: str) -> None:
        """Deprecate a version that nothing has loaded."""
        if not reason.strip():
            raise ConfigError(f"say why {version} is retired: --reason TEXT.")
        until = self.lifecycle.clock.now() + DEPRECATION

        def work(connection: sa.Connection) -> None:
            last = self._last(connection, version.name)
            _refuse_loaded(version, Route(version.name) if last is None else last.route)
            state = _state_of(connection, version)
            if state == "archived":
                raise ConfigError(f"{version} is archived already.")
            if state == "deprecated":
                return
            _set(connection, version, "deprecated", until=to_text(until), reason=reason)
            evidence = {"version": version.number, "state": "deprecated", "until": to_text(until)}
            self._record(connection, last, version, reason, evidence, actor)

        self._run(work)

    def undo(self, version: Version, reason: str, actor: str) -> None:
        """Make a version active again."""

        def work(connection: sa.Connection) -> None:
            state = _state_of(connection, version)
            if state == "active":
                raise ConfigError(f"{version} is not retired.")
            if not self.store.exists(version.location):
                raise ConfigError(
                    f"{version} is archived and its files are gone; restore them from a backup."
                )
            _set(connection, version, "active", until=None, reason="")
            last = self._last(connection, version.name)
            evidence = {"version": version.number, "state": "active"}
            self._record(connection, last, version, reason or "taken back", evidence, actor)

        self._run(work)

    def archive(self, deprecated: list[Version]) -> list[Version]:
        """Archive those whose time has come; return them."""
        now = self.lifecycle.clock.now()
        due = [v for v in deprecated if v.archive_at is not None and v.archive_at <= now]
        return [version for version in due if self._run(self._archiving(version))]

    def purge(self) -> None:
        """Remove the files of archived versions, unless another version shares them."""
        query = sa.text(
            "SELECT name, number, folder FROM versions WHERE state = 'archived' AND purged = 0"
        )
        with self.lifecycle.database.reading() as connection:
            rows = [dict(row) for row in connection.execute(query).mappings()]
        for row in rows:
            self.lifecycle.database.run(self._purging(row))

    def _purging(self, row: dict[str, Any]) -> Callable[[sa.Connection], None]:
        mark = sa.text(
            "UPDATE versions SET purged = 1 WHERE name = :name AND number = :number AND state = "
            "'archived' AND NOT EXISTS (SELECT 1 FROM versions o WHERE o.folder = :folder AND "
            "o.state <> 'archived')"
        )

        def work(connection: sa.Connection) -> None:
            # before the commit: a kill leaves the mark unset and the next sweep goes on, and
            # somebody who takes the retirement back waits for the mark
            if connection.execute(mark, row).rowcount:
                self.store.remove(row["folder"])
                reach("registry.purge.removed")

        return work

    def _archiving(self, version: Version) -> Callable[[sa.Connection], bool]:
        def work(connection: sa.Connection) -> bool:
            if _state_of(connection, version) != "deprecated":
                return False
            last = self._last(connection, version.name)
            reason = version.retired_because
            _set(
                connection, version, "archived", until=maybe_text(version.archive_at), reason=reason
            )
            evidence = {"version": version.number, "state": "archived"}
            why = f"{DEPRECATION.days} days after: {reason}"
            self._record(connection, last, version, why, evidence, "sweep")
            return True

        return work

    def _run(self, work: Callable[[sa.Connection], T]) -> T:
        self.lifecycle.prepare()
        return self.lifecycle.database.run(work)

    def _last(self, connection: sa.Connection, name: str) -> Transition | None:
        return self.lifecycle.last_in(connection, name)

    def _record(
        self,
        connection: sa.Connection,
        last: Transition | None,
        version: Version,
        reason: str,
        evidence: dict[str, Any],
        actor: str,
    ) -> None:
        route = Route(version.name) if last is None else last.route
        self.lifecycle.append(
            connection, last, "retire", route, reason=reason, evidence=evidence, actor=actor
        )


def _state_of(connection: sa.Connection, version: Version) -> State:
    query = sa.text("SELECT state FROM versions WHERE name = :name AND number = :number")
    key = {"name": version.name, "number": version.number}
    found: State = connection.execute(query, key).scalar_one()
    return found


def _set(
    connection: sa.Connection, version: Version, state: State, *, until: str | None, reason: str
) -> None:
    connection.execute(
        sa.text(
            "UPDATE versions SET state = :state, archive_at = :until, retired_because = :reason, "
            "purged = CASE WHEN state = 'archived' THEN 0 ELSE purged END "
            "WHERE name = :name AND number = :number"
        ),
        {
            "state": state,
            "until": until,
            "reason": reason,
            "name": version.name,
            "number": version.number,
        },
    )


def _refuse_loaded(version: Version, route: Route) -> None:
    role = route.role(version.number)
    if role is None:
        return
    way = _WAYS_OUT.get(role, "take it back first: `promise rollback {name}`")
    raise ConfigError(
        f"{version} cannot be retired: it is {_ROLES.get(role, f'in {role}')} for "
        f"{version.name}; {way.format(name=version.name)}."
    )
