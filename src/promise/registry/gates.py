"""Every gate that a version came to, passed or refused, and on which evidence."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from promise.clock import Clock, SystemClock
from promise.registry.audit import append_only, canonical
from promise.state.database import Database, Migrations
from promise.state.files import plain
from promise.state.moments import from_text, to_text

GATES = Migrations(
    "gates",
    (
        """CREATE TABLE gates (
            name VARCHAR(63) NOT NULL,
            number INTEGER NOT NULL,
            version INTEGER NOT NULL,
            at VARCHAR(40) NOT NULL,
            passed INTEGER NOT NULL,
            evidence TEXT NOT NULL,
            PRIMARY KEY (name, number)
        )""",
        lambda connection: append_only(connection, "gates"),
    ),
)
"""One row for each gate; `evidence` is canonical JSON with its verdicts and what blocked."""


@dataclass(frozen=True)
class Gated:
    """A version came to the gate.

    Parameters
    ----------
    evidence
        What the gate measured: `verdicts`, `blocking`, the load test, the holdout.
    """

    name: str
    version: int
    at: datetime
    passed: bool
    evidence: dict[str, Any]

    def __str__(self) -> str:
        """Say what the gate decided.

        Examples
        --------
        >>> at = datetime(2026, 1, 2, 10, 30)
        >>> str(Gated("churn", 3, at, False, {"blocking": ["quality", "golden rows"]}))
        'churn@3: refused on 2026-01-02 10:30: quality, golden rows'
        """
        said = "passed" if self.passed else "refused"
        blocking = self.evidence.get("blocking", [])
        why = f": {', '.join(blocking)}" if blocking else ""
        return f"{self.name}@{self.version}: {said} on {self.at:%Y-%m-%d %H:%M}{why}"

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary."""
        return {**vars(self), "at": to_text(self.at)}


@dataclass
class Gates:
    """Keeps what every gate found; rows can only be added."""

    database: Database
    clock: Clock = field(default_factory=SystemClock)

    def record(self, name: str, version: int, passed: bool, evidence: Mapping[str, Any]) -> Gated:
        """Keep what a gate found."""
        self.database.migrate(GATES)
        made = Gated(name, version, self.clock.now(), passed, dict(plain(dict(evidence))))
        newest = sa.text("SELECT COALESCE(MAX(number), 0) FROM gates WHERE name = :name")
        insert = sa.text(
            "INSERT INTO gates VALUES (:name, :number, :version, :at, :passed, :evidence)"
        )

        def work(connection: sa.Connection) -> None:
            number = connection.execute(newest, {"name": name}).scalar_one() + 1
            row = {
                "name": name,
                "number": number,
                "version": version,
                "at": to_text(made.at),
                "passed": int(passed),
                "evidence": canonical(made.evidence),
            }
            connection.execute(insert, row)

        self.database.run(work)
        return made

    def last(
        self, name: str, version: int | None = None, *, at: datetime | None = None
    ) -> Gated | None:
        """Return the newest gate of a name, or of one of its versions; None where there was none.

        Parameters
        ----------
        at
            The newest by then.
        """
        self.database.migrate(GATES)
        values: dict[str, Any] = {"name": name}
        rule = "WHERE name = :name"
        if version is not None:
            rule, values["version"] = f"{rule} AND version = :version", version
        if at is not None:
            rule, values["at"] = f"{rule} AND at <= :at", to_text(at)
        query = sa.text(f"SELECT * FROM gates {rule} ORDER BY number DESC LIMIT 1")
        with self.database.reading() as connection:
            row = connection.execute(query, values).mappings().first()
        if row is None:
            return None
        evidence = json.loads(row["evidence"])
        return Gated(
            row["name"], row["version"], from_text(row["at"]), bool(row["passed"]), evidence
        )
