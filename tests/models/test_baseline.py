"""The baseline gives the mean or the class shares, whatever the row."""

import numpy as np

from promise.kernels.baseline import fit_baseline, predict_baseline
from promise.models.base import Estimator
from promise.models.baseline import Baseline
from promise.models.conformance import EstimatorConformance


class TestBaselineConformance(EstimatorConformance):
    """The shared suite."""

    beats_baseline = False

    def make(self) -> Estimator:
        """Return the one configuration."""
        return Baseline()


def test_weighted_mean_and_shares() -> None:
    """Known answers."""
    x = np.zeros((3, 1), dtype=np.float32)
    weight = np.array([1.0, 1.0, 2.0])
    mean = fit_baseline(x, np.array([1.0, 2.0, 6.0]), 0, {}, weight=weight)
    assert predict_baseline(mean, x).tolist() == [3.75, 3.75, 3.75]
    shares = fit_baseline(x, np.array([0, 2, 2]), 3, {}, weight=weight)
    assert predict_baseline(shares, x[:1]).tolist() == [[0.25, 0.0, 0.75]]
