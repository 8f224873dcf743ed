"""Events with their features, and what is measured of a recipe on some of them."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from promise.data.columns import Columns
from promise.data.source import open_source
from promise.features.keyed import SEEN, VIEW
from promise.job import Job
from promise.kernels.scores import binary_average_precision, binary_roc_auc
from promise.metrics.ranked import positive_calibration_error, recall_at_fpr
from promise.models.blend import matrix_column
from promise.pipeline.order import Order
from promise.workloads.fraud.events import Events, read_events
from promise.workloads.fraud.learn import Rows, learn
from promise.workloads.fraud.plan import Plan, plan_of
from promise.workloads.fraud.recipe import Recipe


@dataclass(frozen=True)
class Table:
    """Events with their features, ready to be cut into blocks."""

    plan: Plan
    events: Events
    names: tuple[str, ...]
    seen: np.ndarray

    @classmethod
    def of(cls, data: Any, options: dict[str, str]) -> Table:
        """Read and replay events."""
        source = open_source(data)
        order = Order(name="bench", work=Path(tempfile.gettempdir()), options=options)
        plan = plan_of(source, order)
        events = read_events(source, plan.formats, plan.columns, plan.roles.numbers)
        keyed = plan.keyed(0.01)
        seen = keyed.replay(events.columns, events.labels)[SEEN]
        return cls(plan, events, keyed.features.columns, np.asarray(seen, np.float32, order="C"))

    @property
    def time(self) -> np.ndarray:
        """When each event happened."""
        return self.events.columns[self.plan.time]

    def rows(self, chosen: np.ndarray) -> Rows:
        """Return some rows with their labels."""
        where = np.flatnonzero(chosen) if chosen.dtype == bool else chosen
        y = self.events.y[where].astype(np.int64)
        return Rows(self.seen[where], y, self.events.rows[where])

    def between(self, start: np.datetime64, stop: np.datetime64) -> np.ndarray:
        """Return which rows lie in [start, stop)."""
        return (self.time >= start) & (self.time < stop)


def scored(recipe: Recipe, train: Rows, calibration: Rows, test: Rows, names: tuple[str, ...],
           threads: int, budget_s: float = 600.0) -> tuple[np.ndarray, float]:  # fmt: skip
    """Return the chances of fraud of the test rows, and the seconds of training."""
    began = time.monotonic()
    job = Job(seed=7, threads=threads, deadline_s=began + budget_s)
    found = learn(train, calibration, names, recipe, job=job, tell=lambda _: None)
    spent = time.monotonic() - began
    chance = found.score.many(Columns({matrix_column(VIEW): test.matrix}))[:, 1]
    return chance, spent


def figures(y: np.ndarray, chance: np.ndarray) -> dict[str, float]:
    """Return what is compared, with the rows that it is taken of."""
    return {
        "average_precision": round(binary_average_precision(y == 1, chance), 4),
        "roc_auc": round(binary_roc_auc(y == 1, chance), 4),
        "recall_at_fpr_0.05": round(recall_at_fpr(y, chance, 0.05), 4),
        "positive_calibration_error": round(positive_calibration_error(y, chance), 5),
        "baseline": round(float(y.mean()), 5),
        "rows": len(y),
    }
