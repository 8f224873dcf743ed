"""What a race ends with: outputs fold by fold, read no more often than needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from promise.data.answer import Class
from promise.data.columns import Columns
from promise.data.schema import Field, Schema
from promise.job import Job
from promise.metrics.pointwise import metric_named
from promise.models.base import Examples
from promise.selection.board import Board
from promise.selection.candidates import Fit, pooled, seen
from promise.selection.grounds import Grounds
from promise.selection.portfolio import portfolio
from promise.selection.result import RaceResult, conclude, finish_of

N = 400


def concluded(
    folder: Path, *, classes: int, k: int, partial: bool = False, metric: str = "accuracy"
) -> RaceResult:
    """Conclude a race of three candidates whose outputs are written as fits would."""
    rng = np.random.default_rng(2)
    y = rng.integers(0, classes, N)
    answer = Class(tuple(f"c{i}" for i in range(classes)))
    train = Examples(Columns({"a": rng.normal(size=N)}), y, answer, rows=np.arange(N))
    part = np.arange(N) % max(k, 4)
    folds = [(np.flatnonzero(part != f), np.flatnonzero(part == f)) for f in range(k)]
    schema = Schema((Field("a", "number"),))
    grounds = Grounds.prepare(
        train, schema, metric_named(metric, answer), folds, Job(seed=1), folder
    )
    board = Board(grounds.stages, 1, 3)
    candidates = portfolio(
        "default", schema=schema, answer=answer, n_rows=N, n_columns=1, ordered=False,
        families=("lightgbm", "linear"),
    )[:3]  # fmt: skip
    for place, candidate in enumerate(candidates):
        for fold, (learn, check) in enumerate(folds):
            if partial and place == 2 and fold > 0:
                continue
            output = rng.random((len(check), classes))
            output[np.arange(len(check)), y[check]] += 0.4 * place
            output /= output.sum(axis=1, keepdims=True)
            home = grounds.fit(candidate, grounds.last_rung, fold)
            (home / "fitted").mkdir(parents=True)
            np.save(home / "output.npy", output)
            score = float(grounds.metric.score(y[check], output, None))
            kept: dict[str, Any] = {
                "fit_seconds": 1.0, "predict_ms": 0.1, "size_mb": 1.0, "peak_mb": 1.0, "cut": False,
            }  # fmt: skip
            where = str(home.relative_to(grounds.folder))
            board.record(
                candidate,
                Fit(grounds.last_rung, fold, "ok", score, len(learn), None, folder=where, **kept),
            )
    return conclude(grounds, board, {}, latency_ms=None, stopped="finished")


def test_outputs_lie_fold_by_fold_with_gaps_where_nothing_was_seen(tmp_path: Path) -> None:
    result = concluded(tmp_path, classes=3, k=4, partial=True)
    grounds = result.grounds
    half = next(t for t in result.trials if len(t.folds) == 1)
    whole = pooled(half, grounds.folds)
    assert whole.shape == (N, 3)
    assert np.isfinite(whole[:100]).all()
    assert np.isnan(whole[100:]).all()
    output, rows = seen(half, grounds.folds)
    assert output.tolist() == whole[:100].tolist()
    assert rows.tolist() == grounds.checked[:100].tolist()
    assert result.y.tolist() == grounds.train.y[grounds.checked].tolist()


def test_a_single_split_keeps_only_the_rows_that_it_validates(tmp_path: Path) -> None:
    result = concluded(tmp_path, classes=3, k=1)
    assert len(result.y) == N // 4
    assert all(len(output) == N // 4 for output in result.outputs.values())
    for trial in result.trials:
        assert trial.score == trial.fold_scores[0]


@pytest.mark.parametrize("metric", ["accuracy", "balanced_accuracy", "log_loss", "roc_auc"])
def test_the_score_of_one_fold_is_that_of_its_process(tmp_path: Path, metric: str) -> None:
    result = concluded(tmp_path, classes=2, k=1, metric=metric)
    grounds = result.grounds
    for trial in result.trials:
        output, rows = seen(trial, grounds.folds)
        assert trial.score == grounds.metric.score(grounds.train.y[rows], output, None)


@pytest.mark.slow
def test_thousands_of_classes_are_calibrated_on_part_of_the_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []

    def counted(shown: Any, truth: Any) -> float:
        asked.append(shown.size)
        assert len(shown) == len(truth)
        return 1.0

    monkeypatch.setattr("promise.selection.result.fit_temperature", counted)
    metric = metric_named("accuracy", Class(("a", "b")))
    for rows, classes in ((1_000, 2), (3_000, 2_000)):
        output = np.full((rows, classes), 1 / classes)
        finish_of(metric, np.zeros(rows), output, None, is_winner=True)
    assert asked[0] == 2_000
    assert asked[1] < 6_000_000
