"""Ends of intervals do not depend on how class codes came."""

from __future__ import annotations

import numpy as np
import pytest

from promise.data.answer import Class
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
