"""From evidence to verdicts: every promise judged on what one version did in one stage."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

import numpy as np

from promise.clock import Clock
from promise.data.columns import Array
from promise.errors import PromiseError
from promise.metrics.drift import add_counts
from promise.promises.judge import (
    judge_drift,
    judge_fairness,
    judge_level,
    judge_live_share,
    judge_metric,
    judge_share,
)
from promise.promises.spec import ModelFile, Promise
from promise.promises.verdict import Verdict
from promise.records.evidence import Bucket, EvidenceStore, Observed
from promise.registry.registry import Registry
from promise.registry.route import Route
from promise.rollout.carried import Carried, stage_of
from promise.rollout.measures import evidence_of
from promise.rollout.subject import Subject

Arm = Literal["live", "canary", "shadow", "experiment"]

_BUCKETS = 10_000
_LATE = timedelta(minutes=2)
_READ_AGAIN = timedelta(minutes=10)
_OUTCOME_ROWS = 51_200  # a planned look of metrics: 50 rows, doubled ten times
_DRIFT_WINDOW = timedelta(days=7)


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
        bound = promise.bound
        return [
            (b.requests, min(b.over[bound], b.requests)) for b in self.buckets if bound in b.over
        ]

    def slower_than(self, latency_ms: float | None) -> int | None:
        """Return how many took longer, where every bucket counted that."""
        if latency_ms is None or any(latency_ms not in b.over for b in self.buckets):
            return None
        return sum(bucket.over[latency_ms] for bucket in self.buckets)

    def total(self, promise: Promise) -> tuple[int, int]:
        """Return requests and bad ones over all buckets."""
        pairs = self.pairs(promise)
        return sum(n for n, _ in pairs), sum(k for _, k in pairs)


@dataclass(frozen=True)
class Case:
    """One version in one stage.

    Parameters
    ----------
    arm
        `live` is judged for as long as it lasts; the others within their stage.
    since
        Evidence from before does not count.
    stable
        What the concurrent live version counted, for verdicts that it shares.
    """

    name: str
    version: int
    arm: Arm
    since: datetime | None
    counted: Counted
    stable: Counted | None = None


@dataclass
class Judgement:
    """Reads evidence and judges; what has not changed since the last time is not judged again.

    Parameters
    ----------
    observed_every_s
        Labels, drift counts and memory are read again after so long.
    """

    store: EvidenceStore
    registry: Registry
    clock: Clock
    observed_every_s: float = 5.0
    _subjects: dict[tuple[str, int], Subject | str] = field(default_factory=dict)
    _counted: dict[Hashable, tuple[datetime, list[Bucket]]] = field(default_factory=dict)
    _observed: dict[Hashable, tuple[datetime, list[Observed]]] = field(default_factory=dict)
    _judged: dict[Hashable, tuple[Hashable, Verdict]] = field(default_factory=dict)

    def counted(self, route: Route, version: int, arm: Arm, carried: Carried) -> Counted:
        """Return the newest buckets of a version, of what was counted since its stage began.

        Old buckets are remembered, and read again now and then: a worker that had lost the
        database brings its counts late.
        """
        key, now = (route.name, version, arm, stage_of(route)), self.clock.now()
        read_at, found = self._counted.get(key, (None, []))
        if read_at is None or not found or not timedelta() <= now - read_at < _READ_AGAIN:
            read_at, found = now, self.store.counts(route.name, version, arm, route.since)
        else:
            late = found[-1].start - _LATE
            since = late if route.since is None else max(late, route.since)
            newest = self.store.counts(route.name, version, arm, since)
            begun = newest[0].start if newest else now
            found = [bucket for bucket in found if bucket.start < begun] + newest
        found = found[-_BUCKETS:]
        self._counted[key] = (read_at, found)
        return Counted(tuple(carried.without(version, arm, found)))

    def judge(self, case: Case, declared: ModelFile) -> tuple[Verdict, ...]:
        """Return one verdict for each promise."""
        return tuple(self._verdict(case, promise) for promise in declared.promises)

    def _verdict(self, case: Case, promise: Promise) -> Verdict:
        kind = evidence_of(promise)
        if kind in ("errors", "latency"):
            return self._share(case, promise)
        if kind == "throughput":
            return Verdict.unknown(promise, "throughput is measured under load, at the gate")
        if kind == "memory":
            return self._memory(case, promise)
        subject = self.subject(case.name, case.version)
        if isinstance(subject, str):
            return Verdict.unknown(promise, subject)
        if kind == "psi":
            return self._drift(case, promise, subject)
        return self._outcomes(case, promise, subject)

    def _share(self, case: Case, promise: Promise) -> Verdict:
        pairs = case.counted.pairs(promise)
        stable = None if case.stable is None else case.stable.total(promise)
        if stable is not None and stable[0] == 0:
            stable = None
        slower = case.counted.slower_than(promise.warn)

        def judged() -> Verdict:
            if case.arm == "live":
                return judge_live_share(promise, pairs)
            n, k = case.counted.total(promise)
            return judge_share(promise, n, k, stable=stable, k_warn=slower)

        return self._once(case, promise, (tuple(pairs), slower, stable), judged)

    def _memory(self, case: Case, promise: Promise) -> Verdict:
        seen = self.observed(case, "memory")
        samples = [mib for each in seen if (mib := _mebibytes(each.payload)) is not None]
        if not samples:
            return Verdict.unknown(promise, "no memory was measured in this stage yet")
        return self._once(case, promise, tuple(samples), lambda: judge_level(promise, samples))

    def _drift(self, case: Case, promise: Promise, subject: Subject) -> Verdict:
        counts: dict[str, Any] = {}
        for each in self.observed(case, "psi"):
            feature, found = str(each.payload["feature"]), each.payload["counts"]
            counts[feature] = add_counts(counts[feature], found) if feature in counts else found
        return self._once(
            case, promise, repr(counts), lambda: judge_drift(promise, subject.reference, counts)
        )

    def _outcomes(self, case: Case, promise: Promise, subject: Subject) -> Verdict:
        outcomes = outcomes_of(self.observed(case, "outcome"), promise.of)
        if outcomes is None:
            return Verdict.unknown(promise, "no labels have come for this stage yet")
        y, output, group = outcomes

        def judged() -> Verdict:
            answer, multipliers = subject.task.answer, subject.multipliers
            if evidence_of(promise) == "metric":
                return judge_metric(promise, answer, y, output, multipliers=multipliers)
            if group is None:
                return Verdict.unknown(promise, f"the labelled rows do not tell {promise.of!r}")
            return judge_fairness(promise, answer, y, output, group, multipliers=multipliers)

        return self._once(case, promise, (len(y), hash(y.tobytes())), judged)

    def observed(self, case: Case, kind: str) -> list[Observed]:
        """Return what collectors measured of a version since its stage began."""
        key, now = (case.name, case.version, kind, case.since), self.clock.now()
        read_at, found = self._observed.get(key, (None, []))
        if read_at is not None and timedelta() <= now - read_at < self._pause:
            return found
        since = case.since
        if kind == "psi":
            since = max(filter(None, (since, now - _DRIFT_WINDOW)))
        found = self.store.observed(case.name, case.version, kind, since)
        self._observed[key] = (now, found)
        return found

    @property
    def _pause(self) -> timedelta:
        return timedelta(seconds=self.observed_every_s)

    def subject(self, name: str, version: int) -> Subject | str:
        """Return a version's task and bins, or why they cannot be read."""
        key = (name, version)
        if key not in self._subjects:
            try:
                self._subjects[key] = Subject.of(self.registry.find(f"{name}@{version}"))
            except PromiseError as error:
                return str(error)
        return self._subjects[key]

    def forget(self, name: str) -> None:
        """Drop what is remembered of a name's earlier stages."""
        for memory in (self._counted, self._observed, self._judged):
            for key in [k for k in memory if isinstance(k, tuple) and k[0] == name]:
                del memory[key]

    def _once(
        self, case: Case, promise: Promise, evidence: Hashable, judged: Callable[[], Verdict]
    ) -> Verdict:
        key = (case.name, case.version, case.arm, promise.key)
        state = (promise, case.since, evidence)
        kept = self._judged.get(key)
        if kept is None or kept[0] != state:
            kept = self._judged[key] = (state, judged())
        return kept[1]


def outcomes_of(
    seen: Iterable[Observed], of: str | None = None
) -> tuple[Array, Array, Array | None] | None:
    """Return labels, raw outputs and a group's values of the newest joined labels.

    None where there are none. The group is None where a row does not tell it.

    Examples
    --------
    >>> from datetime import UTC
    >>> at = datetime(2026, 1, 1, tzinfo=UTC)
    >>> payload = {"y": [1, 0], "output": [[0.2, 0.8], [0.6, 0.4]], "group": {"sex": ["f", "m"]}}
    >>> y, output, group = outcomes_of([Observed("outcome", at, payload)], "sex")
    >>> y.tolist(), output.shape, group.tolist()
    ([1, 0], (2, 2), ['f', 'm'])
    """
    y: list[Any] = []
    output: list[Any] = []
    group: list[Any] | None = None if of is None else []
    for each in seen:
        y += each.payload["y"]
        output += each.payload["output"]
        values = (each.payload.get("group") or {}).get(of)
        group = None if group is None or values is None else [*group, *values]
    if not y:
        return None
    rows = judged_rows(len(y))
    wide = np.asarray(output[rows], dtype=np.float64)
    wide = wide[:, 0] if wide.ndim == 2 and wide.shape[1] == 1 else wide
    groups = None if group is None else np.array(group[rows], dtype=object)
    return np.asarray(y[rows]), wide, groups


def judged_rows(n_rows: int) -> slice:
    """Return which of so many labelled rows are judged: whole blocks, so that old ones go.

    Verdicts look at the earliest rows of what they get, at planned sizes; a window that slid
    along would be looked at anew each time. A block counts from its middle on; until then the
    block before it does.

    Examples
    --------
    >>> judged_rows(1000), judged_rows(60_000), judged_rows(80_000)
    (slice(0, 51200, None), slice(0, 51200, None), slice(51200, 102400, None))
    """
    full, rest = divmod(n_rows, _OUTCOME_ROWS)
    block = full if full == 0 or rest >= _OUTCOME_ROWS // 2 else full - 1
    return slice(block * _OUTCOME_ROWS, (block + 1) * _OUTCOME_ROWS)


def _mebibytes(payload: dict[str, Any]) -> float | None:
    found = payload.get("pss_mb", payload.get("mb"))
    return None if found is None else float(found)
