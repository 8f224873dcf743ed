"""Encoding typed columns: known answers, then properties, then the slow readable twin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from promise.kernels.encoding import (
    blank_targets,
    count_targets,
    encode,
    encode_train,
    encoding_folds,
    fit_encoding,
    load_encoding,
    save_encoding,
)
from promise.kernels.encoding_categories import shrinkage
from promise.kernels.encoding_numbers import date_part

PLAIN: dict[str, Any] = {
    "categories": "ordinal",
    "onehot_limit": 8,
    "numbers": "raw",
    "missing_indicators": False,
    "dates": True,
    "text": "svd",
    "text_size": 4,
    "arithmetic": [],
    "crosses": [],
}
PLANS = [
    PLAIN,
    {**PLAIN, "categories": "mixed", "onehot_limit": 3, "arithmetic": [["a", "/", "b"]]},
    {**PLAIN, "categories": "onehot", "numbers": "both", "missing_indicators": True},
    {**PLAIN, "categories": "target", "onehot_limit": 2, "numbers": "standard"},
    {**PLAIN, "categories": "target", "onehot_limit": 0, "crosses": [["city", "colour"]]},
    {**PLAIN, "categories": "simple", "onehot_limit": 4, "numbers": "mean", "text": "none"},
]
SCHEMA = [
    {"name": "a", "type": "number", "role": "input"},
    {"name": "b", "type": "number", "role": "input"},
    {"name": "flag", "type": "boolean", "role": "protected"},
    {"name": "empty", "type": "number", "role": "input"},
    {"name": "when", "type": "date", "role": "input"},
    {"name": "until", "type": "date", "role": "input"},
    {"name": "city", "type": "category", "role": "input"},
    {"name": "colour", "type": "category", "role": "input"},
    {"name": "sex", "type": "category", "role": "input"},
    {"name": "nothing", "type": "category", "role": "input"},
    {"name": "note", "type": "text", "role": "input"},
    {"name": "label", "type": "number", "role": "label"},
]


def mixed_table(n: int, seed: int = 3) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    a = rng.normal(size=n) * 100
    a[rng.random(n) < 0.1] = np.nan
    b = rng.integers(-2, 3, n).astype(float)
    b[:2] = [np.inf, -np.inf]
    when = np.datetime64("2024-01-01", "us") + rng.integers(0, 10**14, n).astype("m8[us]")
    when[3] = np.datetime64("NaT")
    words = np.array(["good", "bad", "late", "ship", "cost", ""], object)
    pick = lambda values, p=None: rng.choice(np.array(values, object), n, p=p)  # noqa: E731
    return {
        "a": a,
        "b": b,
        "flag": rng.integers(0, 2, n).astype(float),
        "empty": np.full(n, np.nan),
        "when": when,
        "until": when + np.timedelta64(36, "h"),
        "city": pick([f"c{i}" for i in range(30)] + ["", None]),
        "colour": pick(["red", "green", "blue", None], [0.6, 0.2, 0.1, 0.1]),
        "sex": pick(["f", "m", None], [0.5, 0.4, 0.1]),
        "nothing": np.full(n, None, object),
        "note": np.array([" ".join(rng.choice(words, 4)) for _ in range(n)], object),
        "label": np.zeros(n),
    }


def fitted(plan: dict[str, Any], n_classes: int, n: int = 300) -> tuple[Any, Any, Any, Any]:
    columns = mixed_table(n)
    rng = np.random.default_rng(5)
    y = rng.integers(0, n_classes, n) if n_classes else rng.normal(1e6, 1, n)
    rows = rng.permutation(n * 3)[:n].astype(np.int64)
    return columns, y, rows, fit_encoding(columns, SCHEMA, y, n_classes, rows, plan, seed=7)


def test_known_answers() -> None:
    columns = {
        "n": np.array([1.0, np.nan, 3.0, np.inf]),
        "c": np.array(["x", "x", None, "y"], object),
        "d": np.array(["2024-12-31T12:00", "NaT", "2024-02-29", "2024-01-01"], "M8[us]"),
    }
    schema = [
        {"name": name, "type": kind, "role": "input"}
        for name, kind in (("n", "number"), ("c", "category"), ("d", "date"))
    ]
    plan = {**PLAIN, "missing_indicators": True}
    state = fit_encoding(columns, schema, np.arange(4.0), 0, np.arange(4), plan, seed=1)
    at = {name: j for j, name in enumerate(state["names"])}
    matrix = encode(columns, state)
    nan = np.nan
    np.testing.assert_array_equal(matrix[:, at["n"]], np.float32([1, nan, 3, nan]))
    np.testing.assert_array_equal(matrix[:, at["n is missing"]], [0, 1, 0, 1])
    np.testing.assert_array_equal(matrix[:, at["c"]], np.float32([0, 0, nan, 1]))
    np.testing.assert_array_equal(matrix[:, at["d hour"]], np.float32([12, nan, 0, 0]))
    np.testing.assert_array_equal(matrix[:, at["d month"]], np.float32([12, nan, 2, 1]))
    np.testing.assert_array_equal(matrix[:, at["d day of year"]], np.float32([366, nan, 60, 1]))
    assert "d year" not in at  # constant
    assert state["sources"][at["d hour"]] == ["d"]


@given(st.datetimes())
def test_date_parts_agree_with_the_calendar(moment: Any) -> None:
    dates = np.array([moment], "M8[us]")
    parts = {
        "year": moment.year, "month": moment.month, "day": moment.day,
        "weekday": moment.weekday(), "day of year": moment.timetuple().tm_yday,
    }  # fmt: skip
    assert {part: date_part(dates, part)[0] for part in parts} == parts
    clock = moment.hour + moment.minute / 60 + (moment.second + moment.microsecond / 1e6) / 3600
    assert date_part(dates, "hour")[0] == pytest.approx(clock, abs=1e-9)


def test_quantiles_give_ties_their_middle_rank() -> None:
    columns = {"n": np.array([5.0] * 6 + [9.0] * 2 + [np.nan])}
    schema = [{"name": "n", "type": "number", "role": "input"}]
    plan = {**PLAIN, "numbers": "quantile"}
    state = fit_encoding(columns, schema, np.zeros(9), 0, np.arange(9), plan, seed=1)
    from statistics import NormalDist

    expected = [NormalDist().inv_cdf(6 / 16), NormalDist().inv_cdf(14 / 16), 0]
    got = encode({"n": np.array([5.0, 9.0, np.nan])}, state)[:, 0]
    np.testing.assert_allclose(got, expected, rtol=1e-6)


@pytest.mark.parametrize("n_classes", [0, 2, 3])
@pytest.mark.parametrize("plan", PLANS)
def test_batch_equals_single_in_any_order(plan: dict[str, Any], n_classes: int) -> None:
    columns, y, rows, state = fitted(plan, n_classes)
    whole = encode(columns, state)
    assert whole.dtype == np.float32
    assert whole.shape == (300, len(state["names"])) == (300, len(state["sources"]))
    assert not np.isinf(whole).any()
    if plan["numbers"] != "raw":
        assert not np.isnan(whole).any()
    order = np.random.default_rng(1).permutation(300)
    shuffled = {name: values[order] for name, values in columns.items()}
    np.testing.assert_array_equal(encode(shuffled, state), whole[order])
    train = encode_train(columns, y, rows, state)
    np.testing.assert_array_equal(
        encode_train(shuffled, y[order], rows[order], state), train[order]
    )
    for i in range(0, 300, 17):
        one = {name: values[i : i + 1] for name, values in columns.items()}
        assert encode(one, state).tobytes() == whole[i : i + 1].tobytes()


@pytest.mark.parametrize("n_classes", [0, 2, 3])
@pytest.mark.parametrize("plan", PLANS)
def test_train_differs_only_in_target_columns(plan: dict[str, Any], n_classes: int) -> None:
    columns, y, rows, state = fitted(plan, n_classes)
    same = np.array(["deviation" not in name and "share" not in name for name in state["names"]])
    new, train = encode(columns, state), encode_train(columns, y, rows, state)
    np.testing.assert_array_equal(new[:, same], train[:, same])
    if not same.all():
        assert (new[:, ~same] != train[:, ~same]).any()


@pytest.mark.parametrize("plan", PLANS)
def test_saved_and_fitted_again_give_the_same_bits(plan: dict[str, Any], tmp_path: Path) -> None:
    columns, y, rows, state = fitted(plan, 3)
    save_encoding(state, tmp_path)
    loaded = load_encoding(tmp_path)
    assert encode(columns, loaded).tobytes() == encode(columns, state).tobytes()
    train = encode_train(columns, y, rows, state).tobytes()
    assert encode_train(columns, y, rows, loaded).tobytes() == train
    again = fit_encoding(columns, SCHEMA, y, 3, rows, plan, seed=7)
    assert encode_train(columns, y, rows, again).tobytes() == train


@pytest.mark.parametrize("n_classes", [0, 3])
def test_counting_chunks_equals_counting_at_once(n_classes: int) -> None:
    columns, y, rows, state = fitted(PLANS[4], n_classes)
    streamed = blank_targets(state)
    for low in range(0, 300, 70):
        part = {name: values[low : low + 70] for name, values in columns.items()}
        streamed = count_targets(part, y[low : low + 70], rows[low : low + 70], streamed)
    np.testing.assert_allclose(
        encode_train(columns, y, rows, streamed), encode_train(columns, y, rows, state), rtol=1e-6
    )


@pytest.mark.parametrize("n_classes", [0, 2, 3])
def test_target_means_agree_with_the_readable_twin(n_classes: int) -> None:
    columns, y, rows, state = fitted(
        {**PLAIN, "categories": "target", "onehot_limit": 2}, n_classes
    )
    part = next(p for p in state["parts"] if p.get("sources_read") == ["city"])
    weight = shrinkage(part["counts"].sum(0), part["sums"].sum(0), state["moments"])
    at = next(j for j, s in enumerate(state["sources"]) if s == ["city"])
    wanted = 1 if n_classes == 2 else 0
    label = (y == wanted).astype(float)
    if n_classes == 0:
        label = np.clip(y, *np.quantile(y, [0.01, 0.99]))
        label -= label.mean()
    folds = encoding_folds(rows, state)
    got = encode_train(columns, y, rows, state)[:, at]
    for i in range(0, 300, 7):
        alike = [
            j for j in range(300)
            if columns["city"][j] == columns["city"][i] and folds[j] != folds[i]
        ]  # fmt: skip
        total = sum(label[j] for j in alike) + weight[0] * label.mean()
        assert got[i] == pytest.approx(total / (len(alike) + weight[0]), rel=1e-5, abs=1e-9)


def test_a_category_of_chance_says_nothing_out_of_fold() -> None:
    rng = np.random.default_rng(2)
    n = 6000
    columns = {"id": np.array([f"v{v}" for v in rng.integers(0, 1500, n)], object)}
    y, rows = rng.integers(0, 2, n), np.arange(n)
    schema = [{"name": "id", "type": "category", "role": "input"}]
    state = fit_encoding(columns, schema, y, 2, rows, {**PLAIN, "categories": "target"}, seed=7)
    out_of_fold = roc_auc_score(y, encode_train(columns, y, rows, state)[:, 0])
    in_fold = roc_auc_score(y, encode(columns, state)[:, 0])
    assert abs(out_of_fold - 0.5) < 0.03
    assert in_fold > 0.6  # what leaking would look like


@pytest.mark.parametrize("plan", PLANS)
def test_strange_new_rows_are_encoded(plan: dict[str, Any]) -> None:
    state = fitted(plan, 2)[3]
    strange = {
        "a": np.array([np.nan, np.inf, 1e308, -1e308]),
        "b": np.array([0.0, -np.inf, 1e-308, np.nan]),
        "flag": np.full(4, np.nan),
        "empty": np.array([1.0, 2.0, np.nan, np.inf]),
        "when": np.array(["NaT", "0001-01-01", "9999-12-31", "1970-01-01"], "M8[us]"),
        "until": np.full(4, np.datetime64("NaT"), "M8[us]"),
        "city": np.array(["", None, "never seen", "\x1f"], object),
        "colour": np.array([None, "", "red", np.nan], object),
        "sex": np.array(["f", "x", None, ""], object),
        "nothing": np.array(["something", None, "", "x"], object),
        "note": np.array([None, "", "🙂 never", "good bad good"], object),
    }
    matrix = encode(strange, state)
    assert matrix.shape == (4, len(state["names"]))
    assert not np.isinf(matrix).any()
    nothing = {name: values[:0] for name, values in strange.items()}
    assert encode(nothing, state).shape == (0, len(state["names"]))


def test_a_table_that_says_nothing_still_gives_a_matrix() -> None:
    columns = {"k": np.array([4.0, 4.0]), "e": np.array([None, None], object)}
    schema = [
        {"name": "k", "type": "number", "role": "input"},
        {"name": "e", "type": "category", "role": "input"},
    ]
    state = fit_encoding(columns, schema, np.array([0, 1]), 2, np.arange(2), PLAIN, seed=1)
    assert encode(columns, state).tolist() == [[0.0], [0.0]]


@settings(max_examples=15, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.one_of(st.floats(), st.just(float("nan"))), st.one_of(st.none(), st.text(max_size=3))
        ),
        min_size=1,
        max_size=30,
    ),
    st.sampled_from(PLANS),
)
def test_any_table_encodes_alone_as_in_a_batch(values: list[Any], plan: dict[str, Any]) -> None:
    columns = {
        "a": np.array([v[0] for v in values]),
        "b": np.array([v[0] for v in values][::-1]),
        "city": np.array([v[1] for v in values], object),
        "colour": np.array([v[1] for v in values][::-1], object),
        "note": np.array([v[1] for v in values], object),
    }
    schema = [f for f in SCHEMA if f["name"] in columns]
    y, rows = np.arange(len(values)) % 2, np.arange(len(values))
    state = fit_encoding(columns, schema, y, 2, rows, plan, seed=7)
    whole = encode(columns, state)
    assert not np.isinf(whole).any()
    for i in range(len(values)):
        one = encode({name: column[i : i + 1] for name, column in columns.items()}, state)
        assert one.tobytes() == whole[i : i + 1].tobytes()
