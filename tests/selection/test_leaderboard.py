"""The leaderboard's order, keys and sentences."""

from __future__ import annotations

import json
from typing import Any

from promise.metrics.pointwise import Metric
from promise.selection.leaderboard import Row, about_ties, recommendation

R2 = Metric("r2", greater_is_better=True, kind="number")


def row(name: str, family: str, score: float, **given: Any) -> Row:
    return Row(name, family, "ok", score=score, ci=(score - 0.01, score + 0.01), **given)


def test_the_recommendation_names_score_rows_interval_and_baseline() -> None:
    rows = [row("xgboost-01", "xgboost", 0.91), row("baseline-01", "baseline", 0.0)]
    said = recommendation(rows, "xgboost-01", R2, "price", 1200)
    assert said == [
        "Take `xgboost-01`, XGBoost: it predicts `price` with r2 0.91 on 1,200 rows it had never "
        "seen, 95 % interval 0.9 to 0.92.",
        "Always giving the same answer scores 0; the model is 0.91 above it.",
    ]


def test_a_useless_table_is_called_so() -> None:
    rows = [row("linear-01", "linear", 0.01), row("baseline-01", "baseline", 0.0, tie=True)]
    said = recommendation(rows, "linear-01", R2, "price", 100)
    assert "say little about `price`" in said[1]


def test_a_baseline_that_wins_is_not_recommended_as_a_model() -> None:
    rows = [row("baseline-01", "baseline", 0.5), row("linear-01", "linear", 0.5, tie=True)]
    (said,) = recommendation(rows, "baseline-01", R2, "price", 100)
    assert said.startswith("No model predicts `price` better")
    assert "r2 0.5 on 100 rows, 95 % interval 0.49 to 0.51" in said


def test_ties_show_what_is_cheaper() -> None:
    best = row("a", "lightgbm", 0.9, predict_ms=1.0, size_mb=10.0)
    tied = row("b", "linear", 0.9, predict_ms=0.1, size_mb=8.0, tie=True)
    assert "`b` (10 times faster)" in about_ties(best, [tied])


def test_rows_are_json_with_the_contracts_keys() -> None:
    data = json.loads(json.dumps(row("a", "linear", 0.5).to_json(), allow_nan=False))
    wanted = {"name", "family", "score", "ci", "fit_seconds", "predict_ms", "size_mb", "status"}
    assert wanted <= set(data)
