"""A bound pipeline answers like the pipeline itself, to the last bit, only sooner."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promise.data.answer import Answer, Class, Number
from promise.data.columns import Columns
from promise.data.schema import Field, Schema
from promise.errors import ConfigError
from promise.features.table import FittedTableFeatures, view
from promise.features.views import Views
from promise.job import Job
from promise.models.base import MATRIX, Estimator, Examples
from promise.models.baseline import Baseline
from promise.models.blend import Blend, Member
from promise.models.boosting import LightGBM, XGBoost
from promise.models.linear import Linear
from promise.models.mlp import Perceptron
from promise.models.trees import DecisionTree, Forest
from promise.pipeline import bind as bind_module
from promise.pipeline.answers import answer_rows
from promise.pipeline.bind import Bound, bind, columns_of, heuristic_answer
from promise.pipeline.conformance import BoundConformance, Row
from promise.pipeline.pipeline import Pipeline
from promise.pipeline.policy import Threshold
from promise.pipeline.request import request_from_rows
from promise.pipeline.task import Task

JOB = Job(seed=5)
SCHEMA = Schema(
    (
        Field("height", "number", unit="cm"),
        Field("weight", "number"),
        Field("smokes", "boolean"),
        Field("town", "category", nulls=("?",)),
        Field("size", "category"),
        Field("note", "text"),
        Field("born", "date"),
    )
)
TOWNS, WORDS = ("Oslo", "Rome", "Bonn", "Łódź"), ("red", "green", "blue", "old", "new")
BINARY, THREE = Class(("no", "yes")), Class(("low", "mid", "high"))
MANY = Class(tuple(f"class {i}" for i in range(130)))
Members = Sequence[tuple[str, float, Estimator]]


@cache
def table(n_rows: int = 160) -> tuple[list[Row], np.ndarray]:
    """Return rows as clients send them, with gaps, and a quantity that depends on them."""
    rng = np.random.default_rng(3)
    rows = []
    for _ in range(n_rows):
        row = {
            "height": round(float(rng.normal(170, 10)), 1),
            "weight": float(rng.lognormal(4, 0.3)),
            "smokes": bool(rng.random() < 0.3),
            "town": str(rng.choice(TOWNS, p=(0.5, 0.3, 0.15, 0.05))),
            "size": int(rng.integers(36, 42)),
            "note": " ".join(rng.choice(WORDS, size=3)),
            "born": f"{rng.integers(1950, 2005)}-{rng.integers(1, 13):02d}-09T07:30:15.25",
        }
        rows.append({k: None if rng.random() < 0.1 else v for k, v in row.items()})
    signal = [(r["height"] or 170.0) / 10 + len(r["town"] or "") + (r["size"] or 0) for r in rows]
    return rows, np.array(signal) + 0.2 * rng.normal(size=n_rows)


@cache
def examples(answer: Answer) -> Examples:
    rows, y = table()
    if isinstance(answer, Class):
        edges = np.quantile(y, np.linspace(0, 1, min(answer.n_classes, 12) + 1)[1:-1])
        y = np.searchsorted(edges, y).astype(np.int64)
    columns = request_from_rows(rows, SCHEMA)
    return Examples(columns, y, answer, rows=np.arange(len(y)))


@cache
def fitted_view(name: str, answer: Answer) -> FittedTableFeatures:
    plan = replace(view(name, SCHEMA), text_size=3, arithmetic=0, crosses=0)
    return plan.fit(examples(answer), None, JOB)


def pipeline_of(
    answer: Answer,
    members: Members,
    *,
    temperature: float | None = None,
    multipliers: tuple[float, ...] | None = None,
    heuristic: tuple[float, ...] = (),
) -> Pipeline:
    """Train the members on their views' matrices and put a pipeline together."""
    train, fitted = examples(answer), []
    views = {name: fitted_view(name, answer) for name, _, _ in members}
    for name, weight, estimator in members:
        shown = views[name]
        matrix = Columns({MATRIX: shown.train_matrix(train)})
        seen = replace(train, columns=matrix, names=shown.names, categorical=shown.categorical)
        fitted.append(Member(name, weight, estimator.fit(seen, None, JOB)))
    task = Task("tabular", SCHEMA, answer, "y", "r2", heuristic=heuristic)
    score, decide = Blend(tuple(fitted), temperature), Threshold(answer, multipliers)
    return Pipeline(task, score, decide, Views(views))


FAMILIES: Mapping[str, Members] = {
    "lightgbm": [("plain", 1.0, LightGBM(rounds=12, min_leaf=5))],
    "lightgbm with lines": [("encoded", 1.0, LightGBM(rounds=8, linear_leaves=True))],
    "xgboost": [("plain", 1.0, XGBoost(rounds=12))],
    "linear": [("linear", 1.0, Linear())],
    "curved": [("linear", 1.0, Linear(basis="rbf"))],
    "mlp": [("linear", 1.0, Perceptron(epochs=2))],
    "tree": [("plain", 1.0, DecisionTree())],
    "forest": [("plain", 1.0, Forest(n_trees=9))],
    "extra trees": [("reference", 1.0, Forest(n_trees=5, variant="extra"))],
    "baseline": [("plain", 1.0, Baseline())],
}
BLEND: Members = [
    ("plain", 0.5, LightGBM(rounds=12, min_leaf=5)),
    ("encoded", 0.3, XGBoost(rounds=12)),
    ("plain", 0.2, Forest(n_trees=5)),
]


@cache
def trained() -> list[tuple[str, Pipeline]]:
    found = []
    for name, members in FAMILIES.items():
        for answer in (Number(), BINARY, THREE):
            found.append((f"{name}, {answer}", pipeline_of(answer, members)))
    found.append(("blend of numbers", pipeline_of(Number(), BLEND)))
    for answer in (BINARY, THREE):
        multipliers = tuple(1.0 + 0.7 * i for i in range(answer.n_classes))
        found.append(
            (
                f"blend, {answer}",
                pipeline_of(answer, BLEND, temperature=1.3, multipliers=multipliers),
            )
        )
    found.append(("many classes", pipeline_of(MANY, FAMILIES["lightgbm"], temperature=0.8)))
    found.append(("many classes of trees", pipeline_of(MANY, FAMILIES["forest"])))
    return found


class TestFamilies(BoundConformance):
    """Every family of models, alone and blended, for every kind of answer."""

    def cases(self) -> Iterator[tuple[str, Pipeline, list[Row]]]:
        for name, pipeline in trained():
            yield name, pipeline, table()[0][:60]


values = st.tuples(
    st.one_of(st.none(), st.floats(-1e3, 1e3), st.integers(-(10**18), 10**18), st.booleans()),
    st.one_of(st.none(), st.sampled_from([0.0, -0.0, 3.2e38, -1e300, 1e-310])),
    st.one_of(st.none(), st.booleans(), st.integers(-1, 2)),
    st.one_of(st.none(), st.sampled_from([*TOWNS, " Rome ", "?", "Paris"]), st.floats(0, 9)),
    st.one_of(st.none(), st.integers(34, 43), st.sampled_from(["36", " 37", "tall"])),
    st.one_of(st.none(), st.lists(st.sampled_from((*WORDS, "x")), max_size=5).map(" ".join)),
    st.one_of(st.none(), st.integers(0, 2), st.sampled_from(["1999-02-03", "soon", "2000-01-01Z"])),
)


@pytest.mark.slow
@settings(deadline=None, max_examples=30)
@given(st.lists(values, min_size=1, max_size=4))
def test_whatever_is_sent_one_equals_many(rows: list[tuple[Any, ...]]) -> None:
    for name, bound in _bound():
        whole = bound.many(rows)
        assert [bound.one(row) for row in rows] == whole, name
        assert [bound.many([row])[0] for row in rows] == whole, name


@cache
def _bound() -> list[tuple[str, Bound]]:
    return [(name, bind(pipeline)) for name, pipeline in trained() if "blend" in name]


def test_blocks_are_bounded_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline, rows = pipeline_of(BINARY, FAMILIES["lightgbm"]), table()[0]
    sent = [tuple(row.values()) for row in rows]
    whole = bind(pipeline).many(sent)
    sizes: list[int] = []

    def counted(part: Any, schema: Schema) -> Columns:
        sizes.append(len(part))
        return columns_of(part, schema)

    monkeypatch.setattr(bind_module, "BLOCK_ROWS", 50)
    monkeypatch.setattr(bind_module, "columns_of", counted)
    bound = bind(pipeline)
    sizes.clear()
    assert bound.many(sent) == whole
    assert sizes == [50, 50, 50, 10]


def test_a_batch_may_mix_types_that_one_column_cannot_hold() -> None:
    bound = bind(pipeline_of(Number(), FAMILIES["lightgbm"]))
    first = tuple(table()[0][0].values())
    mixed = [(True, *first[1:4], 36, *first[5:]), (1.5, *first[1:4], "36", *first[5:])]
    assert bound.many(mixed) == [bound.one(row) for row in mixed]


def test_an_unknown_stage_takes_the_columnar_path() -> None:
    pipeline = pipeline_of(BINARY, FAMILIES["lightgbm"])
    odd = replace(pipeline, decide=_Other(BINARY))  # type: ignore[arg-type]
    bound, rows = bind(odd), table()[0][:5]
    assert not bound.fast
    slow = answer_rows(odd, odd.predict(request_from_rows(rows, SCHEMA)))
    assert [bound.one(tuple(row.values())) for row in rows] == slow


class _Other:
    kind, kind_version = "other", 1

    def __init__(self, answer: Answer) -> None:
        self._usual = Threshold(answer)

    def many(self, columns: Columns, output: np.ndarray) -> Columns:
        return self._usual.many(columns, output[:, ::-1])


def test_a_fast_path_that_differs_is_left_aside(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pipeline = pipeline_of(Number(), FAMILIES["lightgbm"])
    expected = bind(pipeline).many([tuple(table()[0][0].values())])
    output = bind_module.OneAnswer.output
    monkeypatch.setattr(
        bind_module.OneAnswer, "output", lambda self, row, seen=None: [output(self, row)[0] + 1e-9]
    )
    bound = bind(pipeline)
    assert not bound.fast
    assert bound.one(tuple(table()[0][0].values())) == expected[0]
    assert "columnar path" in caplog.text


def test_rows_in_time_are_answered_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bind_module, "BLOCK_ROWS", 3)
    seen: list[int] = []
    schema = Schema((Field("when", "date", role="time"), Field("x", "number")))

    class Recorder:
        def many(self, columns: Columns) -> np.ndarray:
            seen.append(columns.n_rows)
            return columns["x"]

    task = Task("tabular", schema, Number(), "y", "r2")
    bound = bind(Pipeline(task, score=Recorder(), decide=Threshold()))  # type: ignore[arg-type]
    rows = [(f"2024-01-{day:02d}", float(day)) for day in range(1, 9)]
    assert bound.many(rows) == [{"prediction": float(day)} for day in range(1, 9)]
    assert seen == [8]
    assert bound.one(rows[2]) == {"prediction": 3.0}


def test_answers_above_a_hundred_classes_show_five() -> None:
    answer = bind(pipeline_of(MANY, FAMILIES["lightgbm"])).one(tuple(table()[0][0].values()))
    shares = list(answer["probability"].values())
    assert len(shares) == 5
    assert shares == sorted(shares, reverse=True)
    assert answer["prediction"] == next(iter(answer["probability"]))


def test_it_explains_as_the_pipeline_does() -> None:
    pipeline, rows = pipeline_of(BINARY, FAMILIES["lightgbm"]), table()[0][:3]
    found = bind(pipeline).explain([tuple(row.values()) for row in rows])
    assert len(found) == 3
    assert set(found[0]) == {"contributions", "base", "explained", "of_class"}
    with pytest.raises(ConfigError, match="native contributions"):
        bind(pipeline_of(BINARY, FAMILIES["forest"])).explain([tuple(rows[0].values())])


def test_the_last_resort_is_the_tasks_own() -> None:
    number = pipeline_of(Number(), FAMILIES["baseline"], heuristic=(4.5,))
    assert heuristic_answer(number) == {"prediction": 4.5}
    binary = pipeline_of(BINARY, FAMILIES["baseline"], heuristic=(0.75, 0.25))
    assert heuristic_answer(binary)["prediction"] == "no"
    leaning = pipeline_of(
        BINARY, FAMILIES["baseline"], heuristic=(0.75, 0.25), multipliers=(1.0, 4.0)
    )
    assert heuristic_answer(leaning) == {
        "prediction": "yes", "probability": {"no": 0.75, "yes": 0.25},
    }  # fmt: skip


@pytest.mark.parametrize("answer", [BINARY, THREE, MANY], ids=["two", "three", "many"])
def test_without_one_the_last_resort_is_what_the_training_rows_say(answer: Class) -> None:
    found = heuristic_answer(pipeline_of(answer, FAMILIES["baseline"]))
    y = examples(answer).y
    for name, share in found["probability"].items():
        code = answer.classes.index(name)
        assert share == pytest.approx(float((y == code).mean()), abs=0.02)


def test_without_one_a_number_is_the_usual_one() -> None:
    found = heuristic_answer(pipeline_of(Number(), FAMILIES["baseline"]))
    assert found["prediction"] == pytest.approx(float(examples(Number()).y.mean()), rel=0.01)


def test_the_last_resort_without_any_training_rows() -> None:
    class Nothing:
        def many(self, columns: Columns) -> np.ndarray:
            raise AssertionError("the model is not asked")

    bare = Pipeline(
        Task("tabular", SCHEMA, THREE, "y", "accuracy"),
        score=Nothing(),  # type: ignore[arg-type]
        decide=Threshold(THREE),
    )
    assert heuristic_answer(bare)["prediction"] == "low"
    number = Pipeline(Task("tabular", SCHEMA, Number(), "y", "r2"), Nothing(), Threshold())  # type: ignore[arg-type]
    assert heuristic_answer(number) == {"prediction": None}
