"""Learning curves: known decay, sizes, and what is said of them."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from promise.metrics.pointwise import Metric
from promise.selection.curve import (
    enough_rows,
    fit_power,
    resampled_curves,
    scores_band,
)

R2 = Metric("r2", greater_is_better=True, kind="number")


@given(
    st.floats(0.0, 0.5), st.floats(0.5, 5.0), st.sampled_from([0.3, 0.5, 1.0]), st.integers(0, 99)
)
@settings(max_examples=25, deadline=None)
def test_the_asymptote_is_found_through_noise(a: float, b: float, c: float, seed: int) -> None:
    rows = np.array([100.0 * 2**k for k in range(8)]).repeat(3)
    noise = np.random.default_rng(seed).normal(size=len(rows)) / np.sqrt(rows) * 0.02
    fitted = fit_power(rows, a + b * rows**-c + noise)
    predicted = fitted[0] + fitted[1] * 50_000.0 ** -fitted[2]
    assert abs(predicted - (a + b * 50_000.0**-c)) < 0.02


def test_a_flat_curve_is_enough_early_and_a_steep_one_never() -> None:
    sizes = np.array([100.0, 200.0, 400.0])
    assert enough_rows(sizes, (0.1, 1e-6, 0.5), 0.002) == 100
    assert enough_rows(sizes, (0.0, 5.0, 0.5), 0.002) is None


def test_the_band_widens_beyond_the_rows() -> None:
    rows = np.array([100.0, 200.0, 400.0, 800.0]).repeat(3)
    errors = 0.1 + rows**-0.5 + np.random.default_rng(0).normal(size=12) * 0.02
    samples = resampled_curves(rows, errors, np.array([800.0, 12_800.0]), seed=1)
    near, far = (scores_band(R2, 0.1, samples[:, i], 0.0) for i in (0, 1))
    assert far[2] - far[1] > near[2] - near[1]
