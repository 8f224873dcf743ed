"""What was counted before a stage began, in the bucket of time in which it began."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from promise.records.evidence import Bucket, EvidenceStore
from promise.registry.lifecycle import Transition
from promise.registry.route import Route
from promise.state.moments import from_text, to_text

ARMS = ("live", "canary", "shadow", "experiment")


@dataclass(frozen=True)
class Carried:
    """Counts that a stage inherits and that must not count for it.

    Evidence is kept in buckets of seconds, and a stage begins in the middle of one: without this
    a step of the canary would advance on what the step before had seen.

    Parameters
    ----------
    buckets
        (version, arm) to the bucket as it stood when the stage began.
    """

    buckets: Mapping[tuple[int, str], Bucket] = field(default_factory=dict)

    @classmethod
    def now(cls, store: EvidenceStore, route: Route, at: datetime) -> Carried:
        """Read what was counted so far in the bucket that is under way."""
        found = {}
        for version in route.loaded:
            for arm in ARMS:
                begun = [b for b in store.counts(route.name, version, arm, at) if b.start < at]
                if begun:
                    found[version, arm] = begun[-1]
        return cls(found)

    @classmethod
    def of(cls, history: Sequence[Transition], route: Route) -> Carried:
        """Return what the transition kept that began the stage in which a route is."""
        stage = stage_of(route)
        link = next((each for each in history if stage_of(each.route) == stage), None)
        kept = [] if link is None else link.evidence.get("carried", [])
        return cls({(each["version"], each["arm"]): _bucket(each) for each in kept})

    def to_json(self) -> list[dict[str, Any]]:
        """Return what a transition keeps of it."""
        return [
            {
                "version": version,
                "arm": arm,
                "start": to_text(bucket.start),
                "requests": bucket.requests,
                "errors": bucket.errors,
                "over": {f"{target!r}": n for target, n in bucket.over.items()},
            }
            for (version, arm), bucket in self.buckets.items()
        ]

    def without(self, version: int, arm: str, buckets: Sequence[Bucket]) -> list[Bucket]:
        """Return the buckets of a stage without what was counted before it.

        Examples
        --------
        >>> from datetime import UTC
        >>> start = datetime(2026, 1, 1, tzinfo=UTC)
        >>> carried = Carried({(2, "canary"): Bucket(start, 40, 1, {5.0: 3})})
        >>> left = carried.without(2, "canary", [Bucket(start, 100, 1, {5.0: 3})])
        >>> left[0].requests, left[0].errors, left[0].over
        (60, 0, {5.0: 0})
        """
        before = self.buckets.get((version, arm))
        if before is None:
            return list(buckets)
        left = [
            _less(bucket, before) if bucket.start == before.start else bucket for bucket in buckets
        ]
        return [bucket for bucket in left if bucket.requests or bucket.errors]


def stage_of(route: Route) -> tuple[object, ...]:
    """Return what tells one stage of a name from every other."""
    # By its time alone it could be told wrong: two steps may follow within one tick of a clock.
    return route.since, route.stage, route.step, route.live, route.candidate


def _less(bucket: Bucket, before: Bucket) -> Bucket:
    over = {target: max(0, n - before.over.get(target, 0)) for target, n in bucket.over.items()}
    requests = max(0, bucket.requests - before.requests)
    return replace(
        bucket, requests=requests, errors=max(0, bucket.errors - before.errors), over=over
    )


def _bucket(kept: Mapping[str, Any]) -> Bucket:
    over = {float(target): n for target, n in kept["over"].items()}
    return Bucket(from_text(kept["start"]), kept["requests"], kept["errors"], over)
