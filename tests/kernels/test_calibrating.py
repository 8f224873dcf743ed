"""Calibration finds the known distortion; multipliers move only where it clearly pays."""

import numpy as np
import pytest

from promise.kernels.calibrating import (
    apply_platt,
    apply_temperature,
    fit_multipliers,
    fit_platt,
    fit_temperature,
)
from promise.kernels.dense import sigmoid, softmax
from promise.kernels.scores import score


def _classes(n: int, prior: list[float], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return true probabilities around a prior, and labels drawn from them."""
    rng = np.random.default_rng(seed)
    truth = softmax(np.log(prior) + 1.5 * rng.normal(size=(n, len(prior))))
    y = (truth.cumsum(axis=1) < rng.random(n)[:, None]).sum(axis=1)
    return truth, np.minimum(y, len(prior) - 1)


@pytest.mark.parametrize("distortion", [0.4, 1.0, 2.5])
def test_temperature_undoes_a_distortion(distortion: float) -> None:
    """What was sharpened is softened by the same factor, and the other way round."""
    truth, y = _classes(5_000, [0.2, 0.3, 0.5])
    t = fit_temperature(apply_temperature(truth, distortion), y)
    assert t == pytest.approx(1 / distortion, rel=0.1)
    restored = apply_temperature(apply_temperature(truth, distortion), t)
    assert np.allclose(restored.sum(axis=1), 1)
    assert np.array_equal(restored.argmax(axis=1), truth.argmax(axis=1))


def test_temperature_of_certain_answers() -> None:
    """Zeros and ones stay finite; a handful of rows moves little."""
    p = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    t = fit_temperature(p, np.array([0, 1, 1]))
    assert 1.0 <= t <= 10.0
    assert np.isfinite(apply_temperature(p, t)).all()
    assert 0.5 < fit_temperature(np.full((3, 2), 0.5), np.array([0, 1, 1])) < 2.0


def test_platt_finds_the_line() -> None:
    """Shifted and stretched log-odds come back."""
    rng = np.random.default_rng(1)
    odds = rng.normal(size=8_000)
    y = (rng.random(8_000) < sigmoid(2.0 * odds - 1.0)).astype(int)
    told = sigmoid(odds)
    p = np.stack([1 - told, told], axis=1)
    slope, offset = fit_platt(p, y)
    assert slope == pytest.approx(2.0, abs=0.15)
    assert offset == pytest.approx(-1.0, abs=0.1)
    assert np.allclose(apply_platt(p, slope, offset).sum(axis=1), 1)


@pytest.mark.parametrize("prior", [[0.9, 0.1], [0.7, 0.2, 0.1]])
def test_multipliers_help_a_metric_that_counts_classes_alike(prior: list[float]) -> None:
    """True probabilities decide poorly by balanced accuracy; multipliers mend it on new rows."""
    truth, y = _classes(4_000, prior)
    new, new_y = _classes(4_000, prior, seed=1)
    multipliers = fit_multipliers(truth, y, "balanced_accuracy")
    before = score("balanced_accuracy", new_y, new)
    assert score("balanced_accuracy", new_y, new, multipliers) > before + 0.05
    assert multipliers.argmax() == np.argmin(prior)


@pytest.mark.slow
@pytest.mark.parametrize("n", [20, 200, 4_000])
def test_multipliers_stay_one_without_a_clear_gain(n: int) -> None:
    """True probabilities already decide best by accuracy, whatever the noise suggests."""
    moved = 0
    for seed in range(5):
        truth, y = _classes(n, [0.4, 0.6], seed)
        new, new_y = _classes(4_000, [0.4, 0.6], seed + 50)
        multipliers = fit_multipliers(truth, y, "accuracy")
        moved += bool((multipliers != 1).any())
        assert score("accuracy", new_y, new, multipliers) > score("accuracy", new_y, new) - 0.03
    assert moved <= 2


def test_many_classes_and_one_class() -> None:
    """Neither breaks the search."""
    truth, y = _classes(600, [1 / 30] * 30)
    assert fit_multipliers(truth, y, "f1_macro").shape == (30,)
    assert (fit_multipliers(truth, np.zeros(600, int), "accuracy") == 1).all()
