"""Descent pair by pair: the compiled pass beside a readable one, explicit noes, and the terms."""

import numpy as np
import pytest
from tests.models.worlds import SIDE, two_blocks

from promise.job import Job
from promise.kernels.factorization import descend
from promise.models.factorization import Factorization
from promise.models.interactions import Interactions


def descend_readably(
    rows: np.ndarray,
    others: np.ndarray,
    weights: np.ndarray,
    order: np.ndarray,
    drawn: np.ndarray,
    choosers: np.ndarray,
    chosen: np.ndarray,
    rate: float,
    decay: float,
) -> None:
    """Take the same steps as the compiled pass, each in a line."""
    for place, pair in enumerate(order):
        left, yes = choosers[rows[pair]], weights[pair] > 0
        length = min(rate * abs(weights[pair]), 0.5)
        steps = [(others[pair], float(yes), length)]
        steps += [(stranger, 0.0, rate) for stranger in drawn[place]] if yes else []
        for other, target, length in steps:
            right = chosen[other].copy()
            error = target - left @ right
            chosen[other] += length * (error * left - decay * right)
            left += length * (error * right - decay * left)


def test_the_compiled_pass_takes_the_readable_steps() -> None:
    rng = np.random.default_rng(4)
    rows, others = rng.integers(0, 6, 50, np.int32), rng.integers(0, 9, 50, np.int32)
    weights = rng.choice(np.array([-1, 1, 3], np.float32), 50)
    order = rng.permutation(50).astype(np.int32)
    drawn = rng.integers(0, 9, (50, 3), np.int32)
    start = [rng.normal(0, 0.3, (count, 5)).astype(np.float32) for count in (6, 9)]
    fast, slow = [a.copy() for a in start], [a.astype(np.float64) for a in start]
    descend(rows, others, weights, order, drawn, *fast, 0.05, 0.02)
    descend_readably(rows, others, weights, order, drawn, *slow, 0.05, 0.02)
    for one, two in zip(fast, slow, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-5)


def test_vectors_begin_as_the_design_says() -> None:
    fitted = Factorization(epochs=0).fit(two_blocks(), Job(seed=2))
    assert fitted.choosers.shape == (2 * SIDE, 64)
    assert fitted.choosers.std() == pytest.approx(0.1, rel=0.05)
    assert fitted.chosen.mean() == pytest.approx(0.0, abs=0.01)
    assert Factorization() == Factorization(size=64, spread=0.1, epochs=100)


def test_who_is_in_no_pair_has_no_vector() -> None:
    likes = Interactions.from_pairs(np.array([0, 1, 3]), np.array([1, 0, 1]), shape=(5, 5))
    fitted = Factorization(size=4, epochs=2).fit(likes, Job(seed=2))
    assert fitted.choosers.any(axis=1).tolist() == [True, True, False, True, False]
    assert fitted.chosen.any(axis=1).tolist() == [True, True, False, False, False]


def test_an_explicit_no_lowers_the_score() -> None:
    likes = two_blocks()
    asked, other = 0, int(np.setdiff1d(np.arange(SIDE), likes.row(0)[0])[0])
    rows, codes = np.append(likes.rows(), asked), np.append(likes.others, other)
    weights = np.append(likes.weights, np.float32(-2))
    told = Interactions.from_pairs(rows, codes, weights, shape=(2 * SIDE, 2 * SIDE))
    source = Factorization(size=8, epochs=60)
    before = source.fit(likes, Job(seed=1)).scores(np.array([asked]))[0, other]
    after = source.fit(told, Job(seed=1)).scores(np.array([asked]))[0, other]
    assert after < before - 0.1
    fitted = source.fit(likes, Job(seed=1))
    history, sizes = likes.row(asked)
    folded = fitted.fold_in(np.append(history, other), np.append(sizes, np.float32(-2)))
    assert folded @ fitted.chosen[other] < fitted.fold_in(history, sizes) @ fitted.chosen[other]


def test_another_seed_gives_other_vectors() -> None:
    source = Factorization(size=4, epochs=2)
    one, two = (source.fit(two_blocks(), Job(seed=seed)).choosers for seed in (1, 2))
    assert not np.array_equal(one, two)
