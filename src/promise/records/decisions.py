"""How much a model's log grew: events of some types after a number, later than a moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from promise.records.events import EVENTS
from promise.state.database import Database
from promise.state.moments import to_text

_GROWN = "model = :model AND number > :number AND type IN :types AND at > :later"


@dataclass(frozen=True)
class Decisions:
    """Counts what a model that answers with lists can learn anew.

    Parameters
    ----------
    types
        Of events that tell what somebody thinks of another.

    Examples
    --------
    >>> from promise.records.events import Events
    >>> events = Events(Database("sqlite://"))
    >>> like = {"entity": "ann", "other": "bob", "type": "like"}
    >>> _ = events.add("meet", [{**like, "event_id": f"e{n}"} for n in range(5)])
    >>> decisions = Decisions(events.database, "meet", ("like", "pass"))
    >>> decisions.since(2), decisions.number(2, 0)
    (3, 3)
    """

    database: Database
    model: str
    types: Sequence[str]

    def since(self, number: int, later: datetime | None = None) -> int:
        """Return how many came after an event of the log and happened later than a moment."""
        found: int = self._scalar(f"SELECT COUNT(*) FROM events WHERE {_GROWN}", number, later)
        return found

    def number(self, number: int, place: int, later: datetime | None = None) -> int:
        """Return the number of one of those that `since` counts; 0 for the first of them."""
        query = f"SELECT number FROM events WHERE {_GROWN} ORDER BY number LIMIT 1 OFFSET :place"
        found: int = self._scalar(query, number, later, place=place)
        return found

    def _scalar(self, query: str, number: int, later: datetime | None, **more: int) -> Any:
        self.database.migrate(EVENTS)
        asked = {
            "model": self.model,
            "number": number,
            "types": list(self.types),
            "later": "" if later is None else to_text(later),
            **more,
        }
        text = sa.text(query).bindparams(sa.bindparam("types", expanding=True))
        with self.database.reading() as connection:
            return connection.execute(text, asked).scalar_one()
