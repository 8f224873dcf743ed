"""A whole race on small tables: order, resuming, replaying, failures."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from promise.data.columns import IntArray
from promise.data.schema import Schema
from promise.engine.local import LocalEngine
from promise.errors import ConfigError, FitFailed
from promise.job import Job
from promise.kernels.rows import hash_fold
from promise.metrics.pointwise import default_metric
from promise.models.base import Examples
from promise.selection.candidates import Candidate
from promise.selection.portfolio import BLENDED, PRESETS, portfolio
from promise.selection.race import Budget, Progress, RaceResult, race, replay
from promise.selection.refit import refit
from promise.selection.result import ENSEMBLE

Table = tuple[Schema, Examples]
FAMILIES = ("linear", "lightgbm")


def folds_of(train: Examples, k: int = 3) -> list[tuple[IntArray, IntArray]]:
    assert train.rows is not None
    fold = hash_fold(train.rows, k, 1)
    return [(np.flatnonzero(fold != f), np.flatnonzero(fold == f)) for f in range(k)]


def candidates_of(schema: Schema, train: Examples) -> list[Candidate]:
    return portfolio(
        "default",
        schema=schema,
        answer=train.answer,
        n_rows=train.n_rows,
        n_columns=len(schema),
        ordered=False,
        families=FAMILIES,
    )


def run(table: Table, engine: Any, folder: Path, **given: Any) -> RaceResult:
    schema, train = table
    given = {"budget": Budget(trials=5), "job": Job(seed=5, threads=engine.threads), **given}
    return race(
        train,
        schema,
        default_metric(train.answer),
        folds_of(train),
        candidates_of(schema, train),
        engine=engine,
        folder=folder,
        **given,
    )


def scores(result: RaceResult) -> dict[str, Any]:
    return {t.name: (t.score, t.folds, t.rounds) for t in result.trials}


@pytest.fixture(scope="module")
def finished(
    class_table: Table, inline_engine: Any, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, RaceResult]:
    """One race that several tests look at."""
    folder = tmp_path_factory.mktemp("race")
    return folder, run(class_table, inline_engine(), folder)


@pytest.mark.slow
def test_finds_the_signal_and_lists_each_family(finished: tuple[Path, RaceResult]) -> None:
    _, result = finished
    listed = {t.family: t for t in result.listed}
    assert set(listed) == {"baseline", "linear", "lightgbm"}
    assert result.scores[result.winner] > listed["baseline"].score + 0.2
    assert [t.name for t in result.listed if not t.complete] == []
    assert sum(t.family != "baseline" for t in result.trials) == 5


@pytest.mark.slow
def test_threads_do_not_change_scores(
    class_table: Table, inline_engine: Any, tmp_path: Path, finished: tuple[Path, RaceResult]
) -> None:
    again = run(class_table, inline_engine(threads=3), tmp_path)
    assert scores(again) == scores(finished[1])
    assert again.blend[0][0].name == finished[1].blend[0][0].name


@pytest.mark.slow
def test_resume_repeats_nothing_and_ends_alike(
    class_table: Table, inline_engine: Any, tmp_path: Path, finished: tuple[Path, RaceResult]
) -> None:
    died = inline_engine(fail=killer(9))
    with pytest.raises(SystemExit):
        run(class_table, died, tmp_path)
    engine = inline_engine()
    result = run(class_table, engine, tmp_path, resume=True)
    assert scores(result) == scores(finished[1])
    fits = [n for n in engine.names if not n.startswith("features")]
    assert not {n for n in died.names[:-1] if not n.startswith("features")} & set(fits)


def killer(after: int) -> Any:
    """End the process, as `kill -9` would, when so much work was asked for."""
    asked = []

    def fail(name: str) -> None:
        asked.append(name)
        if len(asked) > after:
            raise SystemExit(9)

    return fail


def test_resume_refuses_other_data(
    number_table: Table, inline_engine: Any, finished: tuple[Path, RaceResult]
) -> None:
    with pytest.raises(ConfigError, match="cannot resume: data was"):
        run(number_table, inline_engine(), finished[0], resume=True)


@pytest.mark.slow
def test_replay_gives_the_same_scores(
    class_table: Table, inline_engine: Any, tmp_path: Path, finished: tuple[Path, RaceResult]
) -> None:
    folder, result = finished
    program = replay(folder / "journal.jsonl", class_table[0])
    again = run(class_table, inline_engine(), tmp_path, program=program)
    assert {t.name: t.fold_scores for t in again.trials} == {
        t.name: t.fold_scores for t in result.trials
    }


@pytest.mark.slow
def test_a_failing_family_is_listed_as_failed(
    number_table: Table, inline_engine: Any, tmp_path: Path
) -> None:
    def fail(name: str) -> FitFailed | None:
        return FitFailed("needed too much", "memory") if name.startswith("linear") else None

    result = run(number_table, inline_engine(fail=fail), tmp_path)
    linear = next(t for t in result.listed if t.family == "linear")
    assert linear.status == "failed: memory: needed too much"
    assert result.best.family == "lightgbm"


@pytest.mark.slow
def test_a_full_disk_ends_the_race_and_keeps_what_is_finished(
    number_table: Table, inline_engine: Any, tmp_path: Path
) -> None:
    full = FitFailed("the disk is full: lightgbm-01 could not be written.", "disk")
    with pytest.raises(FitFailed, match="disk is full"):
        run(
            number_table,
            inline_engine(fail=lambda name: full if name.startswith("lightgbm") else None),
            tmp_path,
        )
    told = (tmp_path / "journal.jsonl").read_text()
    assert '"status": "ok"' in told
    assert "disk is full" not in told
    result = run(number_table, inline_engine(), tmp_path, resume=True)
    assert {"linear", "lightgbm"} <= {trial.family for trial in result.trials if trial.ok}


def test_ctrl_c_keeps_what_is_known(
    number_table: Table, inline_engine: Any, tmp_path: Path
) -> None:
    def interrupt(progress: Progress) -> None:
        if progress.done >= 4:
            raise KeyboardInterrupt

    result = run(number_table, inline_engine(), tmp_path, progress=interrupt)
    assert result.stopped == "interrupted"
    assert result.winner


@pytest.mark.slow
def test_under_the_clock_it_ends_in_time(
    number_table: Table, inline_engine: Any, tmp_path: Path
) -> None:
    end = time.monotonic() + 2.0
    result = run(number_table, inline_engine(), tmp_path, budget=Budget(deadline_s=end))
    assert time.monotonic() < end + 1.5
    assert result.winner


def test_refits_learn_from_all_rows(
    class_table: Table, inline_engine: Any, finished: tuple[Path, RaceResult]
) -> None:
    _, result = finished
    refits = refit(result, job=Job(seed=5), engine=inline_engine())
    assert set(refits) >= {t.name for t in result.listed}
    assert all(r.ok and r.rows == 240 and r.note is None for r in refits.values())
    late = refit(result, job=Job(seed=5), engine=inline_engine(), deadline_s=0.0)
    notes = {r.note or "" for r in late.values()}
    assert all("trained on 16" in note or "trained on 15" in note for note in notes)


def test_refits_of_the_others_leave_the_winner_its_time(
    inline_engine: Any, finished: tuple[Path, RaceResult]
) -> None:
    _, result = finished
    refits = refit(
        result, job=Job(seed=5, threads=1), engine=inline_engine(), deadline_s=1e6,
        n_sealed=10**12, monotonic=lambda: 0.0,
    )  # fmt: skip
    winning = {t.name for t, _ in result.members}
    assert all(refits[name].note is None for name in winning)
    late = [r.note or "" for name, r in refits.items() if name not in winning]
    assert late
    assert all(note.startswith("no time was left") for note in late)


def test_a_clock_that_is_over_before_the_race_still_leaves_a_model(
    class_table: Table, inline_engine: Any, tmp_path: Path
) -> None:
    over = time.monotonic() - 5.0
    budget = Budget(deadline_s=over, refits_by_s=over)
    result = run(class_table, inline_engine(), tmp_path, budget=budget)
    assert result.best.family != "baseline"
    assert len([t for t in result.trials if t.ok]) < 4
    refits = refit(result, job=Job(seed=5), engine=inline_engine(), deadline_s=over)
    assert refits[result.winner].ok


def test_members_of_a_blend_are_refitted_first(
    inline_engine: Any, finished: tuple[Path, RaceResult]
) -> None:
    _, result = finished
    refits = refit(result, job=Job(seed=5), engine=inline_engine(), names=[ENSEMBLE])
    assert list(refits) == [t.name for t, _ in result.members]


@pytest.mark.slow
def test_without_blends_a_single_model_wins(
    class_table: Table, inline_engine: Any, tmp_path: Path
) -> None:
    alone = run(class_table, inline_engine(), tmp_path, blends=False)
    assert alone.winner == alone.best.name == alone.members[0][0].name
    assert ENSEMBLE not in alone.scores
    assert set(PRESETS) > BLENDED


def test_nothing_fitted_is_an_error_that_says_why(
    number_table: Table, inline_engine: Any, tmp_path: Path
) -> None:
    engine = inline_engine(fail=lambda name: FitFailed("no room", "memory"))
    with pytest.raises(FitFailed, match=r"no model was fitted \(failed: memory: no room\)"):
        run(number_table, engine, tmp_path)


@pytest.mark.slow
def test_processes_give_the_same_scores_as_inline_work(
    class_table: Table, tmp_path: Path, finished: tuple[Path, RaceResult]
) -> None:
    with LocalEngine(threads=2, memory_mb=None) as engine:
        result = run(class_table, engine, tmp_path)
    assert scores(result) == scores(finished[1])


def test_windows_that_grow_start_with_the_longest(
    number_table: Table, inline_engine: Any, tmp_path: Path
) -> None:
    schema, train = number_table
    folds = [(np.arange(stop), np.arange(stop, stop + 60)) for stop in (60, 120, 180)]
    result = race(
        train,
        schema,
        default_metric(train.answer),
        folds,
        candidates_of(schema, train)[:2],
        budget=Budget(trials=1),
        job=Job(),
        engine=inline_engine(),
        folder=tmp_path,
    )
    assert [len(learn) for learn, _ in result.grounds.folds] == [180, 120, 60]
    assert result.best.complete


def test_what_does_not_fit_the_memory_bound_is_refused(
    number_table: Table, inline_engine: Any, tmp_path: Path
) -> None:
    with pytest.raises(FitFailed, match=r"memory: needs about \d+ MB"):
        run(number_table, inline_engine(), tmp_path, job=Job(memory_mb=30.0))
