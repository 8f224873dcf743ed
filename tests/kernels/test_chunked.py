"""Training from chunks: as good as in memory, in any order, and resumable."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promise.kernels import chunked_linear
from promise.kernels.baseline import predict_baseline
from promise.kernels.boosting_lightgbm import fit_lightgbm, predict_lightgbm
from promise.kernels.boosting_xgboost import fit_xgboost, predict_xgboost
from promise.kernels.chunked import hash_part, hash_sample, in_batches, survey
from promise.kernels.chunked_fit import fit_chunked, substitute
from promise.kernels.chunked_lightgbm import fit_lightgbm_chunked, joined_trees
from promise.kernels.chunked_xgboost import fit_xgboost_chunked
from promise.kernels.decision_tree import predict_decision_tree
from promise.kernels.linear import fit_linear, predict_linear
from promise.kernels.mlp import predict_mlp
from promise.kernels.random_forest import predict_random_forest
from promise.kernels.rows import row_hash

Array = np.ndarray[Any, np.dtype[Any]]
PARAMS = {"learning_rate": 0.3, "rounds": 20, "max_depth": 4, "leaves": 15}
PREDICT: dict[str, Callable[[dict[str, Any], Array], Array]] = {
    "baseline": predict_baseline,
    "linear": predict_linear,
    "decision_tree": predict_decision_tree,
    "random_forest": predict_random_forest,
    "xgboost": predict_xgboost,
    "lightgbm": predict_lightgbm,
    "mlp": predict_mlp,
}
FAMILY_PARAMS: dict[str, dict[str, Any]] = {
    "random_forest": {"n_trees": 16, "min_leaf": 3},
    "decision_tree": {"min_leaf": 10},
    "mlp": {"epochs": 8, "members": 1, "width": 32},
    "xgboost": PARAMS,
    "lightgbm": PARAMS,
}


class Killed(Exception):
    """Stands for a process that ends in mid-training."""


def table(n: int = 4000, seed: int = 0) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 6)).astype(np.float32)
    x[rng.random(x.shape) < 0.03] = np.nan
    x[:, 4] = rng.integers(0, 12, n)
    signal = np.nan_to_num(2 * x[:, 0] + x[:, 1] + x[:, 2] * x[:, 3]) + 0.2 * x[:, 4]
    return x, signal + 0.3 * rng.normal(size=n)


def chunks_of(
    x: Array, y: Array, by_label: bool = False, size: int = 700
) -> Callable[[], Iterator[tuple[Array, ...]]]:
    order = np.argsort(y, kind="stable") if by_label else np.arange(len(y))

    def chunks() -> Iterator[tuple[Array, ...]]:
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            yield x[rows], y[rows], rows

    return chunks


def labels_of(signal: Array, n_classes: int) -> Array:
    if n_classes == 0:
        return signal + 1e6
    return np.digitize(signal, np.quantile(signal, np.linspace(0, 1, n_classes + 1)[1:-1]))


def quality(output: Array, y: Array, n_classes: int) -> float:
    if n_classes == 0:
        return 1.0 - float(((output - y) ** 2).mean() / y.var())
    return float((output.argmax(axis=1) == y).mean())


@given(
    sizes=st.lists(st.integers(0, 9), min_size=1, max_size=6),
    batch=st.integers(1, 12),
)
@settings(max_examples=40, deadline=None)
def test_batches_keep_all_rows_in_order(sizes: list[int], batch: int) -> None:
    numbers = np.arange(sum(sizes))

    def chunks() -> Iterator[tuple[Array, ...]]:
        for part in np.split(numbers, np.cumsum(sizes)[:-1]):
            yield part[:, None].astype(np.float32), part, part

    batches = list(in_batches(chunks, batch))
    assert all(len(y) == batch for _, y, _ in batches[:-1])
    assert np.array_equal(np.concatenate([y for _, y, _ in batches] or [numbers]), numbers)


def test_survey_keeps_the_digits_of_a_large_offset() -> None:
    x, signal = table()
    found = survey(chunks_of(x, signal + 1e9), 0)
    assert found["rows"] == 4000
    assert found["std"] == pytest.approx(signal.std(), rel=1e-6)
    codes = labels_of(signal, 3)
    assert survey(chunks_of(x, codes), 5)["counts"] == [*np.bincount(codes).tolist(), 0, 0]
    with pytest.raises(ValueError, match="no rows"):
        survey(chunks_of(x[:0], signal[:0]), 0)


def test_hash_sample_is_that_of_all_rows_at_once_and_nested() -> None:
    x, y = table()
    small = hash_sample(chunks_of(x, y), 500, seed=5)
    expected = np.sort(np.argsort(row_hash(np.arange(4000), 5))[:500])
    assert np.array_equal(small[2], expected)
    assert np.array_equal(small[1], y[expected])
    other_order = hash_sample(chunks_of(x, y, by_label=True, size=311), 500, seed=5)
    assert np.array_equal(other_order[0], small[0], equal_nan=True)
    large = hash_sample(chunks_of(x, y), 2000, seed=5)
    assert set(small[2]) < set(large[2])
    assert len(hash_sample(chunks_of(x, y), 9999, seed=5)[1]) == 4000


def test_hash_parts_share_out_every_row_once() -> None:
    x, y = table()
    parts = [hash_part(chunks_of(x, y), part, 4, seed=5)[2] for part in range(4)]
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(4000))
    assert min(map(len, parts)) > 850


def test_entities_of_a_sample_keep_their_history() -> None:
    x, y = table(1000)
    entity = np.arange(1000) % 50

    def chunks() -> Iterator[tuple[Array, ...]]:
        for start in range(0, 1000, 300):
            rows = np.arange(start, min(1000, start + 300))
            yield x[rows], y[rows], rows, np.stack([entity[rows], rows // 50], axis=1)

    order = hash_sample(chunks, 200, seed=5, by_entity=True)[3]
    assert len(np.unique(order[:, 0])) == 10
    assert set(np.unique(order[:, 0], return_counts=True)[1]) == {20}


@pytest.mark.slow
@pytest.mark.parametrize("n_classes", [0, 2, 4])
@pytest.mark.parametrize("family", ["xgboost", "lightgbm"])
def test_boosting_from_chunks_equals_memory_however_sorted(family: str, n_classes: int) -> None:
    x, signal = table()
    y = labels_of(signal, n_classes)
    fit = {"xgboost": fit_xgboost, "lightgbm": fit_lightgbm}[family]
    whole = fit(x[:3000], y[:3000], n_classes, PARAMS, categorical=(4,))
    expected = quality(PREDICT[family](whole, x[3000:]), y[3000:], n_classes)
    assert expected > 0.6
    for by_label in (False, True):
        chunks = chunks_of(x[:3000], y[:3000], by_label)
        _, model = fit_chunked(family, chunks, n_classes, PARAMS, categorical=(4,))
        reached = quality(PREDICT[family](model, x[3000:]), y[3000:], n_classes)
        assert reached == pytest.approx(expected, abs=0.03)


@pytest.mark.slow
@pytest.mark.parametrize("n_classes", [0, 2, 4])
@pytest.mark.parametrize("family", ["baseline", "linear", "decision_tree", "random_forest", "mlp"])
def test_other_families_do_not_feel_the_order_of_rows(
    family: str, n_classes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunked_linear, "START_VALUES", 6000)
    x, signal = table()
    y, params = labels_of(signal, n_classes), FAMILY_PARAMS.get(family, {})
    outputs = []
    for by_label in (False, True):
        chunks = chunks_of(x[:3000], y[:3000], by_label)
        name, model = fit_chunked(family, chunks, n_classes, params, sample_rows=1500)
        assert name == family
        outputs.append(PREDICT[family](model, x[3000:]))
    assert np.allclose(outputs[0], outputs[1], rtol=1e-6)
    if family != "baseline":
        assert quality(outputs[0], y[3000:], n_classes) > {0: 0.5, 2: 0.75, 4: 0.5}[n_classes]


@pytest.mark.parametrize("basis", ["none", "quadratic"])
@pytest.mark.parametrize("n_classes", [0, 3])
def test_linear_from_chunks_reaches_the_optimum_of_memory(
    basis: str, n_classes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunked_linear, "START_VALUES", 9000)
    x, signal = table()
    y, params = labels_of(signal, n_classes), {"basis": basis, "alpha": 1.0, "c": 1.0}
    whole = predict_linear(fit_linear(x, y, n_classes, params), x)
    _, model = fit_chunked("linear", chunks_of(x, y, by_label=True), n_classes, params)
    output = predict_linear(model, x)
    if n_classes == 0:
        # Scales come from the sample, so the penalty differs by a hair.
        assert np.abs(output - whole).mean() < 0.005 * y.std()
    else:
        rows = np.arange(len(y))
        loss, best = (-np.log(p[rows, y]).mean() for p in (output, whole))
        assert loss < best + 0.002


@pytest.mark.slow
@pytest.mark.parametrize("n_classes", [0, 4])
@pytest.mark.parametrize("sampled", [False, True])
def test_killed_xgboost_goes_on_to_the_same_trees(
    tmp_path: Path, n_classes: int, sampled: bool
) -> None:
    x, signal = table()
    y = labels_of(signal, n_classes)
    params = {**PARAMS, "subsample": 0.7, "column_sample": 0.7} if sampled else PARAMS
    chunks, beside = chunks_of(x[:3000], y[:3000]), (x[3000:], y[3000:])
    terms: dict[str, Any] = {"valid": beside, "checkpoint_every": 8}
    whole = fit_xgboost_chunked(chunks, n_classes, params, **terms)

    def kill(done: int, _: int) -> None:
        if done == 11:
            raise Killed

    with pytest.raises(Killed):
        fit_xgboost_chunked(chunks, n_classes, params, checkpoint=tmp_path, progress=kill, **terms)
    seen: list[int] = []
    again = fit_xgboost_chunked(
        chunks,
        n_classes,
        params,
        checkpoint=tmp_path,
        progress=lambda done, _: seen.append(done),
        **terms,
    )
    assert seen[0] == 9
    assert again["rounds"] == whole["rounds"]
    assert again["booster"].save_raw("ubj") == whole["booster"].save_raw("ubj")


@pytest.mark.parametrize("n_classes", [0, 2, 4])
def test_killed_lightgbm_goes_on_with_the_former_sums(tmp_path: Path, n_classes: int) -> None:
    x, signal = table()
    y = labels_of(signal, n_classes)
    chunks, beside = chunks_of(x[:3000], y[:3000]), (x[3000:], y[3000:])
    terms: dict[str, Any] = {"valid": beside, "checkpoint_every": 8}
    whole = fit_lightgbm_chunked(chunks, n_classes, PARAMS, **terms)

    def kill(done: int, _: int) -> None:
        if done == 11:
            raise Killed

    with pytest.raises(Killed):
        fit_lightgbm_chunked(chunks, n_classes, PARAMS, checkpoint=tmp_path, progress=kill, **terms)
    again = fit_lightgbm_chunked(chunks, n_classes, PARAMS, checkpoint=tmp_path, **terms)
    assert again["rounds"] == whole["rounds"]
    reached, expected = (
        quality(predict_lightgbm(model, x[3000:]), y[3000:], n_classes) for model in (again, whole)
    )
    assert reached == pytest.approx(expected, abs=0.01)


def test_a_checkpoint_of_other_terms_is_not_used(tmp_path: Path) -> None:
    x, signal = table(2000)
    chunks = chunks_of(x, signal)
    fit_xgboost_chunked(chunks, 0, PARAMS, checkpoint=tmp_path, checkpoint_every=10)
    seen: list[int] = []
    other = {**PARAMS, "max_depth": 2}
    fit_xgboost_chunked(
        chunks, 0, other, checkpoint=tmp_path, progress=lambda done, _: seen.append(done)
    )
    assert seen[0] == 1


def test_joined_trees_add_up() -> None:
    x, signal = table(1500)
    first = fit_lightgbm(x, signal, 0, PARAMS)["booster"]
    second = fit_lightgbm(x, signal**2, 0, {**PARAMS, "rounds": 12})["booster"]
    texts = [booster.model_to_string(num_iteration=-1) for booster in (first, second)]
    whole = type(first)(model_str=joined_trees(*texts))
    assert whole.current_iteration() == 32
    assert np.allclose(whole.predict(x), first.predict(x) + second.predict(x), atol=1e-12)


def test_killed_forest_goes_on_with_its_parts(tmp_path: Path) -> None:
    x, signal = table(3000)
    params = FAMILY_PARAMS["random_forest"]

    def kill(done: int, _: int) -> None:
        if done == 2:
            raise Killed

    chunks = chunks_of(x, signal)
    terms: dict[str, Any] = {"sample_rows": 800, "checkpoint": tmp_path}
    _, whole = fit_chunked("random_forest", chunks, 0, params, sample_rows=800)
    with pytest.raises(Killed):
        fit_chunked("random_forest", chunks, 0, params, progress=kill, **terms)
    _, again = fit_chunked("random_forest", chunks, 0, params, **terms)
    assert len(again["roots"]) == 16
    assert np.array_equal(predict_random_forest(again, x), predict_random_forest(whole, x))


def test_bins_on_disk_stand_in_for_lightgbm(tmp_path: Path) -> None:
    x, signal = table()
    family, model = fit_chunked(
        "lightgbm", chunks_of(x, signal, by_label=True), 0, PARAMS, external=tmp_path
    )
    assert family == "xgboost"
    assert quality(predict_xgboost(model, x), signal, 0) > 0.8


def test_every_family_has_a_way_and_says_how() -> None:
    for family in [*PREDICT, "lstm"]:
        name, sentence = substitute(family)
        assert name == f"fit_{family}_chunked"
        assert sentence.endswith(".")
    with pytest.raises(ValueError, match="no way"):
        substitute("svm")


def test_one_class_needs_no_trees() -> None:
    x, _ = table(300)
    for family in ("xgboost", "lightgbm"):
        _, model = fit_chunked(family, chunks_of(x, np.ones(300, np.int64)), 3, PARAMS)
        assert PREDICT[family](model, x[:2]).tolist() == [[0, 1, 0], [0, 1, 0]]


MEMORY = """
import sys
import lightgbm, xgboost, sklearn.ensemble
import numpy as np
from promise.kernels.chunked_fit import fit_chunked

rows, columns = 600_000, 40

def chunks():
    for start in range(0, rows, 20_000):
        rng = np.random.default_rng(start)
        x = rng.standard_normal((20_000, columns), dtype=np.float32)
        yield x, x[:, 0] + x[:, 1].astype(float), np.arange(start, start + 20_000)

def resident(key):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(key)) / 1024

before = resident("VmRSS")
fit_chunked(sys.argv[1], chunks, 0, {"rounds": 2, "leaves": 15, "max_depth": 4})
print((resident("VmHWM") - before) / (rows * columns * 4 / 2**20))
"""


@pytest.mark.slow
@pytest.mark.parametrize(("family", "bound"), [("xgboost", 2.5), ("lightgbm", 2.0)])
def test_memory_stays_near_the_bytes_of_the_table(family: str, bound: float) -> None:
    command = [sys.executable, "-c", MEMORY, family]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert float(done.stdout) < bound
