"""A circuit breaker for one version: stops asking a model that keeps failing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from promise.clock import Clock

State = Literal["closed", "open", "half-open"]

_LONGEST_S = 60.0


@dataclass
class Breaker:
    """Opens when too large a share of recent calls failed; probes before it closes again.

    Successes are counted by one addition, so that they cost the request nothing: the window
    begins with a failure and ends `window_s` later.

    Parameters
    ----------
    ratio, least
        It opens at this share of failures, once so many were seen in the window.
    open_s
        How long it stays open at first; doubled after every failed probe, to a minute at most.
    probes
        Successes in a row that close it again.

    Examples
    --------
    >>> from promise.clock import ManualClock
    >>> clock = ManualClock()
    >>> breaker = Breaker(clock, least=2)
    >>> breaker.failed(); breaker.failed(); breaker.allows()
    False
    >>> clock.advance(5.0); breaker.allows(), breaker.allows()
    (True, False)
    """

    clock: Clock
    ratio: float = 0.5
    least: int = 5
    window_s: float = 10.0
    open_s: float = 5.0
    probes: int = 3
    closed: bool = True
    succeeded: int = 0
    _failures: int = 0
    _began_s: float = 0.0
    _until_s: float = 0.0
    _wait_s: float = 0.0
    _probing: bool = False
    _passed: int = 0

    @property
    def state(self) -> State:
        """Whether calls go through, are refused, or are tried one at a time."""
        if self.closed:
            return "closed"
        return "open" if self.clock.monotonic() < self._until_s else "half-open"

    def allows(self) -> bool:
        """Say whether a call may go through; while half-open one at a time may."""
        if self.closed:
            return True
        now = self.clock.monotonic()
        if now < self._until_s:
            return False
        if self._probing and now < self._until_s + self._wait_s:
            return False
        self._probing = True
        self._until_s = now  # a probe whose end nobody tells does not block for ever
        return True

    def ok(self) -> None:
        """Count a call that succeeded."""
        if self.closed:
            self.succeeded += 1
            return
        if not self._probing:  # a late answer of a call from before it opened
            return
        self._probing = False
        self._passed += 1
        if self._passed >= self.probes:
            self._close()

    def failed(self) -> None:
        """Count a call that failed; opens when the failures are too many."""
        now = self.clock.monotonic()
        if not self.closed:
            if self._probing:
                self._open(now, min(2 * self._wait_s, _LONGEST_S))
            return
        if now - self._began_s > self.window_s or not self._failures:
            self._began_s, self._failures, self.succeeded = now, 0, 0
        self._failures += 1
        enough = self._failures >= self.least
        if enough and self._failures >= self.ratio * (self._failures + self.succeeded):
            self._open(now, self.open_s)

    def _open(self, now: float, wait_s: float) -> None:
        self.closed, self._probing, self._passed = False, False, 0
        self._wait_s, self._until_s = wait_s, now + wait_s

    def _close(self) -> None:
        self.closed, self._failures, self.succeeded = True, 0, 0
        self._probing, self._passed, self._wait_s = False, 0, 0.0
