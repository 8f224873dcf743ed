"""One row encodes as a batch does, bit for bit: the columnar features are the slow twin."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promise.data.columns import Columns
from promise.data.schema import Field
from promise.features.one import OneRow, compile_row, interpolated
from promise.features.table import FittedTableFeatures, TableFeatures
from promise.features.terms import runs
from promise.features.values import column_of, reader
from promise.kernels.encoding import fit_encoding

CHECKED = settings(deadline=None, max_examples=120)
FIELDS = (
    Field("height", "number"),
    Field("weight", "number"),
    Field("smokes", "boolean"),
    Field("town", "category", nulls=("?",)),
    Field("size", "category"),
    Field("note", "text"),
    Field("born", "date"),
    Field("seen", "date", format="%d/%m/%Y"),
)
TERMS = [["height", sign, "weight"] for sign in "/*-+"] + [["smokes", "*", "height"]]
CROSSES = [["town", "size"]]
TOWNS, WORDS = ("Oslo", "Rome", "Bonn", "Łódź"), ("red", "green", "blue", "old", "new")

numbers = st.one_of(
    st.none(), st.floats(-300, 300), st.integers(-300, 300), st.booleans(),
    st.sampled_from([0.0, -0.0, 1e-320, 3e38, -3.2e38, 1e39, 1.7e308, 170.0]),
)  # fmt: skip
years = st.integers(1, 9999).map("{:04d}".format)
days = st.builds(lambda m, d: f"{m:02d}-{d:02d}", st.integers(1, 12), st.integers(1, 28))
clocks = st.sampled_from(["", "T00:00", "T23:59:59.999999", " 07:30:15.25", "T12:00+05:30"])
rows = st.tuples(
    numbers,
    numbers,
    st.one_of(st.none(), st.booleans(), st.integers(-1, 2)),
    st.sampled_from([None, *TOWNS, " Rome ", "?", "", "Paris", 7, 2.5, True]),
    st.sampled_from([None, 40, 41, 42.0, "40", "none", 43]),
    st.one_of(st.none(), st.lists(st.sampled_from((*WORDS, "Unheard")), max_size=9).map(" ".join)),
    st.one_of(st.none(), st.builds(lambda y, d, c: f"{y}-{d}{c}", years, days, clocks)),
    st.one_of(st.none(), st.dates().map(lambda day: day.strftime("%d/%m/%Y"))),
)


def sample(n_rows: int) -> list[tuple[Any, ...]]:
    """Return ordinary rows to learn from, with gaps."""
    rng = np.random.default_rng(1)
    found = []
    for _ in range(n_rows):
        day = rng.integers(1, 29)
        row = (
            round(float(rng.normal(170, 10)), 1), float(rng.lognormal(4, 0.4)),
            bool(rng.random() < 0.4), str(rng.choice(TOWNS, p=(0.5, 0.3, 0.15, 0.05))),
            int(rng.integers(40, 44)), " ".join(rng.choice(WORDS, size=3)),
            f"{rng.integers(1950, 2010)}-{rng.integers(1, 13):02d}-{day:02d}T07:30",
            f"{day:02d}/{rng.integers(1, 13):02d}/2025",
        )  # fmt: skip
        found.append(tuple(None if rng.random() < 0.1 else value for value in row))
    return found


def columns(many: list[tuple[Any, ...]]) -> dict[str, Any]:
    cells = zip(*many, strict=True)
    return {field.name: column_of(v, field) for field, v in zip(FIELDS, cells, strict=True)}


def fitted(n_classes: int, **plan: Any) -> FittedTableFeatures:
    arrays = columns(sample(200))
    features = replace(TableFeatures(text_size=3), **plan)
    fields = [
        {"name": f.name, "type": f.type, "role": f.role, "nulls": f.nulls, "format": f.format}
        for f in FIELDS
    ]
    y = np.random.default_rng(2).normal(size=200)
    y = (np.argsort(np.argsort(y)) * n_classes // 200) if n_classes else y
    shown = features.plan(TERMS, CROSSES)
    state = fit_encoding(arrays, fields, y, n_classes, np.arange(200), shown, seed=3)
    return FittedTableFeatures(state)


def compiled(features: FittedTableFeatures) -> OneRow:
    row = compile_row(features, FIELDS)
    assert row is not None
    return row


def read(values: tuple[Any, ...]) -> list[Any]:
    return [v if f.type == "number" else reader(f)(v) for v, f in zip(values, FIELDS, strict=True)]


def bits(matrix: np.ndarray) -> np.ndarray:
    """Return the bits of a matrix; NaN has many spellings, so all get one."""
    plain = np.where(np.isnan(matrix), np.float32(np.nan), matrix)
    return plain.view(np.uint32)


PLANS: dict[str, dict[str, Any]] = {
    "plain": {},
    "mixed": {"categories": "mixed", "onehot_limit": 3},
    "onehot": {"categories": "onehot", "missing_indicators": True},
    "target": {"categories": "onehot", "onehot_limit": 2},
    "linear": {"categories": "onehot", "numbers": "both", "missing_indicators": True},
    "quantile": {"numbers": "quantile", "text": "none"},
    "reference": {"categories": "simple", "numbers": "mean", "text": "none"},
    "shares": {"categories": "simple", "numbers": "standard", "onehot_limit": 1, "dates": False},
}
VIEWS = {(n, name): fitted(n, **plan) for n in (0, 2, 3) for name, plan in PLANS.items()}
COMPILED = {key: compiled(features) for key, features in VIEWS.items()}


@pytest.mark.slow
@CHECKED
@given(rows)
def test_a_row_encodes_alike_alone_and_in_columns(values: tuple[Any, ...]) -> None:
    table = Columns(columns([values]))
    row = read(values)
    for key, features in VIEWS.items():
        with np.errstate(all="ignore"):
            slow = features.predict(table)
        fast = COMPILED[key].encode(row)
        assert np.array_equal(bits(fast), bits(slow)), key


def test_rows_do_not_remember_the_row_before() -> None:
    many = sample(60)
    table = Columns(columns(many))
    for key, features in VIEWS.items():
        slow = bits(features.predict(table))
        for number, values in enumerate(many):
            assert np.array_equal(bits(COMPILED[key].encode(read(values)))[0], slow[number]), key


def test_a_row_may_hold_numbers_as_text() -> None:
    values = ("170.5", " 1e3 ", *sample(1)[0][2:])
    for key, features in VIEWS.items():
        slow = features.predict(Columns(columns([values])))
        assert np.array_equal(bits(COMPILED[key].encode(read(values))), bits(slow))


def test_times_that_no_calendar_holds_take_the_kernel() -> None:
    far = [read(values) for values in sample(3)]
    for row, born, seen in zip(far, (2**62, -(2**62), 2**60), (0, -(2**61), None), strict=True):
        row[6], row[7] = born, seen
    table = columns(sample(3))
    table["born"] = np.array([row[6] for row in far]).view("M8[us]")
    table["seen"] = np.array([0, -(2**61), np.iinfo(np.int64).min]).view("M8[us]")
    for row, values in zip(far, zip(*[table[f.name] for f in FIELDS], strict=True), strict=True):
        row[:6] = [v if isinstance(v, str | None) else float(v) for v in values[:6]]
    for key, features in VIEWS.items():
        slow = bits(features.predict(Columns(table)))
        for number, row in enumerate(far):
            assert np.array_equal(bits(COMPILED[key].encode(row))[0], slow[number]), key


def test_a_scale_of_zero_is_left_to_the_kernel() -> None:
    features = VIEWS[0, "reference"]
    parts = [dict(part) for part in features.state["parts"]]
    parts[0]["scale"] = np.array(parts[0]["scale"])
    parts[0]["scale"][0] = 0.0
    odd = FittedTableFeatures({**features.state, "parts": parts})
    many = sample(20)
    with np.errstate(all="ignore"):
        slow = bits(odd.predict(Columns(columns(many))))
        fast = compiled(odd)
        for number, values in enumerate(many):
            assert np.array_equal(bits(fast.encode(read(values)))[0], slow[number])


def test_nothing_to_read_is_a_column_of_zeros() -> None:
    state = {**VIEWS[0, "plain"].state, "names": ["nothing"], "inputs": [], "sources": [[]]}
    state["parts"] = [{"kind": "constant", "names": ["nothing"], "sources": [[]]}]
    assert compiled(FittedTableFeatures(state)).encode((1.0,)).tolist() == [[0.0]]


def test_an_unknown_part_is_not_compiled() -> None:
    state = VIEWS[0, "plain"].state
    unknown = {**state, "parts": [{"kind": "sound", "names": state["names"], "sources": []}]}
    assert compile_row(FittedTableFeatures(unknown), FIELDS) is None


@CHECKED
@given(
    st.floats(allow_nan=False, allow_infinity=False),
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=9),
    st.lists(st.floats(-9, 9), min_size=9, max_size=9),
    st.integers(0, 8),
)
def test_interpolation_is_numpys(x: float, grid: list[float], scores: list[float], at: int) -> None:
    grid, scores = sorted(set(grid)), scores[: len(set(grid))]
    grid, scores = grid + grid[-1:] * 3, scores + scores[-1:] * 3  # padded as the kernel pads
    for value in (x, grid[at % len(grid)]):
        with np.errstate(all="ignore"):
            expected = np.interp(np.array([value]), grid, scores)[0]
        assert np.array_equal(interpolated(value, grid, scores), expected, equal_nan=True)


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ([], []),
        ([["t", "year"], ["u", "year"]], [(("t", "year"),), (("u", "year"),)]),
        ([["a", "/", "b"], ["a", "/", "c"]], [(("a", "/", "b"),), (("a", "/", "c"),)]),
    ],
)
def test_runs_keep_the_order_of_terms(terms: list[list[str]], expected: list[Any]) -> None:
    assert runs(terms) == expected
