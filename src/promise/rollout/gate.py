"""The gate before promotion: the holdout replayed, a short load test, one verdict per promise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from promise.data.columns import Array
from promise.data.infer import read_columns
from promise.data.lineage import open_again
from promise.data.schema import Schema
from promise.errors import PromiseError, near
from promise.pipeline.task import Task
from promise.promises.judge import judge_fairness, judge_level, judge_metric, judge_share
from promise.promises.measures import latency_targets
from promise.promises.spec import ModelFile, Promise
from promise.promises.verdict import Verdict
from promise.registry.versions import Version
from promise.rollout.load import Load, measure
from promise.rollout.measures import Kind, evidence_of
from promise.rollout.subject import Subject

GOLDEN = "golden rows"
LOAD = "load test"
_NO_LOAD = "there was no load test"


@dataclass(frozen=True)
class Gate:
    """What the gate found.

    Parameters
    ----------
    evidence
        JSON-ready: rows replayed, load (requests, seconds, threads), metrics.
    """

    verdicts: tuple[Verdict, ...]
    evidence: dict[str, Any]
    blocking: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing blocks the deployment."""
        return not self.blocking

    @property
    def undecided(self) -> bool:
        """Whether nothing blocks but a load test that did not end, as on a machine without room."""
        unmeasured = {v.promise for v in self.verdicts if v.reason.startswith(_NO_LOAD)}
        overran = bool(self.evidence.get("load", {}).get("overran"))
        return overran and set(self.blocking) <= unmeasured | {LOAD}

    def to_json(self) -> dict[str, Any]:
        """Return what a transition keeps as its evidence."""
        verdicts = [verdict.to_json() for verdict in self.verdicts]
        return {**self.evidence, "verdicts": verdicts, "blocking": list(self.blocking)}


def run_gate(version: Version, declared: ModelFile, *, seconds: float = 3.0) -> Gate:
    """Judge every promise that the gate can measure; those due here must be KEPT.

    A promise due at the gate blocks unless it is KEPT, one due in the canary blocks when it is
    BROKEN already, one due live never does. Golden rows must come out exactly as they were kept.
    """
    replay = Replay(version)
    load = measure(version.folder, seconds, latency_targets(declared.promises))
    verdicts = tuple(_judged(promise, replay, load) for promise in declared.promises)
    status = {verdict.promise: verdict.status for verdict in verdicts}
    blocking = [
        p.key
        for p in declared.promises
        if (p.due == "gate" and status[p.key] != "KEPT")
        or (p.due == "canary" and status[p.key] == "BROKEN")
    ]
    if load.golden:  # 0.0 is what exact rows give; None means that there are none
        blocking.append(GOLDEN)
    if load.failed:
        blocking.append(LOAD)
    evidence = {
        "holdout": {"rows": replay.n_rows, "metrics": version.metrics.get("all", {})},
        "load": load.to_json(),
    }
    return Gate(verdicts, evidence, tuple(blocking))


@dataclass
class Replay:
    """The rows that no training saw, with the outputs that the version gave for them."""

    version: Version
    groups_seen: dict[str, Array | str] = field(default_factory=dict)

    @cached_property
    def subject(self) -> Subject:
        """The version's task and policy."""
        return Subject.of(self.version)

    @property
    def task(self) -> Task:
        """What the version answers."""
        return self.subject.task

    @cached_property
    def rows(self) -> dict[str, Array]:
        """The columns of `evaluation.arrow`; none where the version keeps none."""
        return self.subject.evaluation()

    @property
    def n_rows(self) -> int:
        """How many rows the replay rests on."""
        return len(self.rows.get("y", ()))

    @property
    def output(self) -> Array:
        """Raw outputs: (n,) numbers or (n, n_classes) probabilities."""
        return self.subject.raw_output(self.rows)

    def group(self, column: str) -> Array | str:
        """Return the values of a column on the holdout rows, or why they cannot be read."""
        if column not in self.groups_seen:
            self.groups_seen[column] = self._read(column)
        return self.groups_seen[column]

    def _read(self, column: str) -> Array | str:
        lineage = self.version.lineage
        try:
            source = open_again(lineage)
            if source.fingerprint() != lineage.get("fingerprint"):
                return f"{source.name} has changed since the version was trained"
            schema = Schema.from_json(list(lineage["schema"]))
            if column not in schema.names:
                return f"the data has no column {column!r}; {near(column, schema.names)}"
            order = np.argsort(self.rows["row"], kind="stable")
            typed, _ = read_columns(source, schema.only((column,)), self.rows["row"][order])
        except KeyError as error:
            return f"the version does not tell its {error}"
        except PromiseError as error:
            return f"the training data cannot be read again ({error})"
        values = np.empty_like(typed[column])
        values[order] = typed[column]
        return values


def _judged(promise: Promise, replay: Replay, load: Load) -> Verdict:
    kind = evidence_of(promise)
    if kind in _BY_LOAD:
        if load.failed or not load.requests:
            return Verdict.unknown(promise, f"{_NO_LOAD}: {load.failed or 'no requests'}")
        return _BY_LOAD[kind](promise, load)
    if kind == "psi":
        return Verdict.unknown(promise, "drift is judged on live rows")
    if not replay.n_rows:
        return Verdict.unknown(promise, "the version keeps no holdout rows to replay")
    if kind == "fairness":
        return _fairness(promise, replay)
    return judge_metric(
        promise,
        replay.task.answer,
        replay.rows["y"],
        replay.output,
        multipliers=replay.subject.multipliers,
        peeking=False,
        groups=replay.rows.get("group"),
    )


def _fairness(promise: Promise, replay: Replay) -> Verdict:
    group = replay.group(promise.of or "")
    if isinstance(group, str):
        return Verdict.unknown(promise, group)
    return judge_fairness(
        promise,
        replay.task.answer,
        replay.rows["y"],
        replay.output,
        group,
        multipliers=replay.subject.multipliers,
        peeking=False,
    )


_BY_LOAD: dict[Kind, Callable[[Promise, Load], Verdict]] = {
    "errors": lambda promise, load: judge_share(promise, load.requests, load.errors),
    "latency": lambda promise, load: judge_share(
        promise, load.requests, load.over[promise.bound], k_warn=load.over.get(promise.warn or 0.0)
    ),
    "throughput": lambda promise, load: judge_level(promise, load.throughput),
    "memory": lambda promise, load: judge_level(promise, load.memory_mb),
}
