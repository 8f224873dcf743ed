"""Training on more events than memory holds: columns, features and rows pass through the disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from promise.data.columns import Array, Columns, IntArray
from promise.data.infer import read_columns
from promise.data.schema import Schema
from promise.data.source import Source
from promise.engine.memory import available_mb
from promise.features.keyed import SEEN
from promise.job import Job
from promise.kernels.chunked_fit import fit_chunked
from promise.models.base import ESTIMATORS, Fitted
from promise.pipeline.order import Order
from promise.selection.candidates import estimator_params
from promise.workloads.fraud.blocks import Blocks, blocks_of
from promise.workloads.fraud.contents import some_rows
from promise.workloads.fraud.finish import Learnt
from promise.workloads.fraud.learn import (
    Rows,
    Scorer,
    drawn,
    joined,
    learn,
    notes_of,
    sampled,
    shared_out,
)
from promise.workloads.fraud.plan import Plan
from promise.workloads.fraud.sharded import Sharded, replay_sharded
from promise.workloads.fraud.spool import Spool, spool
from promise.workloads.fraud.task import fraud_task

JUDGED_ROWS = 400_000
"""Most rows of the calibration block and of the holdout that are read, drawn by hash."""

_BASE_MB = 600.0  # interpreter, libraries, one chunk in flight
_ROW_BYTES = 220  # keys as text, times, and what a replay sorts by
_BINNED = ("lightgbm", "xgboost")
_MOST_SMOTE = 500_000


def wants_stream(source: Source, order: Order, plan: Plan) -> bool:
    """Whether the order says so, or the events would take more than memory gives."""
    if order.full:
        return True
    features = len(plan.keyed(0.01).features.columns)
    need_mb = source.size().rows * (_ROW_BYTES + 16 * features) / 2**20 + _BASE_MB
    room_mb = order.memory_mb if order.memory_mb is not None else available_mb()
    return need_mb > 0.8 * room_mb


def learn_streamed(
    source: Source, order: Order, plan: Plan, job: Job, tell: Callable[[str], None]
) -> Learnt:
    """Learn with one shard of features, one chunk of rows and the learner's bins in memory.

    Calibration block and holdout are read in part where they are long: at most `JUDGED_ROWS` rows
    each, drawn by the hash of their row numbers, at their real prevalence.
    """
    tell("writing columns")
    events = spool(source, plan.formats, plan.columns, plan.roles.numbers, order.work / "columns")
    times = events.column("at").astype("datetime64[us]")
    late = "known_at" in events.types
    blocks = blocks_of(
        times,
        events.column("y"),
        column=plan.time,
        gap_s=plan.gap_s,
        seed=order.seed,
        known_at=events.column("known_at").astype("datetime64[us]") if late else None,
    )
    del times
    prevalence = float((events.pick("y", blocks.train) == 1).mean())
    keyed = plan.keyed(prevalence)
    features = replay_sharded(events, keyed, order.work / "features", threads=order.threads,
                              tell=tell)  # fmt: skip
    calibration = _drawn(blocks.calibration, events, order.seed)
    watched = _rows(events, features, calibration)
    scorer = _scorer(events, features, blocks, watched, keyed.features.columns, plan, order, job,
                     tell)  # fmt: skip
    holdout = _drawn(blocks.holdout, events, order.seed)
    told = list(events.told)
    for read_rows, block, what in (
        (calibration, blocks.calibration, "calibration"),
        (holdout, blocks.holdout, "holdout"),
    ):
        if len(read_rows) < len(block):
            told.append(
                f"of the {what} block {len(read_rows):,} of {len(block):,} rows are read; money "
                "and reviews are counted on these"
            )
    train = blocks.train
    read = partial(_request, source, plan, events, features)
    return Learnt(
        keyed=keyed,
        scorer=scorer,
        answer=events.answer,
        split=blocks.split,
        blocks={**blocks.describe(), "streamed": True},
        prevalence=prevalence,
        calibration=read(calibration),
        holdout=read(holdout),
        y=events.pick("y", holdout).astype(np.int64),
        rows=events.pick("row", holdout),
        drift=read(some_rows(blocks.train)),
        train_rows=np.zeros(0, dtype=np.int64),
        learned=len(blocks.train),
        n_rows=events.n_rows,
        told=tuple(told),
        calibration_share=len(calibration) / len(blocks.calibration),
        unseen={
            role: ~np.isin(events.pick(f"key:{role}", holdout), events.pick(f"key:{role}", train))
            for role in ("entity", "other")
            if role in plan.columns
        },
    )


def _scorer(
    events: Spool,
    features: Sharded,
    blocks: Blocks,
    calibration: Rows,
    names: tuple[str, ...],
    plan: Plan,
    order: Order,
    job: Job,
    tell: Callable[[str], None],
) -> Scorer:
    """Learn from every training row where all members can, else from as many as the recipe says."""
    recipe, rows = plan.recipe, len(blocks.train)
    kinds = [part.kind for part in recipe.parts]
    most = recipe.train_rows or (_MOST_SMOTE if recipe.smote else None)
    if most is not None or any(kind not in _BINNED for kind in kinds):
        picked = _frauds_first(blocks.train, events, most or _MOST_SMOTE, order.seed)
        train = _rows(events, features, picked)
        scorer = learn(train, calibration, names, recipe, job=job, tell=tell)
        return Scorer(scorer.score, scorer.notes | {"train_rows": rows} | sampled(rows, train.y))
    fitted: list[Fitted] = []
    left: list[str] = []
    for part, own in shared_out(recipe, job, tell):
        estimator = ESTIMATORS.resolve(part.kind)
        need_mb = _BASE_MB + estimator.memory_mb(rows, len(names), 2)
        if fitted and order.memory_mb is not None and need_mb > order.memory_mb:
            left.append(f"{part.kind} would take {need_mb:,.0f} MB and was left out")
            continue
        tell(f"training {part.kind} on {rows:,} rows")
        family, model = fit_chunked(
            part.kind,
            partial(_train_chunks, events, features, blocks.train),
            2,
            estimator_params(part.estimator),
            valid=(calibration.matrix, calibration.y),
            seed=own.seed,
            threads=own.threads,
            deadline_s=own.deadline_s,
        )
        fitted.append(ESTIMATORS.resolve(family).fitted(model))
    score = joined(fitted, calibration, recipe)
    notes = notes_of(score, train_rows=rows, learned=rows, made_up=0)
    return Scorer(score, notes | ({"left_out": left} if left else {}))


def _train_chunks(
    events: Spool, features: Sharded, train: IntArray
) -> Iterator[tuple[Array, Array, IntArray]]:
    """Yield the training block chunk by chunk: features, labels, row numbers."""
    for start, matrix in features.chunks(int(train[-1]) + 1):
        low, high = np.searchsorted(train, [start, start + len(matrix)])
        if high > low:
            places = train[low:high] - start
            y = events.column("y", start, start + len(matrix))[places]
            rows = events.column("row", start, start + len(matrix))[places]
            yield matrix[places], y.astype(np.int64), rows


def _drawn(positions: IntArray, events: Spool, seed: int) -> IntArray:
    """Return a block's rows, or as many of a long one as are read, rising."""
    return positions[drawn(events.pick("row", positions), JUDGED_ROWS, seed)]


def _frauds_first(positions: IntArray, events: Spool, most: int, seed: int) -> IntArray:
    """Return at most so many rows: the frauds, then others by their hash, rising."""
    fraud = events.pick("y", positions) == 1
    return positions[drawn(events.pick("row", positions), most, seed, fraud)]


def _rows(events: Spool, features: Sharded, positions: IntArray) -> Rows:
    y = events.pick("y", positions).astype(np.int64)
    return Rows(features.gather(positions), y, events.pick("row", positions))


def _request(
    source: Source, plan: Plan, events: Spool, features: Sharded, positions: IntArray
) -> Columns:
    """Return rows as a request, as they came, with what each saw."""
    request: Schema = fraud_task(
        plan.columns, numbers=plan.roles.numbers, formats=plan.formats
    ).request
    numbers = events.pick("row", positions)
    order = np.argsort(numbers, kind="stable")
    columns, _ = read_columns(source, request, numbers[order])
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    seen = features.gather(positions).astype(np.float64)
    return columns.take(back).with_columns({SEEN: seen})
