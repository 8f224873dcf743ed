"""Trees and forests: the same answers as scikit-learn's, from arrays."""

import time

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesRegressor, RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from promise.data.answer import Number
from promise.job import Job
from promise.kernels.random_forest import fit_random_forest, predict_random_forest
from promise.kernels.tree_arrays import load_trees, pack_trees, predict_trees, save_trees
from promise.models.base import Estimator
from promise.models.conformance import EstimatorConformance, examples
from promise.models.trees import DecisionTree, Forest


class TestDecisionTreeConformance(EstimatorConformance):
    """The shared suite."""

    def make(self) -> Estimator:
        """Return the default."""
        return DecisionTree()


class TestForestConformance(EstimatorConformance):
    """The shared suite, bootstrapped rows."""

    def make(self) -> Estimator:
        """Return a small forest."""
        return Forest(n_trees=20)


class TestExtraTreesConformance(EstimatorConformance):
    """The shared suite, random cuts."""

    def make(self) -> Estimator:
        """Return a small forest."""
        return Forest(variant="extra", n_trees=20)


def _table(n: int, d: int, *, holes: bool, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    # Few distinct values: thresholds fall on halves, and ties are common.
    x = np.round(rng.normal(size=(n, d)), 1).astype(np.float32)
    y = x[:, 0] * x[:, 1] + np.sin(3 * x[:, 2]) + 0.2 * rng.normal(size=n)
    if holes:
        x[rng.random(x.shape) < 0.15] = np.nan
    return x, y


@pytest.mark.parametrize("holes", [False, True])
@pytest.mark.parametrize("min_leaf", [1, 7])
def test_one_tree_equals_scikit_learn(holes: bool, min_leaf: int) -> None:
    """Every row lands in the same leaf, missing values included, those never seen too."""
    x, y = _table(500, 5, holes=holes)
    new, _ = _table(2_000, 5, holes=True, seed=1)
    grown = DecisionTreeRegressor(min_samples_leaf=min_leaf, random_state=0).fit(x, y)
    model = pack_trees([grown.tree_], np.zeros(0, int), 0)
    twin = grown.tree_.predict(np.ascontiguousarray(new))[:, 0]
    assert np.array_equal(predict_trees(model, new), twin.astype(np.float32).astype(float))
    codes = np.searchsorted(np.quantile(y, [0.3, 0.6]), y) * 2
    sorter = DecisionTreeClassifier(min_samples_leaf=min_leaf, random_state=0).fit(x, codes)
    model = pack_trees([sorter.tree_], sorter.classes_, 5)
    shares = predict_trees(model, new)
    assert np.allclose(shares[:, [0, 2, 4]], sorter.tree_.predict(new), atol=1e-6)
    assert (shares[:, [1, 3]] == 0).all()


def test_thresholds_in_float32_decide_alike() -> None:
    """Neighbouring floats on both sides of a cut go to their sides."""
    rng = np.random.default_rng(0)
    low = rng.normal(size=300).astype(np.float32)
    x = np.concatenate([low, np.nextafter(low, np.float32(np.inf))])[:, None]
    y = np.repeat([0.0, 1.0], 300) + rng.normal(size=600)
    grown = DecisionTreeRegressor().fit(x, y)
    model = pack_trees([grown.tree_], np.zeros(0, int), 0)
    assert np.allclose(predict_trees(model, x), grown.predict(x), atol=1e-6)


def test_forests_equal_scikit_learn() -> None:
    """The mean over many trees, walked block by block, is scikit-learn's."""
    x, y = _table(400, 6, holes=True)
    new, _ = _table(3_000, 6, holes=True, seed=1)
    grown = ExtraTreesRegressor(40, random_state=0).fit(x, y)
    model = pack_trees([tree.tree_ for tree in grown.estimators_], np.zeros(0, int), 0)
    assert np.allclose(predict_trees(model, new), grown.predict(new), atol=1e-6)
    codes = (y > 0).astype(int)
    sorter = RandomForestClassifier(40, random_state=0).fit(x, codes)
    model = pack_trees([tree.tree_ for tree in sorter.estimators_], np.array([0, 1]), 2)
    assert np.allclose(predict_trees(model, new), sorter.predict_proba(new), atol=1e-6)


def test_first_trees_are_always_the_same() -> None:
    """More trees or threads add to a forest and change nothing in it."""
    x, y = _table(200, 4, holes=False)
    few = fit_random_forest(x, y, 0, {"n_trees": 11})
    many = fit_random_forest(x, y, 0, {"n_trees": 20}, threads=2)
    last = int(many["roots"][11])
    assert np.array_equal(few["threshold"], many["threshold"][:last])
    assert np.array_equal(few["values"], many["values"][: len(few["values"])])


def test_a_deadline_ends_the_forest_early() -> None:
    """The trees that were grown answer."""
    train = examples(Number(), 200)
    forest = Forest(n_trees=100_000)
    fitted = forest.fit(train, None, Job(deadline_s=time.monotonic() + 0.2))
    assert 1 <= fitted.rounds < 100_000
    assert forest.at_rounds(fitted.rounds).n_trees == fitted.rounds


def test_saved_forest_is_small(tmp_path) -> None:
    """On disk a node costs a few bytes, and nothing is lost."""
    x, y = _table(2_000, 6, holes=False)
    model = fit_random_forest(x, y, 0, {"n_trees": 20})
    save_trees(model, tmp_path)
    size = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert size < 12 * len(model["left"])
    assert np.array_equal(predict_random_forest(load_trees(tmp_path), x), predict_trees(model, x))
