"""Small tables are validated several times, each time on other folds; a row counts each time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from promise.data.answer import Number
from promise.data.columns import IntArray
from promise.data.folds import folds
from promise.data.schema import Schema
from promise.data.split import Split
from promise.job import Job
from promise.metrics.pointwise import default_metric
from promise.models.base import Examples
from promise.selection.candidates import pooled
from promise.selection.ensemble import choose_blend
from promise.selection.ladder import n_folds
from promise.selection.portfolio import portfolio
from promise.selection.race import Budget, RaceResult, race
from promise.selection.refit import refit
from promise.selection.result import first_times

Table = tuple[Schema, Examples]
SPLIT = Split("stratified", 0.2, 7)


def drawn(train: Examples, repeats: int, k: int = 4) -> list[tuple[IntArray, IntArray]]:
    rows = np.arange(train.n_rows)
    return [
        fold
        for draw in range(repeats)
        for fold in folds(replace(SPLIT, seed=7 + draw), k, rows, y=train.y)
    ]


def run(table: Table, engine: Any, folder: Path, *, resume: bool = False) -> RaceResult:
    schema, train = table
    listed = portfolio(
        "default", schema=schema, answer=train.answer, n_rows=train.n_rows, n_columns=len(schema),
        ordered=False, families=("linear", "decision_tree"),
    )  # fmt: skip
    return race(
        train, schema, default_metric(train.answer), drawn(train, 3), listed,
        engine=engine, folder=folder, budget=Budget(trials=4), job=Job(seed=5, threads=1),
        resume=resume,
    )  # fmt: skip


@pytest.fixture(scope="module")
def found(
    number_table: Table, inline_engine: Any, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, RaceResult]:
    folder = tmp_path_factory.mktemp("race")
    return folder, run(number_table, inline_engine(), folder)


def test_each_row_is_validated_in_every_draw_by_other_neighbours(number_table: Table) -> None:
    _, train = number_table
    made = drawn(train, 3)
    assert np.bincount(np.concatenate([check for _, check in made])).tolist() == [3] * train.n_rows
    first = {tuple(check) for _, check in made[:4]}
    assert not first & {tuple(check) for _, check in made[4:]}


@pytest.mark.parametrize("n_rows", [10, 100, 499, 500, 5000])
def test_only_small_tables_whose_folds_can_be_drawn_again_are_repeated(n_rows: int) -> None:
    k, repeats = n_folds(n_rows)
    assert (repeats > 1) == (n_rows < 500)
    assert n_folds(n_rows, repeatable=False)[1] == 1
    assert k * repeats >= n_folds(n_rows, repeatable=False)[0]


@pytest.mark.slow
def test_a_score_is_that_of_all_draws_one_after_the_other(found: tuple[Path, RaceResult]) -> None:
    _, result = found
    grounds = result.grounds
    assert grounds.repeats == 3
    best = result.best
    assert best.complete
    assert len(best.fold_scores) == 12
    output = pooled(best, grounds.folds)
    y = grounds.train.y[grounds.checked]
    assert best.score == pytest.approx(grounds.metric.score(y, output, None))
    assert result.y.tolist() == y.tolist()


@pytest.mark.slow
def test_the_first_draw_is_a_hurdle_before_the_others(found: tuple[Path, RaceResult]) -> None:
    _, result = found
    assert [s.folds for s in result.grounds.stages] == [(0,), (1, 2, 3), tuple(range(4, 12))]
    assert {len(t.folds) for t in result.trials} <= {1, 4, 12}


def test_resuming_repeats_nothing_and_ends_alike(
    number_table: Table, inline_engine: Any, found: tuple[Path, RaceResult]
) -> None:
    folder, result = found
    engine = inline_engine()
    again = run(number_table, engine, folder, resume=True)
    assert engine.names == []
    assert again.scores == result.scores
    assert again.winner == result.winner


def test_refits_learn_from_every_row_once(
    inline_engine: Any, found: tuple[Path, RaceResult]
) -> None:
    _, result = found
    made = refit(result, job=Job(seed=5, threads=1), engine=inline_engine())
    assert {r.rows for r in made.values() if r.ok} == {240}


def test_a_row_is_met_for_the_first_time_once() -> None:
    assert first_times(np.array([4, 2, 4, 2, 9])).tolist() == [0, 1, 4]


def test_the_same_row_does_not_judge_a_blend_that_it_chose() -> None:
    """Outputs that are right about the rows of one half only: a blend cannot know the other's."""
    rng = np.random.default_rng(0)
    rows = np.repeat(np.arange(60), 40)
    y = np.repeat(rng.normal(size=60), 40)
    wild = [rng.normal(size=60)[rows] for _ in range(12)]
    metric = default_metric(Number())
    leaky = choose_blend(wild, y, metric, seed=1)
    apart = choose_blend(wild, y, metric, seed=1, rows=rows)
    assert leaky.nested > apart.nested
