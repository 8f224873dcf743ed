"""A table with a time column: its hour and weekday are learned, its trend is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from promise.data.infer import infer_schema
from promise.data.source import open_source
from promise.discovery.importance import permutation_importance
from promise.engine.local import LocalEngine
from promise.features.one import compile_row
from promise.features.views import Views
from promise.job import Job
from promise.metrics.pointwise import metric_named
from promise.pipeline.artifact import Contents, load_pipeline, save_pipeline
from promise.pipeline.bind import bind
from promise.pipeline.explain import explain
from promise.pipeline.order import Order
from promise.workloads.tabular.full import train_again
from promise.workloads.tabular.label import read_label
from promise.workloads.tabular.learn import Learned, Terms, learn
from promise.workloads.tabular.pipeline import outcome_of
from promise.workloads.tabular.table import Sampling, Table, load_table

pytestmark = pytest.mark.slow
N = 24 * 60


def bookings() -> pa.Table:
    """Return rows an hour apart whose number follows the hour and the weekend alone."""
    rng = np.random.default_rng(5)
    when = np.datetime64("2026-01-05", "us") + np.arange(N) * np.timedelta64(1, "h")
    hour, weekend = np.arange(N) % 24, (np.arange(N) // 24) % 7 >= 5
    booked = np.sin(hour / 24 * 2 * np.pi) + 2 * weekend + 0.01 * rng.normal(size=N)
    return pa.table({"when": when, "noise": rng.normal(size=N), "booked": booked})


def loaded() -> Table:
    source = open_source(bookings())
    schema = infer_schema(source)
    label = read_label(source, schema, "booked", seed=7)
    return load_table(source, schema, "booked", label, Sampling(N), time="when")


def learned(table: Table, folder: Path, **terms: Any) -> Learned:
    with LocalEngine(threads=1, memory_mb=None) as engine:
        return learn(
            table, Terms(metric_named("r2", table.answer), families=("lightgbm",), **terms),
            job=Job(seed=7), engine=engine, folder=folder, progress=lambda _: None,
        )  # fmt: skip


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Learned:
    return learned(loaded(), tmp_path_factory.mktemp("race"), trials=1)


def r2(found: Learned) -> float:
    return found.metric.score(found.sealed_y, found.best.output, None)


@pytest.mark.slow
def test_hour_and_weekday_of_the_time_explain_the_later_rows(found: Learned) -> None:
    assert r2(found) > 0.99


@pytest.mark.slow
def test_without_the_calendar_nothing_is_explained(tmp_path: Path) -> None:
    reference = learned(loaded(), tmp_path, preset="reference", trials=1)
    assert r2(reference) < 0.1
    assert "when" not in reference.best.pipeline.task.request


def test_the_request_has_the_time_and_rows_need_no_order(found: Learned) -> None:
    request = found.best.pipeline.task.request
    assert request.names == ("when", "noise")
    assert request.find("time") is None


@pytest.mark.slow
def test_importance_and_explanations_count_for_the_time(found: Learned) -> None:
    pipeline = found.best.pipeline
    ranked = permutation_importance(
        pipeline, found.metric, found.sealed, found.sealed_y, job=Job(seed=1)
    )
    assert [row.feature for row in ranked] == ["when", "noise"]
    assert ranked[0].mean > 0.5
    row = explain(pipeline, found.sealed.take(np.arange(1)))[0]
    assert next(iter(row.contributions)) == "when"


def test_one_row_gets_the_digits_of_a_batch(found: Learned) -> None:
    pipeline = found.best.pipeline
    assert isinstance(pipeline.featurize, Views)
    for fitted in pipeline.featurize.views.values():
        assert compile_row(fitted, pipeline.task.request.fields) is not None
    bound = bind(pipeline)
    assert bound.fast
    rows = [("2026-05-02T11:00:00", 0.1), ("2026-05-04 23:59", None), (None, 1.0)]
    assert [bound.one(row) for row in rows] == bound.many(rows)


@pytest.mark.slow
def test_every_row_trains_it_again_streaming(found: Learned, tmp_path: Path) -> None:
    outcome = outcome_of(found, 7, peak_mb=1.0)
    version, work = tmp_path / "version", tmp_path / "work"
    version.mkdir()
    work.mkdir()
    assert isinstance(outcome.contents, Contents)
    assert "when" not in outcome.contents.reference, "time moves on: that is no drift"
    save_pipeline(outcome.pipeline, version, outcome.contents)
    order = Order(name="again", work=work, start=version, full=True, threads=1)
    again = train_again(found.table.source, order, lambda _: None)
    assert again.metrics["r2"] > 0.99
    (tmp_path / "again").mkdir()
    assert isinstance(again.contents, Contents)
    save_pipeline(again.pipeline, tmp_path / "again", again.contents)
    assert load_pipeline(tmp_path / "again").task.request == outcome.pipeline.task.request
