"""Ends of intervals do not depend on how class codes came."""

from __future__ import annotations

import numpy as np
import pytest

from promise.data.answer import Class, Number
from promise.metrics.pointwise import metrics_for
from promise.metrics.tails import resampled_ends


@pytest.mark.parametrize("classes", [("no", "yes"), ("a", "b", "c")])
def test_codes_from_json_give_the_same_ends(classes: tuple[str, ...]) -> None:
    rng = np.random.default_rng(3)
    y = rng.integers(0, len(classes), 80)
    output = rng.dirichlet(np.ones(len(classes)), 80) + 0.5 * np.eye(len(classes))[y]
    output /= output.sum(axis=1, keepdims=True)
    for metric in metrics_for(Class(classes)):
        ends = [
            resampled_ends(metric, codes, output, alpha_low=0.05, alpha_high=0.05, seed=1, n=50)
            for codes in (y, y.astype(np.float64))
        ]
        assert ends[0] == ends[1], metric.name


def test_no_end_lies_beyond_what_the_metric_can_be() -> None:
    rng = np.random.default_rng(3)
    y = np.r_[np.ones(12, dtype=int), np.zeros(188, dtype=int)]
    p = np.clip(0.1 + 0.6 * y + rng.normal(0, 0.15, 200), 0.01, 0.99)
    output = np.column_stack([1 - p, p])
    for metric in metrics_for(Class(("no", "yes"))):
        low, high = resampled_ends(metric, y, output, alpha_low=5e-6, alpha_high=5e-6, seed=1, n=60)
        assert (-1 if metric.name == "matthews" else 0) <= low <= high, metric.name
        assert metric.name == "log_loss" or high <= (2 if metric.name == "brier" else 1), (
            metric.name
        )
    far = rng.exponential(size=60)
    for metric in metrics_for(Number()):
        low, high = resampled_ends(
            metric, far, 0.9 * far, alpha_low=5e-6, alpha_high=5e-6, seed=1, n=60
        )
        assert high <= 1 if metric.greater_is_better else low >= 0, metric.name
