"""The LSTM: windows by a slow twin, chunks as the whole, memory of what came before."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promise.data.answer import Class, Number
from promise.data.columns import Columns
from promise.errors import MissingExtra
from promise.job import Job
from promise.kernels.lstm import fit_lstm, predict_lstm, tail_lstm, window_rows
from promise.models import sequence
from promise.models.base import MATRIX, ORDER, Estimator, Examples
from promise.models.conformance import EstimatorConformance, examples
from promise.models.sequence import LSTM

torch = pytest.importorskip("torch")


class TestLSTMConformance(EstimatorConformance):
    """The shared suite; its rows have no order, so windows are of length one."""

    def make(self) -> Estimator:
        """Return a small network that learns quickly."""
        return LSTM(hidden=16, epochs=8, learning_rate=0.03, batch=60)


def _slow_windows(order: np.ndarray, window: int) -> np.ndarray:
    """Walk through time, remembering each entity's rows: the readable twin."""
    rows = np.full((len(order), window), -1)
    past: dict[int, list[int]] = {}
    for row in sorted(range(len(order)), key=lambda i: (order[i, 1], i)):
        past.setdefault(int(order[row, 0]), []).append(row)
        last = past[int(order[row, 0])][-window:]
        rows[row, : len(last)] = last
    return rows


orders = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 30)), min_size=1, max_size=40)


@settings(max_examples=100, deadline=None)
@given(orders, st.integers(1, 6))
def test_windows_equal_the_slow_twin(pairs: list[tuple[int, int]], window: int) -> None:
    """The last rows of the same entity up to this one, oldest first."""
    order = np.array(pairs, dtype=np.int64)
    assert np.array_equal(window_rows(order, len(order), window), _slow_windows(order, window))


def _walks(n: int, entities: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Noise rows whose label is the sum of an entity's last three values."""
    rng = np.random.default_rng(seed)
    order = np.stack([rng.integers(0, entities, n), np.arange(n)], axis=1)
    x = rng.normal(size=(n, 2)).astype(np.float32)
    rows = window_rows(order, n, 3)
    return x, np.where(rows >= 0, x[rows, 0], 0.0).sum(axis=1), order


@pytest.fixture(scope="module")
def trained() -> dict:
    """Return a network trained on walks."""
    x, y, order = _walks(1_500, 20, 0)
    params = {"hidden": 24, "window": 5, "epochs": 12, "learning_rate": 0.02}
    return fit_lstm(x, y, 0, params, order=order)


@pytest.mark.slow
def test_remembers_earlier_rows(trained: dict) -> None:
    """A label made of three rows is out of reach for one row, and learned from a window."""
    x, y, order = _walks(500, 10, 1)
    error = ((predict_lstm(trained, x, order) - y) ** 2).mean()
    assert error < 0.15 * y.var()


@pytest.mark.slow
def test_numpy_equals_torch(trained: dict) -> None:
    """The forward pass in NumPy is PyTorch's."""
    x, _, order = _walks(60, 5, 2)
    lstm = torch.nn.LSTM(2, 24, batch_first=True)
    with torch.no_grad():
        lstm.weight_ih_l0.copy_(torch.from_numpy(trained["gate_x"]))
        lstm.weight_hh_l0.copy_(torch.from_numpy(trained["gate_h"]))
        lstm.bias_ih_l0.copy_(torch.from_numpy(trained["gate_bias"]))
        lstm.bias_hh_l0.zero_()
        z = (x - trained["mean"]) / trained["scale"]
        z = (z / np.sqrt(1 + (z / 4) ** 2)).astype(np.float32)
        output = predict_lstm(trained, x, order)
        for row, window in enumerate(window_rows(order, 60, 5)):
            hidden = lstm(torch.from_numpy(z[window[window >= 0]])[None])[0][0, -1].numpy()
            deep = np.maximum(trained["deep"] @ np.append(hidden, z[row]) + trained["deep_bias"], 0)
            margin = trained["head"] @ deep + trained["head_bias"]
            twin = margin[0] * trained["spread"] + trained["centre"]
            assert output[row] == pytest.approx(twin, abs=1e-5)


@pytest.mark.parametrize("ordered", [True, False])
def test_chunks_equal_the_whole(trained: dict, ordered: bool) -> None:
    """A file read in chunks, its tails carried over, answers to the last bit as if read whole."""
    x, _, given_order = _walks(300, 4, 3)
    order = given_order if ordered else None
    whole = predict_lstm(trained, x, order)
    parts, tail = [], None
    for start in range(0, 300, 70):
        chunk = slice(start, start + 70)
        part_order = None if order is None else order[chunk]
        parts.append(predict_lstm(trained, x[chunk], part_order, tail))
        tail = tail_lstm(trained, x[chunk], part_order, tail)
        assert len(tail["x"]) <= 4 * 4
    assert np.array_equal(np.concatenate(parts), whole)


def test_later_rows_do_not_change_earlier_answers(trained: dict) -> None:
    """A window ends at its own row: nothing of the future reaches it."""
    x, _, order = _walks(100, 4, 4)
    changed = x.copy()
    changed[60:] += 5
    before = predict_lstm(trained, x, order)
    assert np.array_equal(predict_lstm(trained, changed, order)[:60], before[:60])


def test_order_comes_as_a_column() -> None:
    """Shuffled rows with their order get the same answers."""
    x, y, order = _walks(200, 5, 5)
    train = Examples(Columns({MATRIX: x, ORDER: order}), y, Number(), order=order)
    fitted = LSTM(hidden=8, epochs=2, window=4).fit(train, train, Job())
    assert fitted.model["window"] == 4
    shuffle = np.random.default_rng(0).permutation(200)
    output = fitted.predict(train.columns.take(shuffle))
    assert np.allclose(output, fitted.predict(train.columns)[shuffle], atol=1e-12)


def test_names_the_missing_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without PyTorch the error says how to get it."""
    monkeypatch.setattr(sequence, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"promise-ml\[deep\]"):
        LSTM().fit(examples(Class(("a", "b")), 20), None, Job())
