"""The fraud workload: how a table of events becomes a pipeline that decides."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from promise.data.columns import Array, Columns, FloatArray, IntArray
from promise.data.source import Source
from promise.engine.memory import MemoryWatch
from promise.features.keyed import SEEN
from promise.job import Job
from promise.pipeline.order import Order, Outcome, Workload
from promise.workloads.fraud.blocks import Blocks, blocks_of
from promise.workloads.fraud.contents import some_rows
from promise.workloads.fraud.events import Events, read_events
from promise.workloads.fraud.finish import Learnt, outcome_of
from promise.workloads.fraud.learn import Rows, learn
from promise.workloads.fraud.measure import measure
from promise.workloads.fraud.one import one_decision
from promise.workloads.fraud.plan import PRESETS, Plan, plan_of
from promise.workloads.fraud.streaming import learn_streamed, wants_stream
from promise.workloads.fraud.task import NAME
from promise.workloads.fraud.terms import OPTIONS

_FIT_SHARE = 0.8  # of the budget; judging and writing take the rest


def train_fraud(source: Source, order: Order, tell: Callable[[str], None]) -> Outcome:
    """Train a table of events: temporal blocks, a calibrated blend, a policy by its costs.

    With `full`, or where the events would not fit into memory, features and rows are streamed
    through the work folder.
    """
    watch = MemoryWatch(bound_mb=order.memory_mb)
    watch.start()
    try:
        plan = plan_of(source, order)
        tell("reading: " + "; ".join(plan.roles.told))
        deadline_s = time.monotonic() + _FIT_SHARE * order.budget_s
        job = Job(order.seed, deadline_s, order.memory_mb, order.threads)
        streamed = wants_stream(source, order, plan)
        learnt = (learn_streamed if streamed else learn_in_memory)(source, order, plan, job, tell)
        tell(f"judging {len(learnt.y):,} later rows")
        outcome = outcome_of(source, plan, learnt, job)
        return replace(outcome, peak_memory_mb=watch.peak_mb)
    finally:
        watch.stop()


def learn_in_memory(
    source: Source, order: Order, plan: Plan, job: Job, tell: Callable[[str], None]
) -> Learnt:
    """Read, replay and learn with every event in memory."""
    events = read_events(source, plan.formats, plan.columns, plan.roles.numbers)
    time_of = events.columns[plan.time]
    blocks = blocks_of(
        time_of,
        events.y,
        column=plan.time,
        gap_s=plan.gap_s,
        seed=order.seed,
        known_at=events.known_at,
    )
    prevalence = float((events.y[blocks.train] == 1).mean())
    keyed = plan.keyed(prevalence)
    tell(f"replaying {len(events.y):,} events, {len(keyed.features.columns)} features")
    seen = keyed.replay(events.columns, events.labels, threads=order.threads)[SEEN]
    train, calibration = (_rows(seen, events, part) for part in (blocks.train, blocks.calibration))
    scorer = learn(train, calibration, keyed.features.columns, plan.recipe, job=job, tell=tell)
    return Learnt(
        keyed=keyed,
        scorer=scorer,
        answer=events.answer,
        split=blocks.split,
        blocks=blocks.describe(),
        prevalence=prevalence,
        calibration=_request(seen, events, blocks.calibration),
        holdout=_request(seen, events, blocks.holdout),
        y=events.y[blocks.holdout].astype(np.int64),
        rows=events.rows[blocks.holdout],
        drift=_request(seen, events, some_rows(blocks.train)),
        train_rows=events.rows[blocks.train],
        learned=len(blocks.train),
        n_rows=len(events.y),
        told=events.told,
        unseen=_unseen(plan, events, blocks),
    )


def _rows(seen: FloatArray, events: Events, positions: IntArray) -> Rows:
    matrix = np.empty((len(positions), seen.shape[1]), dtype=np.float32)
    for place in range(seen.shape[1]):  # a replay is kept by columns
        matrix[:, place] = seen[:, place][positions]
    return Rows(matrix, events.y[positions].astype(np.int64), events.rows[positions])


def _unseen(plan: Plan, events: Events, blocks: Blocks) -> dict[str, Array]:
    """Return by role which holdout rows have a key that no training row has."""
    found: dict[str, Array] = {}
    for role in ("entity", "other"):
        if role in plan.columns:
            keys = events.columns[plan.columns[role]]
            known = set(keys[blocks.train])
            found[role] = np.array([key not in known for key in keys[blocks.holdout]], dtype=bool)
    return found


def _request(seen: FloatArray, events: Events, positions: IntArray) -> Columns:
    """Return rows as a request, with what each saw of those before it."""
    return events.columns.take(positions).with_columns({SEEN: seen[positions]})


WORKLOAD = Workload(
    name=NAME,
    summary="events of customers, shops and devices → approve, review or decline",
    presets=tuple(PRESETS),
    train=train_fraud,
    options=OPTIONS,
    again=True,
    one=one_decision,
    measure=measure,
)
