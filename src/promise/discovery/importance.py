"""Which inputs the model leans on: permutation on the holdout, with intervals."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from promise.data.columns import Array, Columns, IntArray
from promise.features.views import Views
from promise.job import Job
from promise.metrics.pointwise import Metric
from promise.models.base import ORDER
from promise.pipeline.pipeline import Pipeline

_ROWS = 2_000
_REPEATS = 5
_T_95 = 2.776  # Student's t for five repeats


@dataclass(frozen=True)
class Importance:
    """How much the metric drops when one input is shuffled.

    Parameters
    ----------
    mean, low, high
        Drop of the metric (sign-corrected, larger matters more) and its 95 % interval over
        shuffles; an interval that covers zero means that the input may not matter.
    """

    feature: str
    mean: float
    low: float
    high: float

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready row."""
        return dict(vars(self))


def permutation_importance(
    pipeline: Pipeline,
    metric: Metric,
    request: Columns,
    y: Array,
    *,
    job: Job,
    multipliers: Array | None = None,
) -> list[Importance]:
    """Shuffle each input in turn and measure the loss; most important first.

    Stops at the job's deadline: inputs not reached are left out, never guessed.
    """
    rng = job.rng()
    rows = drawn(request, len(y), rng)
    request, y = request.take(rows), y[rows]
    base = metric.utility(y, pipeline.output(request), multipliers)
    found = []
    for name in read_columns(pipeline):
        drops = []
        for _ in range(_REPEATS):
            if job.deadline_s is not None and time.monotonic() > job.deadline_s:
                break
            shuffled = request[name][rng.permutation(len(y))]
            output = pipeline.output(request.with_columns({name: shuffled}))
            drops.append(base - metric.utility(y, output, multipliers))
        if len(drops) == _REPEATS:
            mean = float(np.mean(drops))
            half = _T_95 * float(np.std(drops, ddof=1)) / np.sqrt(len(drops))
            found.append(Importance(name, mean, mean - half, mean + half))
    return sorted(found, key=lambda row: -row.mean)


def read_columns(pipeline: Pipeline) -> list[str]:
    """Return the inputs, and a time that orders the rows where its calendar is read besides."""
    request, views = pipeline.task.request, pipeline.featurize
    read = {field.name for field in request.inputs}
    if isinstance(views, Views):
        read |= {name for fitted in views.views.values() for name in fitted.state["inputs"]}
    return [name for name in request.names if name in read]


def drawn(request: Columns, n_rows: int, rng: np.random.Generator) -> IntArray:
    """Return up to 2,000 positions: scattered, or where order counts a stretch without gaps."""
    if n_rows <= _ROWS:
        return np.arange(n_rows)
    if ORDER not in request:
        return np.sort(rng.permutation(n_rows)[:_ROWS])
    in_time = np.argsort(request[ORDER][:, 1], kind="stable")
    start = int(rng.integers(n_rows - _ROWS + 1))
    return np.sort(in_time[start : start + _ROWS])
