"""Where the rows that a version learned from end, so that no event behind them is missed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np

from promise.data.columns import Columns
from promise.records.source import AT
from promise.retraining.logged import Logged


@dataclass(frozen=True)
class Frontier:
    """Tells events that a version's rows cannot hold from those that they may.

    A file ends before the version is made that learns from it. What servers met in between is in
    neither the file nor the answers since, unless it is looked for by its own time.

    Parameters
    ----------
    since
        What came in after the version was made is in no row of its.
    time, id
        Columns of the event's own time and id; None where there is none.
    end
        Time of the newest row; None where no row is known.
    at_end
        Ids of the rows of that very moment.
    """

    since: datetime
    time: str | None = None
    id: str | None = None
    end: np.datetime64 | None = None
    at_end: frozenset[object] = frozenset()

    @classmethod
    def of(
        cls, since: datetime, rows: Iterable[Columns], *, time: str | None, id: str | None
    ) -> Frontier:
        """Read the version's rows, a batch in memory at a time.

        Examples
        --------
        >>> when = np.array(["2026-03-01", "2026-03-02"], "M8[us]")
        >>> rows = Columns({"when": when, "tx": np.array(["a", "b"], object)})
        >>> made = datetime(2026, 3, 9, tzinfo=UTC)
        >>> found = Frontier.of(made, [rows], time="when", id="tx")
        >>> str(found.end)[:10], sorted(found.at_end)
        ('2026-03-02', ['b'])
        """
        found = cls(since, time, id)
        if time is None:
            return found
        for columns in rows:
            found = found._moved(columns)
        return found

    def _moved(self, columns: Columns) -> Frontier:
        """Return the end of these rows, too."""
        assert self.time is not None, "of() looks at rows only where they have a time"
        when = columns[self.time]
        told = when[~np.isnat(when)]
        if not len(told) or (self.end is not None and told.max() < self.end):
            return self
        end = told.max()
        before = self.at_end if end == self.end else frozenset()
        if self.id is None:
            return replace(self, end=end)
        return replace(self, end=end, at_end=before | set(columns[self.id][when == end]))

    def behind(self, logged: Logged) -> Logged:
        """Return what was logged since the version was made, or happened after its rows end.

        An event of the last row's very moment is told from the rows by its id. A row without a
        time happened when it was answered.
        """
        columns = logged.columns
        came = columns[AT]
        kept = came > np.datetime64(self.since.astimezone(UTC).replace(tzinfo=None))
        if self.time is not None and self.end is not None:
            when = np.where(np.isnat(columns[self.time]), came, columns[self.time])
            kept |= when > self.end
            if self.id is not None:
                for row in np.flatnonzero(~kept & (when == self.end)):
                    key = columns[self.id][row]
                    kept[row] = key is not None and key not in self.at_end
        return replace(logged, columns=columns.take(kept))
