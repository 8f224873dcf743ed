"""Time and memory: what may still start."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from promise.data.schema import Schema
from promise.errors import ConfigError
from promise.features.table import view
from promise.job import Job
from promise.metrics.pointwise import default_metric
from promise.models.base import Examples
from promise.models.boosting import LightGBM
from promise.models.linear import Linear
from promise.selection.board import Board, Task
from promise.selection.candidates import Candidate, Fit
from promise.selection.grounds import Grounds
from promise.selection.limits import HANDOVER_SHARE, PATIENCE_S, Budget, Limits
from promise.selection.pace import Pace

FIT = Fit(
    rung=0, fold=0, status="ok", score=0.5, rows=200, rounds=None, fit_seconds=0.01,
    predict_ms=0.1, size_mb=0.1, peak_mb=1.0, cut=False, folder="",
)  # fmt: skip


@pytest.fixture
def limits(number_table: tuple[Schema, Examples], tmp_path: Path) -> Limits:
    schema, train = number_table
    folds = [(np.arange(200), np.arange(200, 240))]
    grounds = Grounds.prepare(train, schema, default_metric(train.answer), folds, Job(), tmp_path)
    budget, board = Budget(deadline_s=100.0), Board(grounds.stages, 1, 1)
    board.record(candidate(schema, slow=False), FIT)
    job = Job(memory_mb=500.0)
    return Limits(grounds, budget, job, board, Pace(4, 0), lambda: 0.0, 0.0, slots=2)


def candidate(schema: Schema, *, slow: bool) -> Candidate:
    name, estimator = ("slow", LightGBM()) if slow else ("quick", Linear())
    return Candidate(name, "plain", view("plain", schema), estimator)


def test_nothing_starts_that_cannot_end(
    limits: Limits, number_table: tuple[Schema, Examples]
) -> None:
    task = Task(candidate(number_table[0], slow=True), 0, 0, 0)
    limits.pace.learn("lightgbm", task.id[0], rows=200, seconds=5.0)
    assert limits.affordable(task)
    limits.monotonic = lambda: 96.0
    assert not limits.affordable(task)


def test_a_race_without_a_model_waits_for_its_first(
    limits: Limits, number_table: tuple[Schema, Examples]
) -> None:
    task = Task(candidate(number_table[0], slow=True), 0, 0, 0)
    limits.monotonic = lambda: 130.0
    assert not limits.affordable(task)
    limits.board = Board(limits.grounds.stages, 1, 1)
    assert limits.affordable(task)
    assert limits.planned_end_s() == pytest.approx(100.0)
    limits.monotonic = lambda: 100.0 + PATIENCE_S
    assert not limits.affordable(task)


def test_no_fit_takes_more_than_its_share(limits: Limits) -> None:
    assert limits.fit_deadline_s() == pytest.approx(20.0)
    limits.monotonic = lambda: 95.0
    assert limits.fit_deadline_s() == pytest.approx(100.0)


def test_quick_families_open_where_time_is_short(
    limits: Limits, number_table: tuple[Schema, Examples]
) -> None:
    both = [candidate(number_table[0], slow=slow) for slow in (True, False)]
    assert [c.name for c in limits.in_order(both)] == ["slow", "quick"]
    limits.pace.learn("lightgbm", "x", rows=200, seconds=70.0)
    assert [c.name for c in limits.in_order(both)] == ["quick", "slow"]


def test_fits_wait_for_memory(limits: Limits, number_table: tuple[Schema, Examples]) -> None:
    task = Task(candidate(number_table[0], slow=True), 0, 0, 0)
    assert not limits.crowded(task, [])
    limits.base_mb = 500.0 - 1.5 * limits.memory_mb(task)
    assert limits.refused(task) is None
    assert limits.crowded(task, [task])
    limits.base_mb = 500.0 - 0.5 * limits.memory_mb(task)
    assert "are left for a fit" in (limits.refused(task) or "")


def test_the_race_leaves_time_for_ranking_and_calibrating_many_outputs(limits: Limits) -> None:
    limits.budget = Budget(deadline_s=100.0, refits_by_s=100.0)
    few = limits.end_s()
    cells = 24_000 * 10_000
    limits.grounds.__dict__["checked"] = np.zeros(cells, dtype=np.int8)
    many = limits.end_s()
    assert few is not None
    assert many is not None
    assert 100 - few < 3
    assert few - many > 20


def test_the_race_leaves_time_for_models_that_are_slow_to_answer_or_large(
    limits: Limits, number_table: tuple[Schema, Examples]
) -> None:
    limits.budget = Budget(deadline_s=100.0, refits_by_s=100.0, n_sealed=1_000)
    light = limits.planned_end_s()
    heavy = replace(FIT, score=0.9, predict_ms=2.0, size_mb=50.0)
    limits.board.record(candidate(number_table[0], slow=True), heavy)
    assert light is not None
    assert limits.kept_seconds(limits.board.leaders()) == pytest.approx(3 * 2.1 + 0.15 * 50.1)
    assert (limits.planned_end_s() or 0) < light - 10


def test_answering_and_writing_leave_the_race_most_of_its_time(limits: Limits) -> None:
    limits.budget = Budget(deadline_s=100.0, refits_by_s=100.0, n_sealed=10_000_000)
    assert limits.kept_seconds(limits.board.leaders()) == pytest.approx(HANDOVER_SHARE * 100)


def test_a_race_needs_a_budget() -> None:
    with pytest.raises(ConfigError, match="a deadline or a number of trials"):
        Budget()
