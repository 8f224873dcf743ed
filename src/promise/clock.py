"""Time as something passed in, so that a test can move it."""

from __future__ import annotations

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
