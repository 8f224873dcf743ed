"""How a discovery divides its time: everything counts against the budget, the export included."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

_REFIT_SHARE = 0.14
_DELIVER_SHARE = 0.10
_DELIVER_AT_LEAST_S = 9.5  # registering, exporting and a fresh interpreter, on an idle machine
_DELIVER_AT_MOST_S = 45.0
_LATE = 0.05  # a run that takes more than its budget by this share says so
_SLOWEST = 4.0  # a machine is not expected to be slower than this for what is left of a run


def pace_since(began: float) -> float:
    """Return seconds on the wall for one second of computing, since this process began.

    Above 1 where others use the machine.

    Examples
    --------
    >>> pace_since(time.monotonic())
    1.0
    """
    waited = time.monotonic() - began
    return min(_SLOWEST, max(1.0, waited / max(0.1, time.process_time())))


@dataclass(frozen=True)
class Plan:
    """The deadlines of a run, on the machine's monotonic clock; all None under `--trials`.

    Parameters
    ----------
    race, refit
        When the race and the refits must have ended.
    curve, importance
        Until when the learning curve and the importances may go on.
    end
        When the command should be done.
    """

    start: float
    race: float | None
    refit: float | None
    importance: float | None
    curve: float | None
    end: float | None

    @classmethod
    def make(
        cls,
        start: float,
        now: float,
        budget_s: float | None,
        *,
        read_s: float = 0.0,
        pace: float = 1.0,
    ) -> Plan:
        """Divide what is left of a budget.

        Parameters
        ----------
        read_s
            What one pass over the data costs.
        pace
            Seconds on the wall for one second of computing: above 1 where others use the machine.

        Examples
        --------
        >>> plan = Plan.make(0.0, 4.0, 60.0)
        >>> 30 < plan.race < plan.refit < plan.end == 60.0
        True
        """
        if budget_s is None:
            return cls(start, None, None, None, None, None)
        end = start + budget_s
        left = max(1.0, end - now)
        least = _DELIVER_AT_LEAST_S * pace
        deliver = max(min(_DELIVER_SHARE * left, _DELIVER_AT_MOST_S), least)
        # verifying the export reads the data once more, in a fresh interpreter
        deliver = min(deliver + read_s, left / 2)
        refit = end - deliver
        return cls(
            start=start,
            race=refit - _REFIT_SHARE * left,
            refit=refit,
            importance=refit + 0.15 * deliver,
            curve=refit + 0.40 * deliver,
            end=end,
        )

    def sparing(self, seconds: float) -> Plan:
        """Return the plan with so much more time at its end: what may be left out ends earlier.

        Examples
        --------
        >>> plan = Plan.make(0.0, 4.0, 60.0)
        >>> round(plan.curve - plan.sparing(2.0).curve, 9), plan.sparing(2.0).end
        (2.0, 60.0)
        """
        if self.importance is None or self.curve is None:
            return self
        return replace(self, importance=self.importance - seconds, curve=self.curve - seconds)

    def late_by(self, seconds: float) -> str | None:
        """Say that a run took longer than it was given; None where it did not.

        Examples
        --------
        >>> Plan.make(0.0, 4.0, 60.0).late_by(75.0)
        'This took 75 s of a budget of 60 s: give a longer --budget, or a machine less busy.'
        >>> Plan.make(0.0, 4.0, 60.0).late_by(62.0)
        """
        if self.end is None or seconds <= (1 + _LATE) * (self.end - self.start):
            return None
        return (
            f"This took {seconds:,.0f} s of a budget of {self.end - self.start:,.0f} s: "
            "give a longer --budget, or a machine less busy."
        )
