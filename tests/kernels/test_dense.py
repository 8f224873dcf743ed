"""Rows do not feel their neighbours; moments equal the slow twin whatever the numbers' size."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promise.kernels.dense import (
    column_moments,
    dot_rows,
    margin_probabilities,
    sigmoid,
    softmax,
    squash,
)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("d", [1, 2, 7, 16, 33, 257])
@pytest.mark.parametrize("k", [1, 2, 5, 64])
def test_products_do_not_depend_on_the_batch(dtype: type, d: int, k: int) -> None:
    """Any slice, contiguous or not, gives the same bits; members side by side too."""
    rng = np.random.default_rng(d * k)
    x = rng.normal(size=(37, d)).astype(dtype)
    weights = rng.normal(size=(3, k, d)).astype(dtype)
    whole = dot_rows(x, weights)
    assert np.allclose(whole, x @ weights.transpose(0, 2, 1), atol=1e-3)
    for start, stop in [(0, 1), (5, 6), (36, 37), (3, 10)]:
        assert np.array_equal(dot_rows(x[start:stop], weights), whole[:, start:stop])
        assert np.array_equal(dot_rows(x[start:stop], weights[1]), whole[1, start:stop])
        assert np.array_equal(dot_rows(np.asfortranarray(x)[start:stop].copy(), weights[1]),
                              whole[1, start:stop])  # fmt: skip


@settings(max_examples=50, deadline=None)
@given(
    n=st.integers(1, 60),
    shift=st.sampled_from([0.0, 1.0, 1e6]),
    size=st.sampled_from([1e-3, 1.0, 1e3]),
    seed=st.integers(0, 1000),
)
def test_moments_equal_the_slow_twin(n: int, shift: float, size: float, seed: int) -> None:
    """Block by block as all at once, missing values left out, large means without cancelling."""
    rng = np.random.default_rng(seed)
    x = rng.normal(shift, size, (n, 3)).astype(np.float32)
    x[rng.random(x.shape) < 0.2] = np.nan
    weight = rng.uniform(0.5, 2, n)
    mean, scale = column_moments(x, weight, block_rows=16)
    for column in range(3):
        seen = ~np.isnan(x[:, column])
        if not seen.any():
            assert (mean[column], scale[column]) == (0.0, 1.0)
            continue
        values, w = x[seen, column].astype(float), weight[seen]
        middle = np.average(values, weights=w)
        deviation = np.sqrt(np.average((values - middle) ** 2, weights=w))
        assert mean[column] == pytest.approx(middle, rel=1e-9, abs=1e-9)
        if deviation > 1e-6 * max(abs(shift), 1e-3):
            assert scale[column] == pytest.approx(deviation, rel=1e-3)


def test_links_at_the_extremes() -> None:
    """No overflow at either end, and shares sum to one."""
    far = np.array([[-1e4], [0.0], [1e4]])
    assert sigmoid(far).ravel().tolist() == [0.0, 0.5, 1.0]
    assert margin_probabilities(far).tolist() == [[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]
    assert softmax(np.array([[1e4, 0.0, -1e4]])).tolist() == [[1.0, 0.0, 0.0]]


def test_squash_bounds_outliers() -> None:
    """An outlier of a million deviations counts as four; holes count as the mean."""
    x = np.array([[1e6, np.nan, -np.inf, 0.5]], dtype=np.float32)
    z = squash(x, np.zeros(4, np.float32), np.ones(4, np.float32))
    assert z[0, 0] == pytest.approx(4.0, abs=1e-3)
    assert z[0, 1:3].tolist() == [0.0, 0.0]
    assert z[0, 3] == pytest.approx(0.5, abs=0.01)
