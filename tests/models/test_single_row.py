"""A model bound to one row answers as its own `predict`, bit for bit."""

from __future__ import annotations

import gc
import threading
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from promise.data.answer import Answer, Class, Number
from promise.data.columns import Columns
from promise.job import Job
from promise.models import single_row
from promise.models.base import MATRIX, ORDER, Estimator, Examples, Fitted
from promise.models.baseline import Baseline
from promise.models.boosting import LightGBM, XGBoost
from promise.models.linear import Linear
from promise.models.mlp import Perceptron
from promise.models.single_row import BINDERS, agree, bind_any, bind_model, same
from promise.models.trees import DecisionTree, Forest

N_COLUMNS, CODES = 6, 5
ANSWERS: list[Answer] = [Number(), Class(("no", "yes")), Class(("a", "b", "c")),
                         Class(tuple("abcdefghijk"))]  # fmt: skip
FAMILIES: dict[str, Estimator] = {
    "lightgbm": LightGBM(rounds=15, min_leaf=5),
    "lightgbm with lines": LightGBM(rounds=6, linear_leaves=True),
    "xgboost": XGBoost(rounds=15),
    "xgboost by leaf": XGBoost(rounds=6, growth="leaf", leaves=9, max_depth=0),
    "linear": Linear(),
    "mlp": Perceptron(epochs=2),
    "tree": DecisionTree(),
    "pruned tree": DecisionTree(max_depth=1),
    "forest": Forest(n_trees=9),
    "extra trees": Forest(n_trees=5, variant="extra"),
    "baseline": Baseline(),
}


def examples(answer: Answer, *, absent: tuple[int, ...] = ()) -> Examples:
    """Return rows with gaps and one column of category codes; some classes may have no rows."""
    rng = np.random.default_rng(4)
    matrix = rng.normal(size=(300, N_COLUMNS)).astype(np.float32)
    matrix[:, CODES] = rng.integers(0, 6, 300)
    signal = matrix[:, 0] * 2 - matrix[:, 1] ** 2 + (matrix[:, CODES] == 3)
    matrix[rng.random(matrix.shape) < 0.1] = np.nan
    y = 40.0 + 9.0 * signal
    if isinstance(answer, Class):
        y = np.searchsorted(
            np.quantile(signal, np.linspace(0, 1, answer.n_classes + 1)[1:-1]), signal
        )
        y = np.where(np.isin(y, absent), (max(absent, default=0) + 1) % answer.n_classes, y)
    return Examples(Columns({MATRIX: matrix}), y, answer, rows=np.arange(300), categorical=(CODES,))


def assert_equal_digits(fitted: Fitted, matrix: np.ndarray) -> None:
    row = np.empty((1, matrix.shape[1]), dtype=np.float32)
    native = bind_model(fitted, row)
    whole = fitted.predict(Columns({MATRIX: matrix}))
    for number, values in enumerate(matrix):
        row[0] = values
        assert same(native(), whole[number].reshape(-1).tolist())


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("answer", ANSWERS, ids=["number", "two", "three", "eleven"])
def test_every_family_answers_as_in_a_batch(name: str, answer: Answer) -> None:
    train = examples(answer)
    fitted = FAMILIES[name].fit(train, None, Job(seed=3))
    odd = np.array(
        [[np.nan] * 6, [0.0] * 6, [-0.0] * 6, [3e38] * 6, [-3e38] * 6, [1e-40] * 6, [2.5] * 6,
         [np.nan, 1, np.nan, 2, 3, 7]],
        dtype=np.float32,
    )  # fmt: skip
    with np.errstate(all="ignore"):
        assert_equal_digits(fitted, np.concatenate([train.matrix[:80], odd]))


@pytest.mark.parametrize("name", ["lightgbm", "xgboost", "tree", "forest"])
@pytest.mark.parametrize("absent", [(1,), (0, 2), (0, 1)], ids=["some", "one left", "first two"])
def test_classes_without_rows_keep_their_place(name: str, absent: tuple[int, ...]) -> None:
    train = examples(Class(("a", "b", "c")), absent=absent)
    fitted = FAMILIES[name].fit(train, None, Job(seed=3))
    assert_equal_digits(fitted, train.matrix[:30])


@pytest.mark.parametrize("name", ["lightgbm", "xgboost", "forest"])
def test_one_class_only(name: str) -> None:
    train = examples(Class(("a", "b")))
    alone = train.take(np.flatnonzero(train.y == 1))
    assert_equal_digits(FAMILIES[name].fit(alone, None, Job()), train.matrix[:3])


@pytest.mark.parametrize("name", ["lightgbm", "xgboost", "forest"])
def test_native_calls_are_taken(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    train = examples(Number())
    fitted = FAMILIES[name].fit(train, None, Job())
    row = train.matrix[:1].copy()
    native = bind_model(fitted, row)
    expected = fitted.predict(Columns({MATRIX: row})).tolist()
    monkeypatch.setattr(type(fitted), "predict", None)
    assert native() == expected


def test_a_saved_model_binds_too(tmp_path: Any) -> None:
    for number, name in enumerate(["lightgbm", "xgboost", "forest"]):
        train = examples(Class(("a", "b", "c")))
        fitted = FAMILIES[name].fit(train, None, Job())
        folder = tmp_path / str(number)
        folder.mkdir()
        fitted.save(folder)
        assert_equal_digits(type(fitted).load(folder), train.matrix[:20])


@pytest.mark.slow
def test_a_binding_keeps_what_it_points_into() -> None:
    train = examples(Number())
    expected, natives = [], []
    for name in ("lightgbm", "xgboost", "forest"):
        fitted = FAMILIES[name].fit(train, None, Job())
        row = train.matrix[:1].copy()
        expected.append(fitted.predict(Columns({MATRIX: row})).tolist())
        natives.append(bind_model(fitted, row))
        del fitted, row
    gc.collect()
    noise = [np.full(1000, np.nan) for _ in range(100)]
    assert [native() for native in natives] == expected
    del noise, natives
    gc.collect()  # frees the library's side once


def test_threads_with_a_binding_each_share_one_model() -> None:
    train = examples(Class(("a", "b", "c")))
    models = [FAMILIES[name].fit(train, None, Job()) for name in ("lightgbm", "xgboost", "forest")]
    whole = [fitted.predict(train.columns).tolist() for fitted in models]
    wrong: list[int] = []

    def work(start: int) -> None:
        rows = [np.empty((1, N_COLUMNS), dtype=np.float32) for _ in models]
        natives = [bind_model(f, row) for f, row in zip(models, rows, strict=True)]
        for number in range(start, start + 100):
            for native, row, expected in zip(natives, rows, whole, strict=True):
                row[0] = train.matrix[number]
                if native() != expected[number]:
                    wrong.append(number)

    threads = [threading.Thread(target=work, args=(start,)) for start in (0, 100, 200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_kind_without_a_binder_answers_generally() -> None:
    class Odd:
        kind = "odd"

        def predict(self, columns: Columns) -> np.ndarray:
            assert columns[ORDER].tolist() == [[0, 0]]
            return columns[MATRIX].sum(axis=1, dtype=np.float64)

    row = np.ones((1, 3), dtype=np.float32)
    assert bind_model(Odd(), row)() == [3.0]  # type: ignore[arg-type]


@pytest.mark.parametrize("fault", ["digits", "raises"])
def test_a_native_call_that_differs_is_left_aside(
    fault: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    train = examples(Number())
    fitted = FAMILIES["lightgbm"].fit(train, None, Job())
    row = train.matrix[:1].copy()
    usual = bind_model(fitted, row)

    def binder(fitted: Any, matrix: Any) -> Any:
        if fault == "raises":
            raise AttributeError("no such call in this release")
        return lambda: [float(np.nextafter(usual()[0], 1e9))]

    monkeypatch.setitem(BINDERS, "lightgbm", binder)
    assert bind_model(fitted, row)() == fitted.predict(Columns({MATRIX: row})).tolist()
    record = caplog.records[-1]
    assert record.message == "single rows take the general path"
    assert record.__dict__["kind"] == "lightgbm"


def test_probes_leave_the_row_as_it_was() -> None:
    fitted = FAMILIES["linear"].fit(examples(Number()), None, Job())
    row = np.arange(6, dtype=np.float32)[None, :]
    general = bind_any(fitted, row)
    assert agree(general, general, row)
    assert row[0].tolist() == [0, 1, 2, 3, 4, 5]


def test_same_knows_nan_from_numbers() -> None:
    assert same([float("nan"), 1.0], [float("nan"), 1.0])
    assert not same([float("nan")], [1.0])
    assert not same([1.0], [1.0, 1.0])


def test_many_trees_answer_generally(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(single_row, "MOST_NODES", 10)
    train = examples(Number())
    fitted = FAMILIES["forest"].fit(train, None, Job())
    assert single_row.BINDERS["random_forest"](fitted, train.matrix[:1]) is None
    assert_equal_digits(fitted, train.matrix[:5])


@pytest.mark.parametrize("answer", [Number(), Class(("no", "yes"))], ids=["number", "two"])
def test_xgboost_is_walked_and_adds_up_as_xgboost_does(answer: Answer) -> None:
    train = replace(examples(answer), categorical=())
    fitted: Any = XGBoost(rounds=60, max_depth=6).fit(train, None, Job(seed=3))
    rng = np.random.default_rng(5)
    matrix = rng.normal(size=(1_500, N_COLUMNS)).astype(np.float32) * 2
    matrix[rng.random(matrix.shape) < 0.2] = np.nan
    row = np.zeros((1, N_COLUMNS), dtype=np.float32)
    walked = single_row.walked_xgboost(fitted.model["booster"], row)
    assert walked is not None
    whole = fitted.model["booster"].inplace_predict(matrix, validate_features=False)
    for values, expected in zip(matrix, whole.tolist(), strict=True):
        row[0] = values
        assert walked() == [expected]


def test_xgboost_with_sets_of_categories_keeps_its_own_call() -> None:
    fitted: Any = XGBoost(rounds=9).fit(examples(Number()), None, Job(seed=3))
    booster = fitted.model["booster"]
    assert "c" in booster.feature_types
    assert single_row.walked_xgboost(booster, np.zeros((1, N_COLUMNS), np.float32)) is None
