"""The record of retrainings comes back as it was written, on every database."""

from __future__ import annotations

from promise.clock import ManualClock
from promise.retraining.runs import Runs
from promise.state.database import Database


def test_what_was_written_is_read(database: Database) -> None:
    clock = ManualClock()
    runs = Runs(database, clock)
    first = runs.begin("churn", "rows", "200 new rows", live=1, label_number=7)
    clock.advance(90)
    other = runs.begin("fraud", "hand", "by ann", live=4, label_number=9)
    ended = runs.end(
        first, "deployed", "better", version=2, n_rows=10, n_logged=5, n_judged=3,
        comparison={"difference": float("nan"), "interval": (0.1, 0.2)},
    )  # fmt: skip
    assert ended.seconds == 90.0
    kept = runs.of("churn")[0]
    assert kept.comparison == {"difference": None, "interval": [0.1, 0.2]}
    assert vars(kept) == {**vars(ended), "comparison": kept.comparison}
    assert runs.of() == [other, kept]
    assert runs.of("fraud", limit=1) == [other]
    second = runs.begin("churn", "rows", "again", live=2, label_number=8)
    assert (second.number, second.seconds) == (2, None)
    told = kept.to_json()
    assert told["seconds"] == 90.0
    assert "label_number" not in told
