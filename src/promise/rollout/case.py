"""What is judged: one version in one stage, and what was counted of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from promise.promises.spec import Promise
from promise.records.evidence import Bucket
from promise.rollout.measures import evidence_of

Arm = Literal["live", "canary", "shadow", "experiment"]


@dataclass(frozen=True)
class Counted:
    """Buckets of one version in one arm, in time order."""

    buckets: tuple[Bucket, ...] = ()

    @property
    def requests(self) -> int:
        """How many requests there were."""
        return sum(bucket.requests for bucket in self.buckets)

    def pairs(self, promise: Promise) -> list[tuple[int, int]]:
        """Return (requests, bad ones) of each bucket that counted what the promise asks.

        Buckets from before a latency target was known do not count it and are left out.
        """
        if evidence_of(promise) == "errors":
            return [(b.requests, min(b.errors, b.requests)) for b in self.buckets]
        return self._slower_than(promise.bound)

    def warned_pairs(self, promise: Promise) -> list[tuple[int, int]]:
        """Return (requests, those slower than the latency that warns) of each bucket.

        Nothing for promises that do not warn, or not of a latency.
        """
        if promise.warn is None or evidence_of(promise) != "latency":
            return []
        return self._slower_than(promise.warn)

    def _slower_than(self, latency_ms: float) -> list[tuple[int, int]]:
        return [
            (b.requests, min(b.over[latency_ms], b.requests))
            for b in self.buckets
            if latency_ms in b.over
        ]

    def total(self, promise: Promise) -> tuple[int, int]:
        """Return requests and bad ones over all buckets."""
        return total(self.pairs(promise))


def total(pairs: Iterable[tuple[int, int]]) -> tuple[int, int]:
    """Return the sums of (requests, bad ones).

    Examples
    --------
    >>> total([(10, 1), (20, 3)])
    (30, 4)
    """
    kept = list(pairs)
    return sum(n for n, _ in kept), sum(k for _, k in kept)


@dataclass(frozen=True)
class Case:
    """One version in one stage.

    Parameters
    ----------
    arm
        As what it answers. `live` is judged for as long as it lasts; the others within their
        stage.
    since
        Evidence of answers from before does not count: when the stage began, or, of the live
        version, when it became live or a hold on it was lifted.
    counted
        Of this stage of the route, also for the live version, beside which others are judged.
    stable
        What the concurrent live version counted, for verdicts that it shares.
    """

    name: str
    version: int
    arm: Arm
    since: datetime | None
    counted: Counted
    stable: Counted | None = None
