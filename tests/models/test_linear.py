"""The linear family: known solutions, its bases, and splits of an answer that add up."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression, Ridge

from promise.data.answer import Class, Number
from promise.data.columns import Columns
from promise.job import Job
from promise.kernels.linear import contributions_linear, fit_linear, margins_linear, predict_linear
from promise.models.base import MATRIX, Estimator, Explainable
from promise.models.conformance import EstimatorConformance, examples
from promise.models.linear import Linear


class TestLinearConformance(EstimatorConformance):
    """The shared suite, without a basis."""

    def make(self) -> Estimator:
        """Return the default."""
        return Linear()


class TestQuadraticConformance(EstimatorConformance):
    """The shared suite, with products."""

    def make(self) -> Estimator:
        """Return products of pairs."""
        return Linear(basis="quadratic")


class TestFourierConformance(EstimatorConformance):
    """The shared suite, with waves."""

    def make(self) -> Estimator:
        """Return few waves."""
        return Linear(basis="rbf", components=60)


def _table(n: int, d: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d)).astype(np.float32)
    return x, x @ rng.normal(size=d) + rng.normal(size=n)


@pytest.mark.parametrize(("n", "d"), [(200, 5), (40, 90)])
def test_ridge_equals_scikit_learn(n: int, d: int) -> None:
    """Tall tables take the normal equations, wide ones the dual; both give the one solution."""
    x, y = _table(n, d)
    z = (x - x.mean(axis=0, dtype=np.float64)) / x.std(axis=0, dtype=np.float64)
    weight = np.random.default_rng(1).uniform(0.5, 2.0, n)
    weight *= n / weight.sum()
    model = fit_linear(x, y, 0, {"alpha": 3.0})
    twin = Ridge(alpha=3.0).fit(z, y)
    assert np.allclose(predict_linear(model, x), twin.predict(z), atol=1e-5)
    heavy = fit_linear(x, y, 0, {"alpha": 3.0}, weight=weight)
    # The scales are weighted too, so compare on the same ones.
    z = (x - heavy["mean"]) / heavy["scale"]
    twin = Ridge(alpha=3.0).fit(z, y, sample_weight=weight)
    assert np.allclose(predict_linear(heavy, x), twin.predict(z), atol=1e-5)


def test_leave_one_out_finds_the_penalty() -> None:
    """Noise asks for a large penalty, a clean signal for a small one."""
    x, _ = _table(300, 40)
    clean = x @ np.arange(40.0)
    noise = np.random.default_rng(2).normal(size=300)
    assert fit_linear(x, clean, 0, {})["alpha"] < 0.1
    assert fit_linear(x, noise, 0, {})["alpha"] >= 300


@pytest.mark.parametrize("n_classes", [2, 4])
def test_logistic_equals_scikit_learn(n_classes: int) -> None:
    """The own loss and gradient lead to the same minimum."""
    x, y = _table(400, 6)
    codes = np.searchsorted(np.quantile(y, np.linspace(0, 1, n_classes + 1)[1:-1]), y)
    model = fit_linear(x, codes, n_classes, {"c": 0.5})
    z = (x - model["mean"]) / model["scale"]
    twin = LogisticRegression(C=0.5, tol=1e-8, max_iter=1000).fit(z, codes)
    assert np.allclose(predict_linear(model, x), twin.predict_proba(z), atol=5e-3)


def test_bases_bend() -> None:
    """A ring is out of reach for a plane, and easy on both bases."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(800, 4)).astype(np.float32)
    inside = ((x**2).sum(axis=1) < 3.3).astype(np.int64)

    def hits(basis: str) -> float:
        model = fit_linear(x[:600], inside[:600], 2, {"basis": basis, "components": 300})
        return float((predict_linear(model, x[600:]).argmax(axis=1) == inside[600:]).mean())

    assert hits("none") < 0.7
    assert hits("quadratic") > 0.93
    assert hits("rbf") > 0.85


@settings(max_examples=20, deadline=None)
@given(
    basis=st.sampled_from(["none", "quadratic", "rbf"]),
    n_classes=st.sampled_from([0, 2, 3]),
    seed=st.integers(0, 100),
)
def test_contributions_add_up(basis: str, n_classes: int, seed: int) -> None:
    """The parts and the base sum to the margin."""
    x, y = _table(60, 3, seed)
    target = y if n_classes == 0 else np.argsort(np.argsort(y)) * n_classes // 60
    params = {"basis": basis, "components": 20, "alpha": 1.0, "c": 1.0}
    model = fit_linear(x, target, n_classes, params)
    parts = contributions_linear(model, x)
    assert np.allclose(parts.sum(axis=2), margins_linear(model, x), atol=1e-8)


def test_contributions_are_exact_without_a_basis() -> None:
    """Coefficient times distance from the mean."""
    train = examples(Number(), 100)
    fitted = Linear(alpha=1.0).fit(train, None, Job())
    assert isinstance(fitted, Explainable)
    parts = fitted.contributions(train.columns)
    z = (train.matrix - fitted.model["mean"]) / fitted.model["scale"]
    assert parts.shape == (100, 7)
    assert np.allclose(parts[:, :-1], z * fitted.model["coef"][0])
    three = examples(Class(("a", "b", "c")), 100)
    assert Linear(c=1.0).fit(three, None, Job()).contributions(three.columns).shape == (100, 3, 7)


def test_wide_and_constant_columns() -> None:
    """Ten thousand columns, most of them constant, cost seconds at most."""
    x = np.zeros((50, 10_000), dtype=np.float32)
    x[:, 3] = np.linspace(-1, 1, 50)
    model = fit_linear(x, 2.0 * x[:, 3], 0, {"alpha": 1e-3})
    assert np.allclose(predict_linear(model, x), 2.0 * x[:, 3], atol=1e-3)
    assert np.isfinite(predict_linear(model, x + np.float32(5))).all()
    assert Linear().fit(examples(Number(), 60), None, Job()).predict(
        Columns({MATRIX: np.zeros((0, 6), dtype=np.float32)})
    ).shape == (0,)
