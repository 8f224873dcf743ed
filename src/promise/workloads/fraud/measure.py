"""What a fraud model is worth: what its decisions find, cost and save, beside its ranking."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import Any

import numpy as np

from promise.data.columns import Array, Columns, FloatArray
from promise.features.event import AMOUNT
from promise.features.keyed import SEEN, Keyed
from promise.kernels.scores import binary_average_precision
from promise.metrics.costs import APPROVE, DECLINE, REVIEW, Costs, outcome
from promise.metrics.ranked import average_precision, recall_at_fpr
from promise.pipeline.bind import bind
from promise.pipeline.decision import Cheapest, DecisionPolicy
from promise.pipeline.pipeline import Pipeline
from promise.pipeline.policy import PREDICTION
from promise.workloads.fraud.blocks import days_of

FPRS = (0.001, 0.01, 0.05)
_TIMED_ROWS = 200


def measure(pipeline: Pipeline, y: Array, output: Array, request: Columns) -> dict[str, float]:
    """Return what the task's usual metrics leave out, on labelled rows.

    Parameters
    ----------
    y
        Codes of the outcomes: 1 is fraud.
    output
        Calibrated probabilities (n, 2).
    request
        The rows, with what each saw of those before it.

    Returns
    -------
    `precision` and `recall` are those of the policy: what it reviews or declines. `cost` and
    `saved` are money in hindsight, `saved` against approving everything. Values that these rows
    cannot tell are left out.
    """
    chance: FloatArray = np.asarray(output, dtype=np.float64)[:, 1]
    found = ranking(y, chance) | _decisions(pipeline, y, chance, request)
    found |= _unseen(pipeline, y, chance, request) | _latency(pipeline, request)
    return {name: value for name, value in found.items() if math.isfinite(value)}


def ranking(y: Array, chance: FloatArray) -> dict[str, float]:
    """Return how well scores rank, with the baseline beside."""
    ap = average_precision(y, chance)
    return {
        "average_precision_baseline": ap.baseline,
        **{f"recall_at_fpr_{fpr:g}": recall_at_fpr(y, chance, fpr) for fpr in FPRS},
    }


def costs_of(policy: DecisionPolicy) -> Costs:
    """Return what the policy takes decisions to cost; the usual costs for fixed thresholds."""
    return policy.rule.costs if isinstance(policy.rule, Cheapest) else Costs()


def _decisions(
    pipeline: Pipeline, y: Array, chance: FloatArray, request: Columns
) -> dict[str, float]:
    policy = pipeline.decide
    if not isinstance(policy, DecisionPolicy) or not len(y):
        return {}
    names = replace(policy, reasons=None).many(request, chance)[PREDICTION]
    codes = {name: code for code, name in enumerate(policy.answer.actions)}
    actions = np.fromiter(map(codes.__getitem__, names), np.int64, len(names))
    keyed = pipeline.featurize
    columns = keyed.columns if isinstance(keyed, Keyed) else {}
    amount = request[columns[AMOUNT]] if AMOUNT in columns else np.zeros(len(y))
    usual = float(np.nanmean(amount)) if np.isfinite(amount).any() else 0.0
    money = np.where(np.isfinite(amount), amount, usual)
    days = days_of(request[columns["time"]]) if "time" in columns else 1.0
    told = outcome(actions, y, money, costs_of(policy), days)
    flagged, fraud = actions != APPROVE, y == 1
    return {
        "precision": float(fraud[flagged].mean()) if flagged.any() else math.nan,
        "recall": told.caught,
        "approved": float((actions == APPROVE).mean()),
        "reviewed": float((actions == REVIEW).mean()),
        "declined": float((actions == DECLINE).mean()),
        "declined_good": told.declined_good,
        "reviews_per_day": told.reviews_per_day,
        "review_reduction": told.review_reduction,
        "cost": told.cost,
        "cost_without_model": told.cost_of_approving_all,
        "saved": told.saved,
    }


def _unseen(pipeline: Pipeline, y: Array, chance: FloatArray, request: Columns) -> dict[str, float]:
    """Return how well entities are judged that did nothing in the longest window before."""
    keyed, found = pipeline.featurize, {}
    if not isinstance(keyed, Keyed) or SEEN not in request:
        return {}
    for role in ("entity", "other"):
        column = f"{role}.recency_30d"
        if column not in keyed.features.columns:
            continue
        place = keyed.features.columns.index(column)
        rows = np.isnan(request[SEEN][:, place])
        found[f"rows_of_new_{role}"] = float(rows.sum())
        truth = y[rows] == 1
        if truth.any() and not truth.all():
            found[f"average_precision_of_new_{role}"] = binary_average_precision(
                truth, chance[rows]
            )
    return found


def _latency(pipeline: Pipeline, request: Columns) -> dict[str, float]:
    """Return what one row takes from its features to its decision, without reading any state."""
    if SEEN not in request or not request.n_rows:
        return {}
    rows = np.linspace(0, request.n_rows - 1, min(_TIMED_ROWS, request.n_rows)).astype(np.int64)
    names, bound, spent = pipeline.task.request.names, bind(pipeline), []
    few = request.take(rows)
    for row in range(few.n_rows):
        values = tuple(_sent(few[name][row]) for name in names)
        began = time.perf_counter()
        bound.one(values, few[SEEN][row])
        spent.append((time.perf_counter() - began) * 1e3)
    return {
        "decision_ms_p50": float(np.percentile(spent, 50)),
        "decision_ms_p99": float(np.percentile(spent, 99)),
    }


def _sent(value: Any) -> Any:
    """Return a typed cell as a client would have sent it."""
    if isinstance(value, np.datetime64):
        return str(value)
    if isinstance(value, float) and math.isnan(value):
        return None
    return value.item() if isinstance(value, np.generic) else value
