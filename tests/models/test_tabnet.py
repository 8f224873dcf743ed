"""TabNet: the shared suite, NumPy against PyTorch, sparse masks, ghost batches, early stopping."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from promise.data.answer import Class
from promise.data.columns import Columns
from promise.errors import MissingExtra
from promise.job import Job
from promise.kernels import tabnet as kernel
from promise.kernels import tabnet_training as training
from promise.kernels.dense import dot_rows, squash
from promise.models import tabnet
from promise.models.base import MATRIX, Estimator
from promise.models.conformance import EstimatorConformance, examples
from promise.models.tabnet import TabNet

torch = pytest.importorskip("torch")


class TestTabNetConformance(EstimatorConformance):
    """The shared suite."""

    def make(self) -> Estimator:
        """Return a small network that learns quickly."""
        return TabNet(steps=2, width=8, epochs=8, learning_rate=0.05, batch=60, ghost=30)


@settings(max_examples=100, deadline=None)
@given(arrays(np.float64, (3, 5), elements=st.floats(-50, 50)))
def test_sparsemax_is_the_nearest_point_of_the_simplex(z: np.ndarray) -> None:
    """Shares sum to one, equal PyTorch's, and meet the projection's optimality condition."""
    shares = kernel.sparsemax(z)
    assert np.allclose(shares.sum(axis=1), 1.0)
    assert np.allclose(shares, training.torch_sparsemax(torch.from_numpy(z)).numpy(), atol=1e-9)
    gap = z - shares  # equal to the cut wherever a share is kept, at most the cut elsewhere
    cut = np.where(shares > 0, gap, -np.inf).max(axis=1, keepdims=True)
    assert np.all(np.where(shares > 1e-9, np.abs(gap - cut), gap - cut) <= 1e-6)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 300), st.integers(1, 400))
def test_layers_equal_plain_products(inputs: int, outputs: int) -> None:
    """The packed layout multiplies as any other, row for row."""
    rng = np.random.default_rng(inputs + outputs)
    x = rng.normal(size=(9, inputs)).astype(np.float32)
    weights = rng.normal(size=(outputs, inputs)).astype(np.float32)
    bias = rng.normal(size=outputs).astype(np.float32)
    layer = kernel.run_layer(x, kernel.pack_layer(weights), bias)
    assert np.allclose(layer, dot_rows(x, weights) + bias, rtol=1e-4, atol=1e-4)
    alone = [kernel.run_layer(x[i : i + 1], kernel.pack_layer(weights), bias) for i in range(9)]
    assert np.array_equal(np.concatenate(alone), layer)


def test_numpy_equals_torch() -> None:
    """With one ghost batch and its own moments, the folded model gives the network's margins."""
    train = examples(Class(("no", "yes")), 64)
    state = {
        "n_classes": 2, "steps": 3, "width": 6, "gamma": 1.5, "rounds": 0,
        "mean": np.zeros(6, np.float32), "scale": np.ones(6, np.float32),
        "centre": 0.0, "spread": 1.0,
    }  # fmt: skip
    net = training.make_tabnet(state, 64, 0.02, seed=3)
    z = squash(train.matrix, state["mean"], state["scale"])
    with torch.no_grad():
        margins, _ = training.tabnet_margins(state, net, torch.from_numpy(z))
    model = training.fold_tabnet(state, net)
    assert np.allclose(kernel.run_tabnet(model, z), margins.numpy(), atol=1e-4)


def test_moments_are_freed_of_their_start() -> None:
    """After one ghost batch the running moments are that batch's, not two hundredths of them."""
    state = {
        "n_classes": 0, "steps": 1, "width": 2, "gamma": 1.3,
        "mean": np.zeros(3, np.float32), "scale": np.ones(3, np.float32),
    }  # fmt: skip
    net = training.make_tabnet(state, 4, 0.02, seed=1)
    z = torch.from_numpy(np.random.default_rng(0).normal(3.0, 2.0, (8, 8)).astype(np.float32))
    net["moments"]["glu_0_0"] = [torch.zeros(8), torch.zeros(8), 0]
    normal = training.ghost_norm(net, "glu_0_0", z).detach().numpy()
    for batch in (normal[:4], normal[4:]):
        assert np.allclose(batch.mean(axis=0), 0.0, atol=1e-5)
        assert np.allclose(batch.std(axis=0), 1.0, atol=1e-3)
    mean, _, updates = net["moments"]["glu_0_0"]
    batches = z.numpy().reshape(2, 4, 8).mean(axis=1)
    expected = (0.98 * batches[0] + batches[1]) / 1.98
    assert updates == 2
    assert np.allclose(mean.numpy() / (1 - 0.98**2), expected, atol=1e-5)


def test_stops_when_validation_no_longer_gains() -> None:
    """Labels of pure noise end the training early, at the epoch that was best."""
    train, valid = (examples(Class(("a", "b")), 120, seed=s) for s in (1, 2))
    rng = np.random.default_rng(0)
    train.y[:], valid.y[:] = rng.integers(0, 2, 120), rng.integers(0, 2, 120)
    model = TabNet(steps=2, width=8, epochs=60, early_stopping=3, batch=60, ghost=30)
    fitted = model.fit(train, valid, Job())
    assert fitted.rounds < 50


@pytest.mark.slow
def test_learns_which_column_to_look_at() -> None:
    """Among twenty columns of noise the first mask settles on the one that matters."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=(800, 20)).astype(np.float32)
    y = (x[:, 7] > 0).astype(np.int64)
    params = {"steps": 2, "width": 8, "epochs": 15, "batch": 100, "ghost": 50, "sparsity": 1e-3}
    model = training.fit_tabnet(x, y, 2, params)
    test = rng.normal(size=(300, 20)).astype(np.float32)
    hits = kernel.predict_tabnet(model, test).argmax(axis=1) == (test[:, 7] > 0)
    assert hits.mean() > 0.9


def test_the_first_design_has_its_sizes() -> None:
    """Six steps, decision and attention parts of 64, gated layers of 128, Adam at 0.02."""
    params = TabNet()
    assert (params.steps, params.width, params.learning_rate, params.momentum) == (
        6,
        64,
        0.02,
        0.02,
    )
    state = {**vars(params), "n_classes": 2, "mean": np.zeros(10, np.float32)}
    net = training.make_tabnet(state, 256, 0.02, seed=1)
    assert net["weights"]["glu_0_0_weight"].shape == (2 * 128, 10)
    assert net["weights"]["glu_6_3_weight"].shape == (2 * 128, 128)
    assert net["weights"]["mask_6_weight"].shape == (10, 64)


def test_names_the_missing_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without PyTorch the error says how to get it."""
    monkeypatch.setattr(tabnet, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"promise-ml\[deep\]"):
        TabNet().fit(examples(Class(("a", "b")), 20), None, Job())


def test_one_row_is_enough() -> None:
    """A training part of one row is learned, since a race may come to that."""
    train = examples(Class(("a", "b")), 1)
    output = TabNet(steps=1, width=4, epochs=2).fit(train, None, Job()).predict(train.columns)
    assert np.isfinite(output).all()


def test_saved_files_are_native(tmp_path) -> None:
    """Weights are safetensors, the rest is JSON, and nothing else is written."""
    fitted = TabNet(steps=1, width=4, epochs=1).fit(examples(Class(("a", "b")), 60), None, Job())
    fitted.save(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {"weights.safetensors", "model.json"}
    assert json.loads((tmp_path / "model.json").read_text())["width"] == 4
    loaded = tabnet.FittedTabNet.load(tmp_path)
    assert loaded.predict(Columns({MATRIX: np.zeros((0, 6), np.float32)})).shape == (0, 2)
