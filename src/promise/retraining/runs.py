"""Every retraining on record: why it ran, on what, and what became of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa

from promise.clock import Clock
from promise.state.database import Database, Migrations
from promise.state.files import plain
from promise.state.moments import from_text, maybe_moment, maybe_text, to_text

Kind = Literal["broken", "drift", "hand", "schedule", "rows"]
State = Literal["running", "deployed", "kept", "refused", "failed", "interrupted"]

CONCLUDED: tuple[State, ...] = ("deployed", "kept", "refused")
"""States of runs that came to a new version, wherever that stands now."""

RUNS = Migrations(
    "retraining",
    (
        """CREATE TABLE retrainings (
            name VARCHAR(63) NOT NULL,
            number INTEGER NOT NULL,
            kind VARCHAR(16) NOT NULL,
            reason TEXT NOT NULL,
            state VARCHAR(16) NOT NULL,
            started VARCHAR(40) NOT NULL,
            ended VARCHAR(40),
            live INTEGER NOT NULL,
            version INTEGER,
            n_rows BIGINT,
            n_logged BIGINT,
            n_judged BIGINT,
            label_number BIGINT NOT NULL,
            sentence TEXT NOT NULL,
            comparison TEXT,
            PRIMARY KEY (name, number)
        )""",
    ),
)
"""The table of retrainings."""


@dataclass(frozen=True)
class Run:
    """One retraining of a name.

    Parameters
    ----------
    kind, reason
        What asked for it, and in words.
    state
        `running`; `deployed` (sent on its way to users), `kept` (registered, the live one stays),
        `refused` (by the gate or by a route that cannot take it); `failed` (one with a version
        waits for its gate), or `interrupted`.
    live
        The version that was live then.
    version
        The one that was made; None where none was.
    n_rows, n_logged, n_judged
        Rows to learn from, labelled answers among all rows, and rows that decided.
    label_number
        Of the last label that was there when it began.
    sentence
        What became of it, in words.
    comparison
        As `promise compare --json` prints it; None where nothing was compared.
    """

    name: str
    number: int
    kind: Kind
    reason: str
    state: State
    started: datetime
    live: int
    label_number: int
    ended: datetime | None = None
    version: int | None = None
    n_rows: int | None = None
    n_logged: int | None = None
    n_judged: int | None = None
    sentence: str = ""
    comparison: dict[str, Any] | None = None

    def __str__(self) -> str:
        return f"retraining {self.number} of {self.name}"

    @property
    def waits(self) -> bool:
        """Whether it made a version whose gate could not come to its end, and will again."""
        return self.state == "failed" and self.version is not None

    @property
    def seconds(self) -> float | None:
        """How long it took; None while it runs."""
        return None if self.ended is None else (self.ended - self.started).total_seconds()

    def to_json(self) -> dict[str, Any]:
        """Return what `promise retrain --list --json` prints of it."""
        return {
            **{key: value for key, value in vars(self).items() if key != "label_number"},
            "started": to_text(self.started),
            "ended": maybe_text(self.ended),
            "seconds": self.seconds,
        }


@dataclass
class Runs:
    """Keeps the record; whoever holds a name's lease writes it.

    Examples
    --------
    >>> from promise.clock import ManualClock
    >>> runs = Runs(Database("sqlite://"), ManualClock())
    >>> first = runs.begin("churn", "hand", "asked by ann", live=1, label_number=0)
    >>> str(runs.end(first, "kept", "a tie", version=2)), runs.of("churn")[0].state
    ('retraining 1 of churn', 'kept')
    """

    database: Database
    clock: Clock

    def begin(self, name: str, kind: Kind, reason: str, *, live: int, label_number: int) -> Run:
        """Add a run that begins now."""
        started = self.clock.now()
        self.database.migrate(RUNS)
        newest = sa.text("SELECT COALESCE(MAX(number), 0) FROM retrainings WHERE name = :name")

        def work(connection: sa.Connection) -> Run:
            number = int(connection.execute(newest, {"name": name}).scalar_one()) + 1
            run = Run(name, number, kind, reason, "running", started, live, label_number)
            row = _to_row(run)
            names, values = ", ".join(row), ", ".join(f":{key}" for key in row)
            connection.execute(sa.text(f"INSERT INTO retrainings ({names}) VALUES ({values})"), row)
            return run

        return self.database.run(work)

    def end(self, run: Run, state: State, sentence: str, **facts: Any) -> Run:
        """Note what became of a run; `facts` are further fields of it."""
        ended = Run(
            **{
                **vars(run),
                **facts,
                "state": state,
                "sentence": sentence,
                "ended": self.clock.now(),
            }
        )
        self.database.migrate(RUNS)
        row = _to_row(ended)
        changed = ", ".join(f"{key} = :{key}" for key in row if key not in ("name", "number"))
        statement = sa.text(
            f"UPDATE retrainings SET {changed} WHERE name = :name AND number = :number"
        )
        self.database.run(lambda connection: connection.execute(statement, row))
        return ended

    def of(self, name: str | None = None, limit: int = 100) -> list[Run]:
        """Return the newest runs of a name, or of all, newest first."""
        self.database.migrate(RUNS)
        clause = "" if name is None else "WHERE name = :name "
        query = f"SELECT * FROM retrainings {clause}ORDER BY started DESC, number DESC LIMIT :limit"
        with self.database.reading() as connection:
            rows = connection.execute(sa.text(query), {"name": name, "limit": limit}).mappings()
            return [_from_row(row) for row in rows]


def _to_row(run: Run) -> dict[str, Any]:
    return {
        **vars(run),
        "started": to_text(run.started),
        "ended": maybe_text(run.ended),
        "comparison": None if run.comparison is None else json.dumps(plain(run.comparison)),
    }


def _from_row(row: Mapping[Any, Any]) -> Run:
    read = {
        "started": from_text(row["started"]),
        "ended": maybe_moment(row["ended"]),
        "comparison": None if row["comparison"] is None else json.loads(row["comparison"]),
    }
    return Run(**{**row, **read})
