"""Time as something passed in, so that a test can move it."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Tells the wall time and a time that never runs backwards."""

    def now(self) -> datetime:
        """Return the wall time in UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds that only grow; the same in every process of the machine."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """Return the wall time in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return the machine's monotonic seconds, shared by its processes."""
        return time.monotonic()


class SteadyClock:
    """Wall time for a long-running process, which nobody can move while it runs.

    It tells the wall time of its making and what has elapsed since, so that a clock that is set
    forward or back changes nothing before the next start. A process that starts anew after its
    clock was set back keeps the order of events by `not_before`.

    Parameters
    ----------
    clock
        What it is made from; the machine's own by default.

    Examples
    --------
    >>> clock = SteadyClock(ManualClock())
    >>> clock.not_before(datetime(2026, 1, 1, 0, 30, tzinfo=UTC))
    >>> clock.now().minute
    30
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._start, self._start_s = self._clock.now(), self._clock.monotonic()
        # (seconds ahead of what elapsed, when that was): replaced as a whole
        self._ahead = (0.0, self._start_s)
        self._guard = threading.Lock()

    @classmethod
    def over(cls, clock: Clock | None) -> SteadyClock:
        """Return a steady clock over another; one that is steady already as it is."""
        return clock if isinstance(clock, SteadyClock) else cls(clock)

    def now(self) -> datetime:
        """Return the wall time in UTC, as it was at the start and has run on since."""
        elapsed_s = self._clock.monotonic() - self._start_s
        return self._start + timedelta(seconds=elapsed_s + self._ahead_s())

    def monotonic(self) -> float:
        """Return the underlying clock's monotonic seconds."""
        return self._clock.monotonic()

    def not_before(self, moment: datetime) -> None:
        """Go on from a moment that is known to be over, where this clock has not reached it.

        What it is thereby ahead it loses again by running a tenth slower, so that a clock that was
        wrong once does not stay wrong. A moment over a day ahead is no clock that was moved but
        one that is broken, and is not followed.
        """
        with self._guard:
            behind_s = (moment - self.now()).total_seconds()
            if 0 < behind_s <= _FOLLOWED_S:
                self._ahead = (self._ahead_s() + behind_s, self._clock.monotonic())

    def _ahead_s(self) -> float:
        ahead_s, then_s = self._ahead
        return max(0.0, ahead_s - _REGAINED * (self._clock.monotonic() - then_s))


_FOLLOWED_S = 86_400.0
_REGAINED = 0.1


@dataclass
class ManualClock:
    """A clock that moves only when told to, for tests and simulations.

    Examples
    --------
    >>> clock = ManualClock()
    >>> clock.advance(60)
    >>> clock.monotonic()
    60.0
    """

    start: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    elapsed_s: float = field(default=0.0)

    def advance(self, seconds: float) -> None:
        """Move both times forward."""
        self.elapsed_s += seconds

    def now(self) -> datetime:
        """Return the start plus what has been advanced."""
        return self.start + timedelta(seconds=self.elapsed_s)

    def monotonic(self) -> float:
        """Return the seconds advanced so far."""
        return self.elapsed_s
