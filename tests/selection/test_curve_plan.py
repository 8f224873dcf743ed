"""Samples of a learning curve: sizes, and what a clock or the race's rows leave room for."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

from promise.selection.curve_plan import curve_sizes, planned_by_rows, planned_by_time


def test_sizes_double_and_end_at_all_rows() -> None:
    sizes = curve_sizes(10_000)
    assert sizes[-1] == 10_000
    assert all(b // a == 2 for a, b in pairwise(sizes))
    assert curve_sizes(70) == [70]


def trial(rows: int, folds: int, seconds: float = 1.0) -> Any:
    return SimpleNamespace(rows=rows, fold_scores=(0.5,) * folds, fit_seconds=seconds)


def test_without_a_clock_the_curve_learns_from_no_more_rows_than_the_race() -> None:
    assert len(planned_by_rows(trial(8000, folds=5), 8000)) == 18  # six sizes of three seeds
    for folds in (1, 2, 5):
        planned = planned_by_rows(trial(8000, folds), 8000)
        assert sum(size for size, _ in planned) <= 8000 * folds
        assert len({size for size, _ in planned}) == 6


def test_without_a_clock_the_curve_does_not_depend_on_speed() -> None:
    slow, quick = (planned_by_rows(trial(8000, 1, s), 8000) for s in (900.0, 0.1))
    assert slow == quick


def test_the_clock_leaves_out_what_it_does_not_hold() -> None:
    assert planned_by_time(trial(8000, 1), 8000, 0.0) == []
    few = planned_by_time(trial(8000, 1, 10.0), 8000, 5.0)
    assert few
    assert sum(0.3 + 13.0 * size / 8000 for size, _ in few) <= 5.0
    assert max(size for size, _ in few) < 4000
