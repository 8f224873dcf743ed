"""From evidence to verdicts: every promise judged on what one version did in one stage."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from promise.clock import Clock
from promise.errors import PromiseError
from promise.monitoring.drift import summed_counts
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
from promise.records.buckets import bucket_start, coarser
from promise.records.evidence import Bucket, EvidenceStore, Observed
from promise.records.following import Following
from promise.registry.registry import Registry
from promise.registry.route import Route
from promise.rollout.case import Arm, Case, Counted, total
from promise.rollout.chain import stage_of
from promise.rollout.measures import evidence_of
from promise.rollout.outcomes import Outcomes, outcomes_of
from promise.rollout.subject import Subject

_BUCKETS = 10_000
_LATE = timedelta(minutes=2)
_READ_AGAIN = timedelta(minutes=10)
_EXACT = timedelta(hours=1)
_COARSE_S = 60
_WINDOW = timedelta(days=7)


@dataclass
class Judgement:
    """Reads evidence and judges; what has not changed since the last time is not judged again.

    Parameters
    ----------
    observed_every_s
        New labels, drift counts and memory are read after so long.
    """

    store: EvidenceStore
    registry: Registry
    clock: Clock
    observed_every_s: float = 5.0
    _subjects: dict[tuple[str, int], Subject | str] = field(default_factory=dict)
    _counted: dict[Hashable, tuple[datetime, list[Bucket]]] = field(default_factory=dict)
    _observed: dict[Hashable, tuple[datetime, list[Observed]]] = field(default_factory=dict)
    _followed: dict[Hashable, Following] = field(default_factory=dict)
    _joined: dict[Hashable, tuple[list[Observed], Outcomes | None]] = field(default_factory=dict)
    _judged: dict[Hashable, tuple[Hashable, Verdict]] = field(default_factory=dict)

    def counted(self, route: Route, version: int, arm: Arm) -> Counted:
        """Return the newest buckets of a version, of what was counted since its stage began.

        Old buckets are remembered, and read again now and then: a worker that had lost the
        database brings its counts late.
        """
        key, now = (route.name, version, arm, stage_of(route)), self.clock.now()
        read_at, found = self._counted.get(key, (None, []))
        if read_at is None or not found or not timedelta() <= now - read_at < _READ_AGAIN:
            read_at, found = now, self.store.counts(route.name, version, arm, route.since)
        else:
            # from the start of a wide bucket on, so that none is counted beside its parts
            late = bucket_start(found[-1].start - _LATE, _COARSE_S)
            since = late if route.since is None else max(late, route.since)
            newest = self.store.counts(route.name, version, arm, since)
            begun = newest[0].start if newest else now
            found = [bucket for bucket in found if bucket.start < begun] + newest
        found = coarser(found, now - _EXACT, _COARSE_S)[-_BUCKETS:]
        self._counted[key] = (read_at, found)
        return Counted(tuple(found))

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
        pairs, warned = case.counted.pairs(promise), case.counted.warned_pairs(promise)
        stable = None if case.stable is None else case.stable.total(promise)
        if stable is not None and stable[0] == 0:
            stable = None

        def judged() -> Verdict:
            if case.arm == "live":
                return judge_live_share(promise, pairs, warned=warned)
            n_warn, k_warn = total(warned)
            return judge_share(
                promise, *total(pairs), stable=stable,
                k_warn=k_warn if warned else None, n_warn=n_warn,
            )  # fmt: skip

        return self._once(case, promise, (tuple(pairs), tuple(warned), stable), judged)

    def _memory(self, case: Case, promise: Promise) -> Verdict:
        begun = self._begun(case, "memory")
        seen = [
            each
            for each in self.observed(case, "memory")
            if begun is None or (each.begun or each.at) >= begun
        ]
        samples = [mib for each in seen if (mib := _mebibytes(each.payload)) is not None]
        if not samples:
            return Verdict.unknown(promise, "no memory was measured in this stage yet")
        return self._once(case, promise, tuple(samples), lambda: judge_level(promise, samples))

    def _drift(self, case: Case, promise: Promise, subject: Subject) -> Verdict:
        counts = summed_counts(self.observed(case, "psi"), self._begun(case, "psi"))
        return self._once(
            case, promise, repr(counts), lambda: judge_drift(promise, subject.reference, counts)
        )

    def _outcomes(self, case: Case, promise: Promise, subject: Subject) -> Verdict:
        outcomes = self._rows(case, promise.of)
        if outcomes is None:
            return Verdict.unknown(promise, "no labels have come for this stage yet")
        y, output, group = outcomes.y, outcomes.output, outcomes.group

        def judged() -> Verdict:
            answer, multipliers = subject.task.answer, subject.multipliers
            if evidence_of(promise) == "metric":
                return judge_metric(promise, answer, y, output, multipliers=multipliers)
            if group is None:
                return Verdict.unknown(promise, f"the labelled rows do not tell {promise.of!r}")
            return judge_fairness(promise, answer, y, output, group, multipliers=multipliers)

        return self._once(case, promise, outcomes.digest, judged)

    def _rows(self, case: Case, of: str | None) -> Outcomes | None:
        """Return the labelled rows of a case, put together once for each reading of them."""
        seen, key = self.observed(case, "outcome"), (case.name, case.version, case.arm, of)
        kept = self._joined.get(key)
        if kept is None or kept[0] is not seen:
            found = outcomes_of(seen, of, arms=(case.arm,), since=case.since)
            kept = self._joined[key] = (seen, found)
        return kept[1]

    def observed(self, case: Case, kind: str) -> list[Observed]:
        """Return what collectors measured or refreshed since a version's stage began.

        What was refreshed may have rows from before: whoever judges leaves those out.
        """
        key, now = (case.name, case.version, kind, case.since), self.clock.now()
        read_at, found = self._observed.get(key, (None, []))
        if read_at is not None and timedelta() <= now - read_at < self._pause:
            return found
        place = (case.name, case.version, kind)
        if place not in self._followed:
            self._followed[place] = Following(self.store.database, *place)
        found = self._followed[place].read(self._begun(case, kind))
        self._observed[key] = (now, found)
        return found

    def _begun(self, case: Case, kind: str) -> datetime | None:
        """Return from when on evidence counts: of drift and memory, the last week at most."""
        if kind == "outcome":
            return case.since
        return max(filter(None, (case.since, self.clock.now() - _WINDOW)))

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
        memories = (self._counted, self._observed, self._followed, self._joined, self._judged)
        for memory in memories:
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


def _mebibytes(payload: dict[str, Any]) -> float | None:
    found = payload.get("pss_mb", payload.get("mb"))
    return None if found is None else float(found)
