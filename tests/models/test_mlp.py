"""The perceptrons: gradients against differences, and problems that a plane cannot solve."""

import numpy as np
import pytest

from promise.data.answer import Number
from promise.job import Job
from promise.kernels.dense import softmax, squash
from promise.kernels.mlp import (
    fit_mlp,
    gradients_mlp,
    learned,
    predict_mlp,
    start_mlp,
    targets_mlp,
)
from promise.models.base import Estimator
from promise.models.conformance import EstimatorConformance, examples
from promise.models.mlp import Perceptron


class TestPerceptronConformance(EstimatorConformance):
    """The shared suite."""

    def make(self) -> Estimator:
        """Return a small network that learns quickly."""
        return Perceptron(width=24, members=2, epochs=15, learning_rate=0.01)


@pytest.mark.parametrize("n_classes", [0, 3])
def test_gradients_equal_differences(n_classes: int) -> None:
    """Backpropagation agrees with central differences of the loss, in float64."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(10, 4))
    y = rng.integers(0, 3, 10) if n_classes else rng.normal(size=10)
    params = {"members": 2, "width": 5, "depth": 2}
    model = start_mlp(x, y, n_classes, params, None, rng)
    model = {k: v.astype(float) if isinstance(v, np.ndarray) else v for k, v in model.items()}
    z = np.stack([squash(x, model["mean"], model["scale"])] * 2).astype(float)
    goal = np.stack([targets_mlp(model, y)] * 2)
    weight = rng.uniform(0.5, 2.0, size=(2, 10))
    if n_classes == 0:
        goal = goal.astype(float)

    def loss() -> float:
        h = z
        for i in range(3):
            h = h @ model[f"weight_{i}"].transpose(0, 2, 1) + model[f"bias_{i}"]
            h = np.maximum(h, 0) if i < 2 else h
        if n_classes:
            picked = np.take_along_axis(softmax(h), goal[:, :, None], axis=2)[:, :, 0]
            return float((-np.log(picked) * weight).sum() / 10)
        return float((0.5 * (h[:, :, 0] - goal) ** 2 * weight).sum() / 10)

    gradients = gradients_mlp(model, z, goal, weight, 0.0, rng)
    for name, value in learned(model).items():
        for place in list(np.ndindex(value.shape))[::7]:
            kept = value[place]
            value[place] = kept + 1e-6
            above = loss()
            value[place] = kept - 1e-6
            below = loss()
            value[place] = kept
            assert gradients[name][place] == pytest.approx((above - below) / 2e-6, abs=1e-6)


def test_learns_a_product() -> None:
    """A plane sees nothing in the sign of a product; the networks see nearly all."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(1_500, 2)).astype(np.float32)
    y = (x[:, 0] * x[:, 1] > 0).astype(np.int64)
    params = {"width": 32, "members": 2, "epochs": 20, "learning_rate": 0.01}
    model = fit_mlp(x[:1_000], y[:1_000], 2, params)
    assert (predict_mlp(model, x[1_000:]).argmax(axis=1) == y[1_000:]).mean() > 0.95


def test_numbers_stay_within_those_seen() -> None:
    """Far outside of what was learned, the answer does not run away."""
    train = examples(Number(), 200)
    fitted = Perceptron(width=16, members=1, epochs=5).fit(train, None, Job())
    output = predict_mlp(fitted.model, train.matrix * np.float32(1e6))
    assert output.min() >= train.y.min()
    assert output.max() <= train.y.max()


def test_a_repeated_training_follows_the_same_path() -> None:
    """Stopping at the recorded epoch gives the weights that early stopping kept."""
    train, valid = examples(Number(), 150), examples(Number(), 80, seed=2)
    config = Perceptron(width=16, members=2, epochs=12, learning_rate=0.02)
    stopped = config.fit(train, valid, Job())
    again = config.at_rounds(stopped.rounds).fit(train, None, Job())
    assert np.array_equal(stopped.predict(train.columns), again.predict(train.columns))
