"""Alternating least squares: the loss falls, and where it ends nothing can be better."""

import numpy as np
import pytest
from tests.models.worlds import two_blocks

from promise.job import Job
from promise.kernels.factorization import confide
from promise.models.implicit import ImplicitFactors
from promise.models.interactions import Interactions

WORLD = two_blocks()
SOURCE = ImplicitFactors(size=6, silence=0.05, decay=0.02, frequency=0.7, sweeps=8)


def loss(
    source: ImplicitFactors, likes: Interactions, left: np.ndarray, right: np.ndarray
) -> float:
    """Return the loss as the paper writes it, every product looked at."""
    products = left.astype(np.float64) @ right.T
    sizes = likes.matrix().toarray()
    pairs = np.abs(sizes) * ((sizes > 0) - products) ** 2
    decay = 0.0
    for vectors, counts, others in (
        (left, likes.counts, len(right)),
        (right, likes.transposed().counts, len(left)),
    ):
        met = (counts + source.silence * others) ** source.frequency
        decay += source.decay * float(met @ (vectors.astype(np.float64) ** 2).sum(axis=1))
    return float(pairs.sum() + source.silence * (products**2).sum() + decay)


def test_sweeps_lower_the_loss_of_the_paper() -> None:
    from dataclasses import replace

    losses = []
    for sweeps in (0, 1, 2, 8):
        fitted = replace(SOURCE, sweeps=sweeps).fit(WORLD, Job(seed=1))
        losses.append(loss(SOURCE, WORLD, fitted.choosers, fitted.chosen))
    assert losses == sorted(losses, reverse=True)


def test_a_folded_vector_cannot_be_bettered() -> None:
    fitted = SOURCE.fit(WORLD, Job(seed=1))
    rng = np.random.default_rng(1)
    left = fitted.choosers.copy()
    left[3] = fitted.fold_in(*WORLD.row(3))
    best = loss(SOURCE, WORLD, left, fitted.chosen)
    for _ in range(10):
        left[3] = fitted.fold_in(*WORLD.row(3)) + rng.normal(0, 0.02, 6)
        assert loss(SOURCE, WORLD, left, fitted.chosen) > best


def test_a_no_counts_as_nothing_wanted() -> None:
    fitted = SOURCE.fit(WORLD, Job(seed=1))
    codes, weights = WORLD.row(3)
    against = np.array([int(fitted.candidates(codes, weights, 1)[0][0])])
    more = np.append(codes, against), np.append(weights, np.float32(-1))
    before, after = fitted.fold_in(codes, weights), fitted.fold_in(*more)
    assert after @ fitted.chosen[against[0]] < before @ fitted.chosen[against[0]]


def test_threads_do_not_change_what_is_learned() -> None:
    one, two = (SOURCE.fit(WORLD, Job(seed=1, threads=threads)) for threads in (1, 2))
    np.testing.assert_allclose(one.choosers, two.choosers, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("bounds", [(0, 5), (2, 4), (3, 3)])
def test_the_compiled_sums_are_the_readable_ones(bounds: tuple[int, int]) -> None:
    rng = np.random.default_rng(2)
    starts = np.array([0, 2, 2, 5, 6, 9], np.int64)
    others, sizes = rng.integers(0, 7, 9, np.int32), rng.random(9).astype(np.float32)
    vectors, directions = (rng.normal(size=(k, 11)).astype(np.float32) for k in (7, 5))
    found = np.zeros((5, 11), np.float32)
    confide(starts, others, sizes, vectors, directions, *bounds, found)
    expected = np.zeros((5, 11))
    for row in range(*bounds):
        for entry in range(starts[row], starts[row + 1]):
            vector = vectors[others[entry]]
            expected[row] += sizes[entry] * vector * (vector @ directions[row])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
