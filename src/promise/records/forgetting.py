"""Deletes a person: from events, labels and logs at once, and what trickles in soon after."""

from __future__ import annotations

import contextlib
import json
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import takewhile
from pathlib import Path

import sqlalchemy as sa

from promise.clock import Clock, SystemClock
from promise.errors import StateError
from promise.records.event_values import read_text
from promise.records.events import EVENTS, EVENTS_LOCK
from promise.records.exposures_shared import SHOWN_TODAY
from promise.records.forgotten import FORGOTTEN, Forgotten
from promise.records.isolation import wait_in_line
from promise.records.labels import LABELS
from promise.records.machine import machine_id
from promise.records.scrubbing import scrub
from promise.state.database import Database
from promise.state.moments import to_text
from promise.state.patience import at_most

FORGET = "forget"
"""The type of the event by which everybody who follows the log hears of a deletion."""
SETTLE_S = 15.0
"""Answers that were on their way when a person was deleted are in the log by then."""

_CLEAN_S = 0.05
_ABSENT = timedelta(days=7)  # a machine that was not seen for so long is waited for no more


@dataclass(frozen=True)
class Deleted:
    """What a deletion took away at once.

    Parameters
    ----------
    number
        Of the event that tells of it.
    events, labels, mentions
        Rows of the database, and places in this machine's logs.
    """

    number: int
    events: int
    labels: int
    mentions: int


@dataclass
class Forgetting:
    """Deletes people of one installation.

    Parameters
    ----------
    records
        The folder of this machine's logs.
    """

    database: Database
    records: Path
    clock: Clock = field(default_factory=SystemClock)
    machine: str = field(default_factory=machine_id)

    def forget(self, model: str, id: str) -> Deleted:
        """Delete a person; the id is known from now on as one that does not come back.

        Whoever follows the log hears of it by one event of the type `forget`, whose id goes as
        well once every machine has had the time to clean its logs (`tidy`).
        """
        id = read_text("the path", "id", id)
        for room in (EVENTS, FORGOTTEN, LABELS, SHOWN_TODAY):
            self.database.migrate(room)
        number, events, labels = self.database.run(lambda open_: self._delete(open_, model, id))
        mentions = scrub(self.records, model, [id])
        self._clean_file()
        return Deleted(number, events, labels, mentions)

    def tidy(self) -> int:
        """Clean this machine's logs of who was deleted a while ago; return how many were due.

        The ids in the log of events go once every machine that was seen lately has done this.
        """
        self.database.migrate(EVENTS)
        self.database.migrate(FORGOTTEN)
        due = self._due()
        by_model: defaultdict[str, list[str]] = defaultdict(list)
        for _, model, id in due:
            by_model[model].append(id)
        for model, ids in by_model.items():
            scrub(self.records, model, ids)
        last = max((number for number, _, _ in due), default=None)
        self.database.run(lambda open_: self._settle(open_, last))
        self._clean_file()
        return len(due)

    def pending(self) -> bool:
        """Say whether anybody was deleted whose id is still in the log of events."""
        self.database.migrate(FORGOTTEN)
        with self.database.reading() as connection:
            query = sa.text("SELECT 1 FROM forgotten WHERE settled = 0 LIMIT 1")
            return connection.execute(query).first() is not None

    def _delete(self, connection: sa.Connection, model: str, id: str) -> tuple[int, int, int]:
        wait_in_line(connection, EVENTS_LOCK)
        self._overwrite(connection)
        now, named = to_text(self.clock.now()), {"model": model, "id": id}
        query = sa.text("SELECT COALESCE(MAX(number), 0) FROM events")
        number = int(connection.execute(query).scalar_one()) + 1
        events = sum(
            connection.execute(
                sa.text(f"DELETE FROM events WHERE model = :model AND {column} = :id"), named
            ).rowcount
            for column in ("entity", "other")
        )
        event_id = f"{FORGET}\x1f{number}"  # nobody else's: ids that are told hold no such sign
        marker = {"number": number, "event_id": event_id, "at": now, **named}
        insert = (
            "INSERT INTO events (number, model, event_id, entity, type, at, received_at, payload) "
            f"VALUES (:number, :model, :event_id, :id, '{FORGET}', :at, :at, '{{}}')"
        )
        connection.execute(sa.text(insert), marker)
        query = sa.text("DELETE FROM labels WHERE model = :model AND value IN (:text, :number)")
        text = json.dumps(id)  # a label may also be the id as a number
        told = {"model": model, "text": text, "number": id if id.isdecimal() else text}
        labels = connection.execute(query, told).rowcount
        shown = "DELETE FROM shown_today WHERE model = :model AND id = :id"
        connection.execute(sa.text(shown), named)
        Forgotten(self.database).keep(connection, model, id, number, self.clock.now())
        return number, events, labels

    def _due(self) -> list[tuple[int, str, str]]:
        """Return (number, model, id) of deletions that this machine has not cleaned up after."""
        before = to_text(self.clock.now() - timedelta(seconds=SETTLE_S))
        query = (
            "SELECT e.number, e.model, e.entity, f.at FROM forgotten f JOIN events e "
            "ON e.number = f.number WHERE f.settled = 0 AND e.entity <> '' "
            "AND f.number > COALESCE((SELECT swept FROM forgotten_machines "
            "WHERE machine = :machine), 0) ORDER BY e.number"
        )
        with self.database.reading() as connection:
            rows = connection.execute(sa.text(query), {"machine": self.machine}).all()
        # up to the first that is too young: machines whose clocks differ tell times out of order
        return [(row[0], row[1], row[2]) for row in takewhile(lambda row: row[3] <= before, rows)]

    def _settle(self, connection: sa.Connection, last: int | None) -> None:
        """Note how far this machine has come; blank what every machine has done with."""
        wait_in_line(connection, EVENTS_LOCK)
        self._overwrite(connection)
        now = self.clock.now()
        mark = {"machine": self.machine, "swept": last or 0, "seen": to_text(now)}
        insert = (
            "INSERT INTO forgotten_machines VALUES (:machine, :swept, :seen) "
            "ON CONFLICT (machine) DO UPDATE SET seen = :seen, swept = "
            "CASE WHEN :swept > forgotten_machines.swept THEN :swept "
            "ELSE forgotten_machines.swept END"
        )
        connection.execute(sa.text(insert), mark)
        query = sa.text("SELECT MIN(swept) FROM forgotten_machines WHERE seen >= :since")
        everywhere = connection.execute(query, {"since": to_text(now - _ABSENT)}).scalar_one()
        done = {"number": int(everywhere)}
        blank = (
            "UPDATE events SET entity = '' WHERE number IN "
            "(SELECT number FROM forgotten WHERE settled = 0 AND number <= :number)"
        )
        connection.execute(sa.text(blank), done)
        settle = "UPDATE forgotten SET settled = 1 WHERE settled = 0 AND number <= :number"
        connection.execute(sa.text(settle), done)

    def _overwrite(self, connection: sa.Connection) -> None:
        """Let SQLite overwrite what is deleted; Postgres does by its own vacuum."""
        if connection.dialect.name == "sqlite":
            connection.execute(sa.text("PRAGMA secure_delete = ON"))

    def _clean_file(self) -> None:
        """Bring SQLite's journal into its file, so that no page in it shows what was deleted."""
        if self.database.engine.dialect.name != "sqlite":
            return
        # where somebody reads for longer, the next deletion or `tidy` does it: writers wait for it
        with (
            contextlib.suppress(StateError, sa.exc.OperationalError),
            at_most(_CLEAN_S),
            self.database.reading() as connection,
        ):
            connection.execute(sa.text("PRAGMA wal_checkpoint(TRUNCATE)")).all()
