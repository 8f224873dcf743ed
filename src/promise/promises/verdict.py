"""What the evidence says of a promise: KEPT, BROKEN or UNKNOWN."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from promise.promises.spec import Promise

Status = Literal["KEPT", "BROKEN", "UNKNOWN"]

ALPHA = 0.01
"""Chance that a promise which holds is ever called broken within a stage."""

KEPT_ALPHA = 0.05
"""Chance that a promise which does not hold is ever called kept within a stage."""


@dataclass(frozen=True)
class Verdict:
    """One promise, judged on one version's evidence.

    Parameters
    ----------
    promise, that, bound
        The promise's key, what it measures and its bound.
    measured, low, high
        The raw value and an interval that holds under peeking; None where nothing was seen.
    n
        Requests, labels or samples that it rests on.
    needed
        About how many more would make an UNKNOWN verdict a known one; None where none would.
    warns
        Whether the nearer warning bound is crossed.
    shared
        Whether the concurrent stable version breaks the promise too: then the surroundings are
        to blame, and a rollback would not help.
    reason
        One sentence for people.
    tolerated
        Where `measured` is a share of requests: how large a share the bound tolerates. None
        where `measured` is in the bound's own unit.
    """

    promise: str
    that: str
    status: Status
    bound: float
    measured: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0
    needed: int | None = None
    warns: bool = False
    shared: bool = False
    reason: str = ""
    tolerated: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary."""
        return dict(vars(self))

    @classmethod
    def unknown(
        cls, promise: Promise, reason: str, *, n: int = 0, needed: int | None = None
    ) -> Verdict:
        """Return that the evidence says nothing yet, and why.

        Examples
        --------
        >>> speed = Promise("speed", "latency_p99", at_most=12.0)
        >>> Verdict.unknown(speed, "no requests yet").status
        'UNKNOWN'
        """
        return cls(
            promise.key, promise.that, "UNKNOWN", promise.bound, n=n, needed=needed, reason=reason
        )


def status_of(promise: Promise, low: float, high: float) -> Status:
    """Return what an interval says: KEPT or BROKEN where it lies wholly on one side of the bound.

    Examples
    --------
    >>> quality = Promise("quality", "accuracy", at_least=0.75)
    >>> status_of(quality, 0.77, 0.83), status_of(quality, 0.73, 0.79), status_of(quality, 0.6, 0.7)
    ('KEPT', 'UNKNOWN', 'BROKEN')
    """
    if math.isnan(low) or math.isnan(high):
        return "UNKNOWN"
    if promise.holds(low) and promise.holds(high):
        return "KEPT"
    return "UNKNOWN" if promise.holds(low) or promise.holds(high) else "BROKEN"
