"""How many rows got a label since some moment, for those who train again."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa

from promise.records.labels import LABELS
from promise.state.database import Database
from promise.state.moments import to_text


@dataclass
class LabelCount:
    """Counts labelled predictions by the numbers of their labels.

    Examples
    --------
    >>> from promise.clock import ManualClock
    >>> from promise.records.labels import Labels
    >>> database = Database("sqlite://")
    >>> labels = Labels(database, ManualClock())
    >>> _ = labels.add([{"prediction_id": i, "label": 1, "model": "churn"} for i in "aab"])
    >>> counting = LabelCount(database)
    >>> counting.last(), counting.count("churn", 0), counting.count("churn", 1)
    (2, 2, 1)
    """

    database: Database
    _counted: dict[tuple[str, int], tuple[int, int]] = field(default_factory=dict, repr=False)

    def last(self) -> int:
        """Return the number of the label that was accepted last, 0 before the first."""
        self.database.migrate(LABELS)
        with self.database.reading() as connection:
            query = sa.text("SELECT last FROM label_numbers")
            return int(connection.execute(query).scalar_one())

    def number_at(self, moment: datetime) -> int:
        """Return the number of the label that was the last one at a moment."""
        self.database.migrate(LABELS)
        query = sa.text("SELECT COALESCE(MAX(number), 0) FROM labels WHERE received_at <= :at")
        with self.database.reading() as connection:
            return int(connection.execute(query, {"at": to_text(moment)}).scalar_one())

    def count(self, model: str, after: int) -> int:
        """Return how many predictions of a model got a label behind a number; corrections are none.

        Counted anew only where labels came since the last call.
        """
        last = self.last()
        known = self._counted.get((model, after))
        if known is None or known[0] != last:
            known = self._counted[model, after] = (last, self._count(model, after))
        return known[1]

    def _count(self, model: str, after: int) -> int:
        query = sa.text(
            "SELECT COUNT(DISTINCT prediction_id) FROM labels "
            "WHERE number > :after AND model = :model AND revision = 1"
        )
        with self.database.reading() as connection:
            found = connection.execute(query, {"after": after, "model": model})
            return int(found.scalar_one())
