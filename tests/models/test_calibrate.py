"""Platt scaling on log-odds, two scales of blending, contributions that add up."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promise.data.answer import Class
from promise.data.columns import Columns
from promise.errors import ConfigError, DataError
from promise.job import Job
from promise.kernels.calibrating import log_odds
from promise.kernels.dense import sigmoid
from promise.models.base import MATRIX
from promise.models.baseline import Baseline
from promise.models.blend import Member, matrix_column
from promise.models.boosting import LightGBM, XGBoost
from promise.models.calibrate import Calibrated, Platt
from promise.models.conformance import examples
from promise.models.linear import Linear

ANSWER = Class(("no", "yes"))


def _columns(matrix: np.ndarray) -> Columns:
    return Columns({matrix_column("a"): matrix, matrix_column("b"): matrix[:, ::-1].copy()})


@pytest.fixture(scope="module")
def members() -> tuple[Member, ...]:
    """Return two small models that read different views."""
    train = examples(ANSWER, 300)
    turned = examples(ANSWER, 300)
    reversed_ = Columns({MATRIX: turned.matrix[:, ::-1].copy()})
    other = type(turned)(reversed_, turned.y, ANSWER, names=turned.names)
    return (
        Member("a", 0.6, XGBoost(rounds=20, early_stopping=0).fit(train, None, Job())),
        Member("b", 0.4, LightGBM(rounds=20, early_stopping=0).fit(other, None, Job())),
    )


@pytest.mark.slow
@settings(max_examples=8, deadline=None)
@given(st.floats(0.3, 3.0), st.floats(-3.0, 3.0), st.integers(0, 1000))
def test_platt_finds_the_line_back(slope: float, offset: float, seed: int) -> None:
    """Scores bent away from the truth along a line are bent back along the same line."""
    rng = np.random.default_rng(seed)
    true = rng.normal(0.0, 2.0, 20_000)
    y = (rng.random(20_000) < sigmoid(true)).astype(np.int64)
    found = Platt.fit((true - offset) / slope, y)
    assert found.slope == pytest.approx(slope, rel=0.1)
    assert found.offset == pytest.approx(offset, abs=0.15 + 0.1 * abs(offset))


def test_platt_repairs_an_oversampled_prevalence() -> None:
    """Odds learned at 1:1 mean nothing at one in fifty, until a real block moves them."""
    rng = np.random.default_rng(1)
    true = rng.normal(-5.0, 1.5, 30_000)
    y = (rng.random(30_000) < sigmoid(true)).astype(np.int64)
    shifted = true + 4.0
    moved = sigmoid(Platt.fit(shifted[:15_000], y[:15_000]).apply(shifted[15_000:]))
    assert abs(sigmoid(shifted).mean() - y.mean()) > 0.2
    assert moved.mean() == pytest.approx(y[15_000:].mean(), abs=0.003)
    assert np.abs(moved - sigmoid(true[15_000:])).mean() < 0.003


def test_logits_are_a_weighted_sum(members: tuple[Member, ...]) -> None:
    """z = 0.6 z1 + 0.4 z2, and probabilities are averaged where that is asked for."""
    columns = _columns(examples(ANSWER, 50, seed=4).matrix)
    parts = [m.fitted.predict(Columns({MATRIX: columns[matrix_column(m.view)]})) for m in members]
    expected = 0.6 * log_odds(parts[0]) + 0.4 * log_odds(parts[1])
    assert np.array_equal(Calibrated(members).margins(columns), expected)
    mean = Calibrated(members, "probability").many(columns)
    assert np.allclose(mean, 0.6 * parts[0] + 0.4 * parts[1], atol=1e-7)


def test_contributions_add_up_to_the_calibrated_logit(members: tuple[Member, ...]) -> None:
    """Every view's columns and bases together are the log-odds of the answer."""
    test = examples(ANSWER, 400, seed=4)
    columns = _columns(test.matrix)
    blend = Calibrated(members).calibrated(columns, test.y)
    assert blend.platt != Platt()
    parts = blend.contributions(columns)
    assert set(parts) == {"a", "b"}
    total = sum(part.sum(axis=1) for part in parts.values())
    assert np.allclose(total, log_odds(blend.many(columns)), atol=1e-4)
    assert blend.explained == 1.0


def test_members_without_contributions_are_named_not_guessed(members: tuple[Member, ...]) -> None:
    """A blend with a member that cannot be explained says how much of it is."""
    silent = Baseline().fit(examples(ANSWER, 50), None, Job())
    blend = Calibrated((members[0], Member("b", 0.4, silent)))
    columns = _columns(examples(ANSWER, 20, seed=4).matrix)
    assert blend.explained == pytest.approx(0.6)
    assert set(blend.contributions(columns)) == {"a"}
    with pytest.raises(ConfigError, match="logit"):
        Calibrated(members, "probability").contributions(columns)


def test_one_row_equals_many(members: tuple[Member, ...]) -> None:
    """A row's score does not depend on its neighbours, to the last bit."""
    columns = _columns(examples(ANSWER, 60, seed=4).matrix)
    for scale in ("logit", "probability"):
        blend = Calibrated(members, scale, Platt(1.3, -0.4))
        whole = blend.many(columns)
        alone = [blend.many(columns.take(np.array([row]))) for row in range(60)]
        assert np.array_equal(np.concatenate(alone), whole)
        assert np.allclose(whole.sum(axis=1), 1.0)


def test_saved_equals_fitted(members: tuple[Member, ...], tmp_path: Path) -> None:
    """What is loaded answers like what was saved, to the last bit."""
    blend = Calibrated(members, "logit", Platt(1.25, -0.1))
    blend.save(tmp_path)
    loaded = Calibrated.load(tmp_path)
    columns = _columns(examples(ANSWER, 60, seed=4).matrix)
    assert loaded.platt == blend.platt
    assert np.array_equal(loaded.many(columns), blend.many(columns))


def test_refuses_what_it_cannot_join(members: tuple[Member, ...]) -> None:
    """Weights, scale, classes and empty blocks are checked in words."""
    with pytest.raises(ConfigError, match=r"sum to 0\.6"):
        Calibrated(members[:1])
    with pytest.raises(ConfigError, match="no scale 'odds'"):
        Calibrated(members, "odds")
    many = Linear().fit(examples(Class(("a", "b", "c")), 90), None, Job())
    columns = _columns(examples(ANSWER, 20).matrix)
    with pytest.raises(ConfigError, match=r"linear answers with shape \(20, 3\)"):
        Calibrated((Member("a", 1.0, many),)).many(columns)
    with pytest.raises(DataError, match="2 positive of 100"):
        Platt.fit(np.zeros(100), np.arange(100) < 2)
