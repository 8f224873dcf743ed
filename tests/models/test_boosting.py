"""XGBoost and LightGBM under Promise's spelling."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from promise.data.answer import Class, Number
from promise.data.columns import Columns
from promise.errors import DataError
from promise.job import Job
from promise.models.base import MATRIX, Examples
from promise.models.boosting import LightGBM, XGBoost
from promise.models.conformance import EstimatorConformance, examples

JOB = Job(seed=3)
SMALL = [XGBoost(rounds=40, max_depth=3), LightGBM(rounds=40, leaves=8, min_leaf=5)]


class TestXGBoost(EstimatorConformance):
    def make(self) -> XGBoost:
        return XGBoost(rounds=25, early_stopping=5, max_depth=3, subsample=0.8, column_sample=0.8)


class TestLightGBM(EstimatorConformance):
    def make(self) -> LightGBM:
        return LightGBM(
            rounds=40, early_stopping=5, leaves=6, min_leaf=5, subsample=0.8, learning_rate=0.1
        )


class TestLightGBMLinearLeaves(EstimatorConformance):
    def make(self) -> LightGBM:
        return LightGBM(rounds=20, leaves=4, linear_leaves=True, l2=1.0)


def matrix_of(examples_: Examples) -> Columns:
    return Columns({MATRIX: examples_.matrix})


@pytest.mark.parametrize("estimator", SMALL)
def test_early_stopping_keeps_the_best_rounds_only(estimator: Any) -> None:
    rng = np.random.default_rng(1)
    noise = rng.normal(size=(300, 6)).astype(np.float32)
    labels = rng.integers(0, 2, 300)
    train = Examples(Columns({MATRIX: noise[:200]}), labels[:200], Class(("a", "b")))
    valid = Examples(Columns({MATRIX: noise[200:]}), labels[200:], Class(("a", "b")))
    fitted = replace(estimator, early_stopping=5, rounds=300).fit(train, valid, JOB)
    assert fitted.rounds < 20
    # Pure noise: keeping the first rounds must equal learning only those.
    fixed = estimator.at_rounds(fitted.rounds).fit(train, None, JOB)
    assert np.array_equal(fixed.predict(matrix_of(valid)), fitted.predict(matrix_of(valid)))


@pytest.mark.slow
@pytest.mark.parametrize("estimator", SMALL)
def test_thread_count_does_not_change_the_model(estimator: Any) -> None:
    train = examples(Class(("a", "b", "c")), 3000)
    one, two = (
        estimator.fit(train, None, Job(seed=3, threads=threads)).predict(train.columns)
        for threads in (1, 2)
    )
    assert np.array_equal(one, two)


@pytest.mark.parametrize("estimator", SMALL)
def test_a_large_offset_keeps_its_digits(estimator: Any) -> None:
    train = examples(Number(), 500)
    plain = estimator.fit(train, None, JOB).predict(train.columns)
    moved = replace(train, y=train.y * 10 + 1e9)
    far = estimator.fit(moved, None, JOB).predict(train.columns)
    assert np.allclose((far - 1e9) / 10, plain, atol=0.05)


@pytest.mark.parametrize("estimator", SMALL)
@pytest.mark.parametrize("native", [True, False])
def test_category_codes_are_learned_and_unseen_ones_answered(estimator: Any, native: bool) -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=(1200, 3)).astype(np.float32)
    x[:, 1] = rng.integers(0, 12, 1200)
    effect = rng.permutation(12).astype(float)
    train = Examples(Columns({MATRIX: x}), effect[x[:, 1].astype(int)], Number(), categorical=(1,))
    made = replace(estimator, native_categories=native, rounds=150)
    fitted = made.fit(train, None, JOB)
    assert np.abs(fitted.predict(train.columns) - train.y).mean() < 0.3
    strange = np.array([[0, 99, 0], [0, np.nan, 0]], dtype=np.float32)
    assert np.isfinite(fitted.predict(Columns({MATRIX: strange}))).all()


@pytest.mark.parametrize("estimator", SMALL)
def test_contributions_add_up_to_the_margin(estimator: Any) -> None:
    for answer in (Number(), Class(("a", "b")), Class(("a", "b", "c"))):
        train = examples(answer, 300)
        fitted = estimator.fit(train, None, JOB)
        parts, output = fitted.contributions(train.columns), fitted.predict(train.columns)
        margin = parts.sum(axis=-1)
        if isinstance(answer, Number):
            assert parts.shape == (300, 7)
            assert np.allclose(margin, output, atol=1e-3)
        elif answer.n_classes == 2:
            assert np.allclose(1 / (1 + np.exp(-margin)), output[:, 1], atol=1e-4)
        else:
            assert parts.shape == (300, 3, 7)
            odds = np.exp(margin)
            assert np.allclose(odds / odds.sum(axis=1, keepdims=True), output, atol=1e-4)
        # The column that matters most gets the largest share.
        shares = np.abs(parts).reshape(-1, 7).mean(axis=0)[:6]
        assert shares.argmax() == 0


@pytest.mark.parametrize("estimator", SMALL)
def test_too_many_classes_are_refused_with_a_way_out(estimator: Any) -> None:
    many = Class(tuple(map(str, range(10_000))))
    train = replace(examples(Class(("a", "b")), 50), answer=many)
    with pytest.raises(DataError, match="10,000 classes"):
        estimator.fit(train, None, JOB)


@pytest.mark.slow
@pytest.mark.parametrize("estimator", SMALL)
def test_the_deadline_stops_learning_and_keeps_what_there_is(estimator: Any) -> None:
    train = examples(Number(), 2000)
    job = Job(seed=3, deadline_s=time.monotonic() + 0.3)
    fitted = replace(estimator, rounds=1_000_000, learning_rate=0.001).fit(train, None, job)
    assert 0 < fitted.rounds < 1_000_000


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["absolute", "huber"])
@pytest.mark.parametrize("estimator", SMALL)
def test_robust_losses_shrug_off_outliers(estimator: Any, loss: str) -> None:
    train = examples(Number(), 600)
    spoiled = train.y.copy()
    spoiled[::20] += 500.0
    dirty = replace(train, y=spoiled)
    slow = replace(estimator, rounds=100)
    robust = replace(slow, loss=loss).fit(dirty, None, JOB).predict(train.columns)
    plain = slow.fit(dirty, None, JOB).predict(train.columns)
    assert np.abs(robust - train.y).mean() < np.abs(plain - train.y).mean()
