"""Table features: every view keeps its contract, and combinations stay only where they help."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from promise.data.answer import Answer, Class, Number
from promise.data.columns import Columns
from promise.data.schema import Field, Schema
from promise.errors import ConfigError, DataError
from promise.features.table import VIEWS, FittedTableFeatures, TableFeatures, view
from promise.job import Job
from promise.models.base import Examples

SCHEMA = Schema(
    (
        Field("price", "number"),
        Field("rooms", "number"),
        Field("when", "date"),
        Field("city", "category"),
        Field("kind", "category"),
        Field("note", "text"),
        Field("sold", "boolean", role="label"),
    )
)


def sales(n: int = 400, *, answer: Answer | None = None, seed: int = 1) -> Examples:
    rng = np.random.default_rng(seed)
    price, rooms = rng.uniform(1, 100, n), rng.integers(1, 9, n).astype(float)
    city = rng.integers(0, 40, n)
    y = (price / rooms > 12).astype(np.int64)
    price[rng.random(n) < 0.05] = np.nan
    columns = {
        "price": price,
        "rooms": rooms,
        "when": np.datetime64("2025-01-01", "us") + rng.integers(0, 10**13, n).astype("m8[us]"),
        "city": np.array([f"c{c}" for c in city], object),
        "kind": np.array(["house", "flat", None], object)[rng.integers(0, 3, n)],
        "note": np.array(["sunny quiet", "quiet", "loud bar", None], object)[city % 4],
    }
    answer = answer or Class(("no", "yes"))
    labels = y if isinstance(answer, Class) else price / rooms
    return Examples(Columns(columns), np.nan_to_num(labels), answer, rows=np.arange(n) * 3)


@pytest.mark.slow
@pytest.mark.parametrize("answer", [Class(("no", "yes")), Number()])
@pytest.mark.parametrize("name", VIEWS)
def test_views_keep_the_contract(name: str, answer: Answer, tmp_path: Path) -> None:
    train = sales(answer=answer)
    features = view(name, SCHEMA)
    assert TableFeatures(**json.loads(json.dumps(asdict(features)))) == features
    fitted = features.fit(train, None, Job(seed=3))
    matrix = fitted.predict(train.columns)
    assert matrix.dtype == np.float32
    assert matrix.shape == (400, len(fitted.names)) == (400, len(fitted.sources))
    assert len(set(fitted.names)) == len(fitted.names)
    one = fitted.predict(train.columns.take(np.array([7])))
    assert one.tobytes() == matrix[7:8].tobytes()
    fitted.save(tmp_path)
    loaded = FittedTableFeatures.load(tmp_path)
    train_matrix = fitted.train_matrix(train)
    assert loaded.predict(train.columns).tobytes() == matrix.tobytes()
    assert loaded.train_matrix(train).tobytes() == train_matrix.tobytes()
    again = features.fit(train, None, Job(seed=3)).train_matrix(train)
    assert again.tobytes() == train_matrix.tobytes()
    if name in ("linear", "reference"):
        assert np.isfinite(matrix).all()
    for at in fitted.categorical:
        codes = matrix[:, at][~np.isnan(matrix[:, at])]
        assert set(codes) == set(range(len(set(codes))))


def test_only_inputs_are_read() -> None:
    fitted = view("plain", SCHEMA).fit(sales(), None, Job())
    read = {name for source in fitted.sources for name in source}
    assert read == set(SCHEMA.names) - {"sold"}


def test_arithmetic_stays_where_it_helps_and_only_there() -> None:
    features = TableFeatures(SCHEMA.to_json(), text="none", arithmetic=3)
    helped = features.fit(sales(1500), None, Job()).state["plan"]["arithmetic"]
    assert {"price", "rooms"} == {helped[0][0], helped[0][2]}
    rng = np.random.default_rng(0)
    chance = sales(1500)
    chance = Examples(chance.columns, rng.integers(0, 2, 1500), chance.answer, rows=chance.rows)
    assert features.fit(chance, None, Job()).state["plan"]["arithmetic"] == []


@pytest.mark.slow
def test_crosses_stay_where_they_help() -> None:
    rng = np.random.default_rng(4)
    a, b = rng.integers(0, 12, 3000), rng.integers(0, 12, 3000)
    effect = rng.normal(size=(12, 12))
    columns = Columns(
        {n: np.array([f"v{v}" for v in values], object) for n, values in (("a", a), ("b", b))}
    )
    schema = Schema((Field("a", "category"), Field("b", "category")))
    y = effect[a, b] + rng.normal(size=3000) * 0.3
    features = TableFeatures(schema.to_json(), categories="onehot", crosses=2)
    fitted = features.fit(Examples(columns, y, Number()), None, Job())
    assert fitted.state["plan"]["crosses"] == [["a", "b"]]
    at = fitted.names.index("a × b target deviation")
    matrix = fitted.train_matrix(Examples(columns, y, Number()))
    assert np.corrcoef(matrix[:, at], effect[a, b])[0, 1] > 0.9


def test_combinations_are_skipped_on_few_rows() -> None:
    features = TableFeatures(SCHEMA.to_json(), arithmetic=3)
    assert features.fit(sales(150), None, Job()).state["plan"]["arithmetic"] == []


def test_mistakes_are_named() -> None:
    with pytest.raises(ConfigError, match="did you mean 'linear'"):
        view("liner", SCHEMA)
    fitted = view("plain", SCHEMA).fit(sales(), None, Job())
    with pytest.raises(DataError, match="no column 'city'"):
        fitted.predict(Columns({"price": np.array([1.0])}))
    with pytest.raises(DataError, match="no training rows"):
        view("plain", SCHEMA).fit(sales().take(np.arange(0)), None, Job())


@pytest.mark.slow
def test_ten_thousand_columns_are_encoded() -> None:
    rng = np.random.default_rng(0)
    columns = {f"x{i}": rng.normal(size=300) for i in range(10_000)}
    schema = Schema(tuple(Field(name, "number") for name in columns))
    examples = Examples(Columns(columns), rng.normal(size=300), Number())
    fitted = view("rich", schema).fit(examples, None, Job())
    assert fitted.predict(examples.columns).shape == (300, 10_000)
