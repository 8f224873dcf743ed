"""One active process at a time: a lease that its holder renews and others wait for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa

from promise.clock import Clock
from promise.state.database import Database, Migrations
from promise.state.moments import from_text, to_text

LEASES = Migrations(
    "rollout_leases",
    (
        """CREATE TABLE leases (
            key VARCHAR(64) NOT NULL PRIMARY KEY,
            holder VARCHAR(128) NOT NULL,
            until VARCHAR(40) NOT NULL
        )""",
    ),
)


@dataclass
class Leases:
    """Gives a key to one holder for a while.

    Examples
    --------
    >>> from promise.clock import ManualClock
    >>> clock = ManualClock()
    >>> leases = Leases(Database("sqlite://"), clock)
    >>> leases.take("reconciler", "a", 10), leases.take("reconciler", "b", 10)
    (True, False)
    >>> clock.advance(11)
    >>> leases.take("reconciler", "b", 10), leases.take("reconciler", "a", 10)
    (True, False)
    """

    database: Database
    clock: Clock

    def take(self, key: str, holder: str, for_s: float) -> bool:
        """Take or renew a lease; False while somebody else holds it."""
        self.database.migrate(LEASES)
        now = self.clock.now()
        until = now + timedelta(seconds=for_s)

        def work(connection: sa.Connection) -> bool:
            kept = connection.execute(
                sa.text("SELECT holder, until FROM leases WHERE key = :key"), {"key": key}
            ).first()
            if kept is not None and kept.holder != holder:
                ends = from_text(kept.until)
                # One that ends far ahead was taken before the clock was set back.
                if now < ends <= now + timedelta(seconds=10 * for_s):
                    return False
            row = {"key": key, "holder": holder, "until": to_text(until)}
            statement = (
                "INSERT INTO leases (key, holder, until) VALUES (:key, :holder, :until)"
                if kept is None
                else "UPDATE leases SET holder = :holder, until = :until WHERE key = :key"
            )
            connection.execute(sa.text(statement), row)
            return True

        return self.database.run(work)

    def holder(self, key: str) -> str | None:
        """Return who holds a lease now; None where it is free."""
        self.database.migrate(LEASES)
        with self.database.reading() as connection:
            return self.holder_in(connection, key)

    def holder_in(self, connection: sa.Connection, key: str) -> str | None:
        """Return who holds a lease as a transaction of the caller sees it."""
        query = sa.text("SELECT holder, until FROM leases WHERE key = :key")
        kept = connection.execute(query, {"key": key}).first()
        if kept is None or from_text(kept.until) <= self.clock.now():
            return None
        return str(kept.holder)

    def release(self, key: str, holder: str) -> None:
        """Give a lease back early, so that the next holder need not wait."""
        self.database.migrate(LEASES)
        statement = sa.text("DELETE FROM leases WHERE key = :key AND holder = :holder")
        row = {"key": key, "holder": holder}
        self.database.run(lambda connection: connection.execute(statement, row))
