"""What a broken promise asks somebody else to do, e.g. to train again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from promise.clock import Clock
from promise.state.database import Database, Migrations
from promise.state.moments import from_text, to_text

WISHES = Migrations(
    "rollout_wishes",
    (
        """CREATE TABLE wishes (
            name VARCHAR(63) NOT NULL,
            what VARCHAR(32) NOT NULL,
            reason TEXT NOT NULL,
            at VARCHAR(40) NOT NULL,
            PRIMARY KEY (name, what)
        )""",
    ),
)


@dataclass(frozen=True)
class Wish:
    """Something that should be done for a name, asked for once until it is done."""

    name: str
    what: str
    reason: str
    at: datetime


@dataclass
class Wishes:
    """Keeps wishes until they are fulfilled.

    Examples
    --------
    >>> from promise.clock import ManualClock
    >>> wishes = Wishes(Database("sqlite://"), ManualClock())
    >>> wishes.make("churn", "retrain", "drift is broken")
    True
    >>> wishes.make("churn", "retrain", "drift is broken still")
    False
    >>> [wish.reason for wish in wishes.open()]
    ['drift is broken']
    """

    database: Database
    clock: Clock

    def make(self, name: str, what: str, reason: str) -> bool:
        """Keep a wish; False where the same one is open already."""
        self.database.migrate(WISHES)
        row = {"name": name, "what": what, "reason": reason, "at": to_text(self.clock.now())}
        statement = sa.text(
            "INSERT INTO wishes (name, what, reason, at) VALUES (:name, :what, :reason, :at) "
            "ON CONFLICT (name, what) DO NOTHING"
        )
        return self.database.run(lambda c: c.execute(statement, row).rowcount == 1)

    def open(self) -> list[Wish]:
        """Return the wishes that nobody has fulfilled yet, oldest first."""
        self.database.migrate(WISHES)
        with self.database.reading() as connection:
            rows = connection.execute(
                sa.text("SELECT name, what, reason, at FROM wishes ORDER BY at")
            )
            return [Wish(r.name, r.what, r.reason, from_text(r.at)) for r in rows]

    def fulfil(self, name: str, what: str) -> None:
        """Strike a wish out, so that it can be made anew."""
        self.database.migrate(WISHES)
        statement = sa.text("DELETE FROM wishes WHERE name = :name AND what = :what")
        row = {"name": name, "what": what}
        self.database.run(lambda connection: connection.execute(statement, row))
