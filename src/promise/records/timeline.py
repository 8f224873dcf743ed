"""How far time has come in this installation, whichever clock said so."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from promise.clock import SteadyClock
from promise.records.evidence_tables import EVIDENCE
from promise.records.isolation import wait_in_line
from promise.state.database import Database, Migrations
from promise.state.moments import from_text, to_text

TIMELINE = Migrations(
    "timeline",
    (
        "CREATE TABLE timeline (newest VARCHAR(40) NOT NULL)",
        "INSERT INTO timeline VALUES ('1970-01-01T00:00:00.000000+00:00')",
    ),
)
"""One row: the newest stage that began."""

_MOVED = timedelta(seconds=10)  # clocks that were not moved differ by less
_UNSENT = timedelta(seconds=5)  # a bucket, and a pause between two sendings, with room to spare


@dataclass(frozen=True)
class Timeline:
    """Keeps what happened in its order where a process starts with a clock that was set back.

    A stage is judged on evidence from after its start. A process whose clock is an hour behind
    would bring no such evidence for an hour, and one that begins a stage would let it begin an
    hour ago; so each goes on from the newest start of a stage or count of requests that is known
    (a hybrid logical clock: Kulkarni et al., 2014).

    Examples
    --------
    >>> from promise.clock import ManualClock
    >>> timeline, behind = Timeline(Database("sqlite://")), SteadyClock(ManualClock())
    >>> timeline.mark(behind.now() + timedelta(hours=1))
    >>> timeline.keep_up(behind)
    >>> behind.now().hour
    1
    """

    database: Database

    def newest(self) -> datetime:
        """Return the newest moment of which something is kept; 1970 for an empty installation."""
        self._prepare()
        with self.database.reading() as connection:
            kept = str(connection.execute(sa.text("SELECT newest FROM timeline")).scalar_one())
            counted = connection.execute(sa.text("SELECT MAX(bucket) FROM counts")).scalar_one()
        return from_text(max(kept, counted or ""))

    def mark(self, moment: datetime) -> None:
        """Remember that a moment has come."""
        if self.newest() >= moment:
            return
        query = sa.text("UPDATE timeline SET newest = :moment WHERE newest < :moment")

        def work(connection: sa.Connection) -> None:
            wait_in_line(connection)
            connection.execute(query, {"moment": to_text(moment)})

        self.database.run(work)

    def keep_up(self, clock: SteadyClock) -> None:
        """Let a clock that is behind go on from the newest moment.

        One that is far behind was moved, and goes on a little later: what others have answered and
        not sent yet must not look newer than a stage that begins by this clock.
        """
        newest = self.newest()
        if newest - clock.now() > _MOVED:
            newest += _UNSENT
        clock.not_before(newest)

    def _prepare(self) -> None:
        for tables in (EVIDENCE, TIMELINE):
            self.database.migrate(tables)
