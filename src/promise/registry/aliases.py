"""Names for versions that move, with every move on record."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from promise.clock import Clock, SystemClock
from promise.errors import ConfigError, DataError
from promise.registry.audit import append_only
from promise.registry.epoch import EPOCH, grow_epoch
from promise.registry.tables import VERSIONS
from promise.state.database import Database, Migrations
from promise.state.moments import from_text, to_text

ROLES = ("live", "standby", "candidate")
"""What the route of a name says; nobody sets these by hand."""

ALIASES = Migrations(
    "aliases",
    (
        """CREATE TABLE aliases (
            name VARCHAR(63) NOT NULL,
            alias VARCHAR(63) NOT NULL,
            seq INTEGER NOT NULL,
            at VARCHAR(40) NOT NULL,
            version INTEGER,
            reason TEXT NOT NULL,
            PRIMARY KEY (name, alias, seq)
        )""",
        lambda connection: append_only(connection, "aliases"),
    ),
)

_ANY: Any = object()
_ALIAS = re.compile(r"[a-z][a-z0-9_-]{0,62}")


@dataclass(frozen=True)
class Move:
    """One move of an alias; without a version it was taken away."""

    name: str
    alias: str
    seq: int
    at: datetime
    version: int | None
    reason: str


@dataclass
class Aliases:
    """Sets aliases such as `champion`, and tells where each pointed at any time."""

    database: Database
    clock: Clock = field(default_factory=SystemClock)

    def set(
        self,
        name: str,
        alias: str,
        version: int | None,
        *,
        expect: int | None = _ANY,
        reason: str = "",
    ) -> Move:
        """Point an alias at a version, or at none; the same again adds nothing.

        Parameters
        ----------
        expect
            Move it only from here: a number, or None for an alias that is not set.

        Raises
        ------
        ConfigError
            When the alias is a role's name, the version is unknown or archived, or the alias
            points elsewhere than expected.
        """
        self._check(name, alias)

        def work(connection: sa.Connection) -> Move:
            last = _newest(connection, name, alias)
            now = None if last is None else last.version
            if expect is not _ANY and now != expect:
                raise ConfigError(
                    f"{name}@{alias} points at {_shown(now)}, expected {_shown(expect)}; somebody "
                    "moved it: look again before you move it."
                )
            if last is not None and now == version:
                return last
            _check_version(connection, name, version)
            seq, at = 1, self.clock.now()
            if last is not None:
                seq, at = last.seq + 1, max(at, last.at)  # also where the clock was moved back
            move = Move(name, alias, seq, at, version, reason)
            connection.execute(
                sa.text("INSERT INTO aliases VALUES (:name, :alias, :seq, :at, :version, :reason)"),
                {**vars(move), "at": to_text(move.at)},
            )
            grow_epoch(connection)
            return move

        self._prepare()
        return self.database.run(work)

    def get(self, name: str, alias: str) -> int | None:
        """Return the version that an alias points at, or None."""
        self._prepare()
        with self.database.reading() as connection:
            last = _newest(connection, name, alias)
        return None if last is None else last.version

    def all(self, name: str) -> dict[str, int]:
        """Return every alias of a name that points at a version."""
        found = {move.alias: move.version for move in self.history(name)}
        return {alias: version for alias, version in found.items() if version is not None}

    def history(self, name: str, alias: str | None = None) -> list[Move]:
        """Return every move of one alias or of all of a name, oldest first."""
        self._prepare()
        clause = "" if alias is None else " AND alias = :alias"
        query = f"SELECT * FROM aliases WHERE name = :name{clause} ORDER BY at, alias, seq"
        with self.database.reading() as connection:
            rows = connection.execute(sa.text(query), {"name": name, "alias": alias}).mappings()
            return [_from_row(dict(row)) for row in rows]

    def _prepare(self) -> None:
        for tables in (VERSIONS, ALIASES, EPOCH):
            self.database.migrate(tables)

    @staticmethod
    def _check(name: str, alias: str) -> None:
        if alias in ROLES:
            raise ConfigError(
                f"{alias!r} is what the route says; change it by `promise deploy {name}@V`."
            )
        if not _ALIAS.fullmatch(alias):
            raise ConfigError(
                f"{alias!r} cannot be an alias: use lower-case letters, digits, - and _, starting "
                "with a letter, for example 'champion'."
            )


def _newest(connection: sa.Connection, name: str, alias: str) -> Move | None:
    query = sa.text(
        "SELECT * FROM aliases WHERE name = :name AND alias = :alias ORDER BY seq DESC LIMIT 1"
    )
    found = connection.execute(query, {"name": name, "alias": alias}).mappings().first()
    return None if found is None else _from_row(dict(found))


def _from_row(row: dict[str, Any]) -> Move:
    return Move(**{**row, "at": from_text(row["at"])})


def _check_version(connection: sa.Connection, name: str, version: int | None) -> None:
    if version is None:
        return
    query = sa.text("SELECT state FROM versions WHERE name = :name AND number = :number")
    state = connection.execute(query, {"name": name, "number": version}).scalar()
    if state is None:
        raise DataError(f"{name} has no version {version}; see `promise models list`.")
    if state == "archived":
        raise ConfigError(f"{name}@{version} is archived; an alias needs a version with files.")


def _shown(version: int | None) -> str:
    return "nothing" if version is None else f"version {version}"
