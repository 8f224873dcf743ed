"""Successive halving decides from results alone."""

from __future__ import annotations

from dataclasses import replace

from promise.features.table import TableFeatures
from promise.models.boosting import LightGBM
from promise.selection.board import Board, Task
from promise.selection.candidates import Candidate, Fit
from promise.selection.ladder import stages


def candidate(number: int) -> Candidate:
    return Candidate(f"c{number}", "plain", TableFeatures(), LightGBM(leaves=10 + number))


def fit(task: Task, score: float, status: str = "ok") -> Fit:
    return Fit(task.rung, task.fold, status, score, 10, 5, 0.1, 0.1, 0.1, 1.0, False, "")


def play(board: Board, scores: list[float]) -> list[Task]:
    """Run candidates one at a time, each with the same score on all its fits."""
    fresh = [candidate(i) for i in range(len(scores))]
    by_name = {f"c{i}": s for i, s in enumerate(scores)}
    done = []
    while task := board.next_task(set(), lambda _: True, lambda: fresh.pop(0) if fresh else None):
        done.append(task)
        board.record(task.candidate, fit(task, by_name[task.candidate.name]))
    return done


def test_half_go_on_to_all_folds() -> None:
    board = Board(stages(1, 3), sign=1, opening=4)
    done = play(board, [0.1, 0.4, 0.2, 0.3])
    finished = {t.candidate.name for t in done if t.fold == 2}
    assert finished == {"c1", "c3"}
    assert [t.fold for t in done[:4]] == [0, 0, 0, 0]


def test_more_rows_are_for_the_best_third() -> None:
    board = Board(stages(2, 1), sign=-1, opening=6)
    done = play(board, [6.0, 5.0, 4.0, 3.0, 2.0, 1.0])
    assert {t.candidate.name for t in done if t.rung == 1} == {"c4", "c5"}


def test_failed_candidates_stop() -> None:
    board = Board(stages(1, 3), sign=1, opening=1)
    entry = board.enter(candidate(0))
    task = next(board.tasks(entry))
    board.record(task.candidate, fit(task, float("nan"), "failed: memory"))
    assert board.waiting() == []
    assert board.ongoing() == []


def test_unaffordable_work_is_not_chosen() -> None:
    board = Board(stages(1, 2), sign=1, opening=1)
    fresh = [candidate(0), candidate(1)]
    task = board.next_task(
        set(), lambda t: t.candidate.name == "c1", lambda: fresh.pop(0) if fresh else None
    )
    assert task is not None
    assert task.candidate.name == "c1"


def test_rounds_do_not_depend_on_the_order_of_results() -> None:
    def tasks_after(order: list[int]) -> list[str]:
        board = Board(stages(1, 2), sign=1, opening=1)
        fresh = [candidate(i) for i in range(8)]
        first = board.next_round(4, lambda: fresh.pop(0) if fresh else None)
        for i in order:
            board.record(first[i].candidate, fit(first[i], float(i)))
        second = board.next_round(4, lambda: fresh.pop(0) if fresh else None)
        return [f"{t.candidate.name}/{t.fold}" for t in second]

    assert tasks_after([0, 1, 2, 3]) == tasks_after([3, 1, 0, 2])


def test_the_same_configuration_is_one_entry() -> None:
    board = Board(stages(1, 1), sign=1, opening=1)
    assert board.enter(candidate(1)) is board.enter(replace(candidate(1), name="other"))
