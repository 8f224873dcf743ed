"""Periods of a model: hours, cut where a stage began."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from promise.registry.lifecycle import Transition
from promise.state.moments import to_text


@dataclass(frozen=True)
class Periods:
    """Tells the period of an answer, so that no period has answers of two stages.

    Parameters
    ----------
    stages
        When each stage of the model began, in order.

    Examples
    --------
    >>> half_past = datetime(2026, 1, 1, 12, 30, tzinfo=UTC)
    >>> Periods((half_past,)).begun(half_past.timestamp() + 60)
    '2026-01-01T12:30:00.000000+00:00'
    >>> Periods((half_past,)).begun(half_past.timestamp() - 60)
    '2026-01-01T12:00:00.000000+00:00'
    """

    stages: tuple[datetime, ...]

    @classmethod
    def of(cls, history: Iterable[Transition]) -> Periods:
        """Read the stages from a name's chain of transitions."""
        return cls(tuple(sorted({t.route.since for t in history if t.route.since is not None})))

    def begun(self, at: float) -> str:
        """Return when the period of an answer began; `at` in seconds since 1970."""
        moment = datetime.fromtimestamp(at, UTC)
        hour = moment.replace(minute=0, second=0, microsecond=0)
        place = bisect_right(self.stages, moment)
        return to_text(hour if place == 0 else max(hour, self.stages[place - 1]))
