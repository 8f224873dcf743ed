"""From what was learned to what is registered: pipeline, policy, metrics on later rows, details."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from promise.data.answer import Decision
from promise.data.columns import Array, Columns, FloatArray, IntArray
from promise.data.source import Source
from promise.data.split import Split
from promise.features.event import AMOUNT
from promise.features.keyed import SEEN, Keyed
from promise.job import Job
from promise.kernels.scores import binary_average_precision
from promise.metrics.intervals import bootstrap_interval
from promise.metrics.pointwise import all_metrics, metric_named
from promise.pipeline.order import Outcome
from promise.pipeline.pipeline import Pipeline
from promise.workloads.fraud.blocks import days_of
from promise.workloads.fraud.contents import Kept, contents_of, policy_in_words
from promise.workloads.fraud.learn import Scorer, policy_of
from promise.workloads.fraud.measure import measure
from promise.workloads.fraud.plan import Plan
from promise.workloads.fraud.reasons import with_reasons
from promise.workloads.fraud.task import METRIC, fraud_task


@dataclass(frozen=True)
class Learnt:
    """What training leaves, whether rows were in memory or streamed.

    Parameters
    ----------
    calibration, holdout, drift
        Requests with what each row saw: the later block, the sealed rows, some training rows.
    y, rows
        Labels of the holdout and its row numbers in the source.
    train_rows
        Row numbers of the training block; none stands for all that are not sealed.
    blocks
        JSON-ready account of the blocks.
    learned
        How many rows were learned from.
    n_rows
        How many events there are.
    calibration_share
        Which share of the calibration block was read: reviews a day are counted on it.
    unseen
        Role to which holdout rows have a key that no training row has.
    """

    keyed: Keyed
    scorer: Scorer
    answer: Decision
    split: Split
    blocks: dict[str, Any]
    prevalence: float
    calibration: Columns
    holdout: Columns
    y: IntArray
    rows: IntArray
    drift: Columns
    train_rows: IntArray
    learned: int
    n_rows: int
    told: tuple[str, ...]
    unseen: Mapping[str, Array]
    calibration_share: float = 1.0


def pipeline_of(plan: Plan, learnt: Learnt, job: Job) -> Pipeline:
    """Return the pipeline: its policy and its reasons are learned on the calibration block."""
    columns, block, score = plan.columns, learnt.calibration, learnt.scorer.score
    policy = policy_of(
        learnt.answer,
        plan.recipe,
        plan.terms,
        amount=columns[AMOUNT],
        key=columns.get("id"),
        score=score.many(learnt.keyed.many(block, {}, None))[:, 1],
        money=block[columns[AMOUNT]],
        days=days_of(block[plan.time]) * learnt.calibration_share,
    )
    policy = with_reasons(
        policy,
        score,
        learnt.keyed,
        learnt.drift[SEEN].astype(np.float32),
        block[SEEN].astype(np.float32),
        job,
    )
    task = fraud_task(
        columns,
        label_delay=plan.terms.label_delay,
        answer=learnt.answer,
        numbers=plan.roles.numbers,
        formats=plan.formats,
        split=learnt.split.to_json(),
        prevalence=learnt.prevalence,
    )
    return Pipeline(task=task, score=score, decide=policy, featurize=learnt.keyed)


def outcome_of(source: Source, plan: Plan, learnt: Learnt, job: Job) -> Outcome:
    """Judge the pipeline on the sealed rows, once, and return what belongs into its version."""
    pipeline = pipeline_of(plan, learnt, job)
    output = pipeline.output(learnt.holdout)
    metric, y = metric_named(METRIC, learnt.answer), learnt.y
    everything = all_metrics(learnt.answer, y, output)
    everything |= measure(pipeline, y, output, learnt.holdout)
    metrics = {
        "metric": METRIC,
        "score": metric.score(y, output),
        "ci": list(bootstrap_interval(metric, y, output, seed=job.seed)),
        "rows": len(y),
        "split": learnt.split.describe(),
        "all": everything,
    }
    told = (*plan.roles.told, *learnt.told)
    recipe = {
        "preset": plan.preset,
        "columns": plan.columns,
        "inputs": list(plan.roles.numbers),
        "options": plan.options,
        **plan.recipe.to_json(),
    }
    kept = Kept(
        pipeline=pipeline,
        rows={"train": learnt.train_rows, "holdout": learnt.rows},
        y=y,
        output=np.asarray(output, dtype=np.float64),
        drift=learnt.drift,
        schema=plan.schema.with_roles({name: role for role, name in plan.columns.items()}),
        metrics=metrics,
        told=told,
        recipe=recipe,
        notes={**learnt.scorer.notes, "blocks": learnt.blocks, "told": list(told)},
        n_rows=learnt.n_rows,
    )
    return Outcome(
        pipeline=pipeline,
        contents=contents_of(source, kept, seed=job.seed),
        metrics=everything,
        split=learnt.split.describe(),
        rows=learnt.learned,
        peak_memory_mb=0.0,
        details={
            "columns": plan.columns,
            "told": list(told),
            "blocks": learnt.blocks,
            "scorer": learnt.scorer.notes,
            "policy": policy_in_words(pipeline.decide),
            "features": len(learnt.keyed.features.columns),
            "ci": metrics["ci"],
            "unseen": {r: _slice(y, kept.output, mask) for r, mask in learnt.unseen.items()},
        },
    )


def _slice(y: IntArray, output: FloatArray, mask: Array) -> dict[str, Any]:
    """Return how well some rows are ranked; None where they cannot tell."""
    truth = y[mask] == 1
    both = truth.any() and not truth.all()
    found = binary_average_precision(truth, output[mask][:, 1]) if both else None
    return {"rows": len(truth), "frauds": int(truth.sum()), "average_precision": found}
