"""SMOTE: made-up rows lie between real neighbours, real rows stay, validation rows stay real."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promise.data.answer import Class, Number
from promise.data.columns import Columns
from promise.errors import ConfigError, DataError
from promise.job import Job
from promise.models.base import MATRIX, Examples
from promise.models.baseline import Baseline
from promise.models.smote import Smote, fit_grown, most_common, nearest

TWO = Class(("good", "fraud"))


def _rare(n: int = 200, rare: int = 20, seed: int = 0, categorical: bool = True) -> Examples:
    rng = np.random.default_rng(seed)
    y = (np.arange(n) < rare).astype(np.int64)
    matrix = rng.normal(size=(n, 4)).astype(np.float32)
    matrix[:, 3] = rng.integers(0, 3, n)
    matrix[rng.random(n) < 0.1, 1] = np.nan
    return Examples(
        Columns({MATRIX: matrix}), y, TWO, rows=np.arange(n) + 1000,
        weight=np.linspace(1, 2, n), categorical=(3,) if categorical else (),
    )  # fmt: skip


def _slow_nearest(matrix: np.ndarray, categorical: tuple[int, ...], k: int) -> np.ndarray:
    """Measure every pair, one after the other: the readable twin."""
    numbers = [c for c in range(matrix.shape[1]) if c not in categorical]
    mean = np.nanmean(matrix[:, numbers].astype(np.float64), axis=0)
    spread = np.nanstd(matrix[:, numbers].astype(np.float64), axis=0)
    z = np.nan_to_num((matrix[:, numbers] - mean) / np.where(spread > 1e-9, spread, 1.0))
    found = []
    for a in range(len(matrix)):
        far = []
        for b in range(len(matrix)):
            differ = sum(
                not (matrix[a, c] == matrix[b, c] or np.isnan([matrix[a, c], matrix[b, c]]).all())
                for c in categorical
            )
            far.append((round(float(((z[a] - z[b]) ** 2).sum()) + differ, 9), b))
        found.append([b for _, b in sorted(far) if b != a][:k])
    return np.array(found)


@settings(max_examples=15, deadline=None)
@given(st.integers(8, 25), st.integers(1, 6), st.integers(0, 10_000))
def test_neighbours_equal_the_slow_twin(m: int, k: int, seed: int) -> None:
    """Numbers standardised, missing ones as the mean, categories by equality."""
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(m, 3)).astype(np.float32)
    matrix[:, 2] = rng.choice([0.0, 1.0, np.nan], m)
    matrix[0, 0] = np.nan
    assert np.array_equal(nearest(matrix, (2,), k), _slow_nearest(matrix, (2,), k))


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.floats(0.05, 1.0), st.integers(1, 8), st.integers(0, 1000))
def test_made_up_rows_lie_between_real_ones(rare: int, ratio: float, k: int, seed: int) -> None:
    """Real rows come first and unchanged; others are between two of their class; counts fit."""
    train = _rare(rare=rare, seed=seed)
    grown = Smote(ratio, k).grown(train, Job(seed=seed))
    n = train.n_rows
    assert np.array_equal(grown.matrix[:n], train.matrix, equal_nan=True)
    assert np.array_equal(grown.y[:n], train.y)
    assert (grown.y == 1).sum() == max(rare, round(ratio * (n - rare)))
    assert (grown.y[n:] == 1).all()
    real, made = train.matrix[:rare], grown.matrix[n:]
    for column in range(3):
        known, seen = np.isfinite(real[:, column]), np.isfinite(made[:, column])
        if not known.any():
            assert not seen.any()
            continue
        low, high = real[known, column].min(), real[known, column].max()
        assert np.all((made[seen, column] >= low - 1e-5) & (made[seen, column] <= high + 1e-5))
    assert set(made[:, 3]) <= set(real[:, 3])
    assert set(grown.rows[n:]) <= set(train.rows[:rare])
    assert np.array_equal(grown.weight[n:], train.weight[grown.rows[n:] - 1000])


def test_made_up_rows_are_on_the_line_to_a_neighbour() -> None:
    """Each is base + share × (partner - base), for one of the base's nearest rows."""
    train = _rare(categorical=False)
    train.matrix[:, :] = np.nan_to_num(train.matrix)
    grown = Smote(0.5, 3).grown(train, Job())
    near = nearest(train.matrix[:20], (), 3)
    for row, source in zip(grown.matrix[200:], grown.rows[200:] - 1000, strict=True):
        offs = []
        for partner in near[source]:
            step = train.matrix[partner] - train.matrix[source]
            share = float((row - train.matrix[source]) @ step / (step @ step))
            offs.append(float(np.abs(train.matrix[source] + share * step - row).max()))
            assert -1e-4 <= share <= 1 + 1e-4 or offs[-1] > 1e-4
        assert min(offs) < 1e-4


def test_the_same_job_makes_the_same_rows() -> None:
    """Chance comes from the job's seed alone."""
    train = _rare()
    first, again, other = (Smote().grown(train, Job(seed=s)).matrix for s in (3, 3, 4))
    assert np.array_equal(first, again, equal_nan=True)
    assert not np.array_equal(first, other, equal_nan=True)


def test_a_large_class_is_searched_in_a_pool() -> None:
    """Beyond the pool, bases are a sample; all made-up rows still descend from real ones."""
    train = _rare(n=400, rare=100)
    grown = Smote(1.0, 5, pool=30).grown(train, Job())
    assert len(set(grown.rows[400:])) == 30
    assert (grown.y == 1).sum() == 300


def test_one_rare_row_is_repeated() -> None:
    """Without a neighbour there is nothing between."""
    train = _rare(rare=1)
    grown = Smote(0.1).grown(train, Job())
    assert np.array_equal(grown.matrix[200:], np.repeat(train.matrix[:1], 19, 0), equal_nan=True)


def test_categories_follow_the_neighbours() -> None:
    """The majority decides, a row's own category among equals, missing is a category."""
    codes = np.array([0.0, 1.0, 2.0, np.nan, np.nan])
    near = np.array([[1, 2, 0], [3, 4, 0], [0, 1, 3], [0, 0, 1], [4, 3, 1]])
    # Row 2: all others once each, its own never; the smallest wins.
    assert np.array_equal(most_common(codes, near), [0.0, np.nan, 0.0, 0.0, np.nan], equal_nan=True)


def test_validation_rows_stay_real() -> None:
    """The estimator sees grown training rows and the validation rows as they are."""
    seen = {}

    class Spy(Baseline):
        def fit(self, train, valid, job):
            seen.update(train=train, valid=valid)
            return super().fit(train, valid, job)

    train, valid = _rare(), _rare(seed=1)
    fitted = fit_grown(Spy(), Smote(), train, valid, Job())
    assert fitted.predict(valid.columns)[0, 1] == pytest.approx(0.5, abs=0.2)
    assert seen["valid"] is valid
    assert seen["train"].n_rows == 360


def test_refuses_what_it_cannot_grow() -> None:
    """Numbers, ordered rows, one class and odd settings are refused in words."""
    train = _rare()
    matrix = train.columns
    with pytest.raises(ConfigError, match="neither numbers"):
        Smote().grown(Examples(matrix, train.y.astype(float), Number()), Job())
    order = np.zeros((200, 2), dtype=np.int64)
    with pytest.raises(ConfigError, match="order"):
        Smote().grown(Examples(matrix, train.y, TWO, order=order), Job())
    with pytest.raises(DataError, match="only one"):
        Smote().grown(Examples(matrix, np.zeros(200, dtype=np.int64), TWO), Job())
    with pytest.raises(ConfigError, match=r"ratio=1\.5"):
        Smote(ratio=1.5)
    balanced = Examples(matrix, (np.arange(200) % 2).astype(np.int64), TWO)
    assert Smote().grown(balanced, Job()) is balanced
