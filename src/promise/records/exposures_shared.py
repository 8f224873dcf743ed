"""How often people were shown today by the lists of other machines that share a database."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa

from promise.records.forgotten import FORGOTTEN, digests_in
from promise.state.database import Database, Migrations

SHOWN_TODAY = Migrations(
    "shown_today",
    (
        """CREATE TABLE shown_today (
            model VARCHAR(63) NOT NULL,
            day BIGINT NOT NULL,
            machine VARCHAR(40) NOT NULL,
            id VARCHAR(200) NOT NULL,
            n BIGINT NOT NULL,
            mark BIGINT NOT NULL,
            PRIMARY KEY (model, id, day, machine)
        )""",
        "CREATE INDEX shown_today_news ON shown_today (model, day, machine, mark)",
        """CREATE TABLE shown_today_marks (
            model VARCHAR(63) NOT NULL,
            day BIGINT NOT NULL,
            machine VARCHAR(40) NOT NULL,
            mark BIGINT NOT NULL,
            PRIMARY KEY (model, day, machine)
        )""",
    ),
)
"""Of each machine, in how many of today's lists each person stood, and how far it has told."""

_DAY_S = 86_400
_TELL = (
    "INSERT INTO shown_today (model, day, machine, id, n, mark) "
    "VALUES (:model, :day, :machine, :id, :n, :mark) "
    "ON CONFLICT (model, id, day, machine) DO UPDATE SET n = excluded.n, mark = excluded.mark "
    "WHERE excluded.n > shown_today.n"
)
_MARK = (
    "INSERT INTO shown_today_marks (model, day, machine, mark) "
    "VALUES (:model, :day, :machine, :mark) "
    "ON CONFLICT (model, day, machine) DO UPDATE SET mark = excluded.mark"
)


@dataclass
class SharedShowings:
    """Tells other machines what this one's lists held, and reads what theirs did.

    One worker of a machine tells; each reads. Counts are kept as totals of a day, so that what is
    told again after a restart changes nothing, and only for the day that goes on.

    Parameters
    ----------
    machine
        See `machine_id`.

    Examples
    --------
    >>> from datetime import UTC
    >>> database, now = Database("sqlite://"), datetime(2026, 5, 1, tzinfo=UTC)
    >>> one, other = (SharedShowings(database, "meet", name) for name in ("one", "other"))
    >>> one.tell({"ann": 2}, now)
    >>> other.news(now), other.news(now), one.news(now)
    (Counter({'ann': 2}), Counter(), Counter())
    """

    database: Database
    model: str
    machine: str
    _day: int = -1
    _own: Counter[str] = field(default_factory=Counter)
    _seen: dict[tuple[str, str], int] = field(default_factory=dict)
    _marks: dict[str, int] = field(default_factory=dict)

    @property
    def reaches_others(self) -> bool:
        """Whether other machines can share the database: they cannot share SQLite's file."""
        return self.database.engine.dialect.name != "sqlite"

    def tell(self, shown: Mapping[str, int], now: datetime) -> None:
        """Tell in how many further lists of today people of this machine stood."""
        self._begin(now)
        if not shown:
            return
        self._migrate()
        totals = {id: self._own[id] + n for id, n in shown.items()}
        self.database.run(lambda connection: self._keep(connection, totals))
        self._own.update(shown)

    def news(self, now: datetime) -> Counter[str]:
        """Return in how many further lists of other machines people stood today."""
        self._begin(now)
        found: Counter[str] = Counter()
        self._migrate()
        of = {"model": self.model, "day": self._day, "machine": self.machine}
        marks = sa.text(
            "SELECT machine, mark FROM shown_today_marks "
            "WHERE model = :model AND day = :day AND machine <> :machine"
        )
        rows = sa.text(
            "SELECT id, n FROM shown_today "
            "WHERE model = :model AND day = :day AND machine = :machine AND mark > :mark"
        )
        with self.database.reading() as connection:
            for machine, mark in connection.execute(marks, of).all():
                before = self._marks.get(machine, 0)
                if mark <= before:
                    continue
                asked = {**of, "machine": machine, "mark": before}
                for id, n in connection.execute(rows, asked):
                    found[id] += n - self._seen.get((machine, id), 0)
                    self._seen[machine, id] = n
                self._marks[machine] = mark
        return +found

    def _begin(self, now: datetime) -> None:
        """Begin anew with each day (UTC)."""
        day = int(now.timestamp() // _DAY_S)
        if day != self._day:
            self._day = day
            self._own, self._seen, self._marks = Counter(), {}, {}

    def _migrate(self) -> None:
        self.database.migrate(FORGOTTEN)
        self.database.migrate(SHOWN_TODAY)

    def _keep(self, connection: sa.Connection, totals: Mapping[str, int]) -> None:
        """Write totals of who was not deleted meanwhile, and let go of days that are over."""
        gone = digests_in(connection, self.model, list(totals))
        of = {"model": self.model, "day": self._day, "machine": self.machine}
        query = "SELECT mark FROM shown_today_marks WHERE model = :model AND day = :day "
        last = connection.execute(sa.text(f"{query}AND machine = :machine"), of).scalar()
        mark = (last or 0) + 1
        rows = [
            {**of, "id": id, "n": n, "mark": mark} for id, n in totals.items() if id not in gone
        ]
        if rows:
            connection.execute(sa.text(_TELL), rows)
        connection.execute(sa.text(_MARK), {**of, "mark": mark})
        if last is None:
            for table in ("shown_today", "shown_today_marks"):
                over = f"DELETE FROM {table} WHERE model = :model AND day < :day"
                connection.execute(sa.text(over), of)
