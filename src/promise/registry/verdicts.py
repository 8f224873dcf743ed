"""The newest verdict of every promise on every version, and when it changed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from promise.clock import Clock, SystemClock
from promise.promises.verdict import Verdict
from promise.registry.audit import canonical
from promise.state.database import Database, Migrations
from promise.state.files import plain
from promise.state.moments import from_text, to_text


def _widen_promise(connection: sa.Connection) -> None:
    """Let a promise have any key; SQLite's columns are as wide as they need to be."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("ALTER TABLE verdicts ALTER COLUMN promise TYPE TEXT"))


VERDICTS = Migrations(
    "verdicts",
    (
        """CREATE TABLE verdicts (
            name VARCHAR(63) NOT NULL,
            version INTEGER NOT NULL,
            promise VARCHAR(200) NOT NULL,
            seq INTEGER NOT NULL,
            stage VARCHAR(20) NOT NULL,
            at VARCHAR(40) NOT NULL,
            status VARCHAR(10) NOT NULL,
            verdict TEXT NOT NULL,
            PRIMARY KEY (name, version, promise, seq)
        )""",
        "CREATE INDEX verdicts_by_time ON verdicts (name, at)",
        _widen_promise,
    ),
)

_KEY = "name = :name AND version = :version AND promise = :promise"


@dataclass(frozen=True)
class Judged:
    """A verdict and where it was given.

    Parameters
    ----------
    at
        When its status became what it is; its numbers are the newest.
    """

    name: str
    version: int
    stage: str
    at: datetime
    verdict: Verdict

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary."""
        return {**vars(self), "at": to_text(self.at), "verdict": self.verdict.to_json()}


@dataclass
class Verdicts:
    """Appends a row only when a status changed; else the newest row's numbers are refreshed."""

    database: Database
    clock: Clock = field(default_factory=SystemClock)

    def record(
        self, name: str, version: int, stage: str, verdicts: Sequence[Verdict]
    ) -> list[Judged]:
        """Keep these verdicts; return those whose status is new, for alerts.

        Nothing is written, and no lock taken, where nothing has changed at all.
        """
        known = {judged.verdict.promise: judged for judged in self.current(name, version)}
        if all(_same(known.get(verdict.promise), stage, verdict) for verdict in verdicts):
            return []

        def work(connection: sa.Connection) -> list[Judged]:
            now = self.clock.now()
            given = [Judged(name, version, stage, now, verdict) for verdict in verdicts]
            return [judged for judged in given if _keep(connection, judged)]

        return self.database.run(work)

    def current(self, name: str, version: int) -> list[Judged]:
        """Return the newest verdict of each promise on this version."""
        query = (
            "SELECT v.* FROM verdicts v JOIN (SELECT promise, MAX(seq) AS seq FROM verdicts "
            "WHERE name = :name AND version = :version GROUP BY promise) newest "
            "ON v.promise = newest.promise AND v.seq = newest.seq "
            "WHERE v.name = :name AND v.version = :version ORDER BY v.promise"
        )
        return self._read(query, name=name, version=version)

    def history(self, name: str, limit: int = 100) -> list[Judged]:
        """Return changes of verdicts of a name, newest first."""
        query = (
            "SELECT * FROM verdicts WHERE name = :name "
            "ORDER BY at DESC, version DESC, promise, seq DESC LIMIT :limit"
        )
        return self._read(query, name=name, limit=limit)

    def _read(self, query: str, **parameters: Any) -> list[Judged]:
        self.database.migrate(VERDICTS)
        with self.database.reading() as connection:
            rows = connection.execute(sa.text(query), parameters).mappings()
            return [_from_row(row) for row in rows]


def _same(known: Judged | None, stage: str, verdict: Verdict) -> bool:
    if known is None or known.stage != stage:
        return False
    return canonical(plain(known.verdict.to_json())) == canonical(plain(verdict.to_json()))


def _keep(connection: sa.Connection, judged: Judged) -> bool:
    """Refresh the newest row, or append one where the status changed; say whether it did."""
    verdict = judged.verdict
    row = {
        "name": judged.name,
        "version": judged.version,
        "promise": verdict.promise,
        "stage": judged.stage,
        "verdict": canonical(plain(verdict.to_json())),
    }
    newest = f"SELECT seq, status FROM verdicts WHERE {_KEY} ORDER BY seq DESC LIMIT 1"
    last = connection.execute(sa.text(newest), row).mappings().first()
    if last is not None and last["status"] == verdict.status:
        update = (
            f"UPDATE verdicts SET stage = :stage, verdict = :verdict WHERE {_KEY} AND seq = :seq"
        )
        connection.execute(sa.text(update), {**row, "seq": last["seq"]})
        return False
    connection.execute(
        sa.text(
            "INSERT INTO verdicts VALUES "
            "(:name, :version, :promise, :seq, :stage, :at, :status, :verdict)"
        ),
        {
            **row,
            "seq": 1 if last is None else last["seq"] + 1,
            "at": to_text(judged.at),
            "status": verdict.status,
        },
    )
    return True


def _from_row(row: Mapping[Any, Any]) -> Judged:
    return Judged(
        name=row["name"],
        version=row["version"],
        stage=row["stage"],
        at=from_text(row["at"]),
        verdict=Verdict(**json.loads(row["verdict"])),
    )
