"""The log as a source: labelled answers, nothing that was not known at the time."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from promise.clock import ManualClock
from promise.errors import DataError
from promise.records.labels import Labels
from promise.records.predictions import PredictionLog
from promise.records.source import Logged, write_logged
from promise.state.database import Database


def fill(folder: Path, clock: ManualClock, n: int = 10) -> list[str]:
    log = PredictionLog(folder, "0", clock=clock)
    ids = []
    for number in range(n):
        ids.append(log.new_id())
        for arm in ("live", "shadow"):
            line = {
                "id": ids[-1],
                "version": 1,
                "arm": arm,
                "at": clock.now().timestamp(),
                "row": {"age": number, "city": None if number % 2 else "nice"},
            }
            log.append("churn", json.dumps(line).encode())
        clock.advance(60)
    log.close()
    return ids


def test_only_what_was_known_then_is_learned_from(database: Database, tmp_path: Path) -> None:
    clock = ManualClock()
    start = clock.now()
    ids = fill(tmp_path / "log", clock)
    labels = Labels(database, clock)
    labels.add([{"prediction_id": i, "label": "no", "known_at": start} for i in ids[:6]])
    late = start + timedelta(days=3)
    labels.add([{"prediction_id": ids[0], "label": "yes", "known_at": late}])
    labels.add([{"prediction_id": ids[1], "label": "human", "source": "human"}])

    def rows(**given: object) -> list[dict[str, object]]:
        to = tmp_path / "rows.jsonl"
        written = write_logged(tmp_path / "log", "churn", labels, to, **given)  # type: ignore[arg-type]
        found = [json.loads(line) for line in to.read_text(encoding="utf-8").splitlines()]
        assert written.rows == len(found)
        return found

    now = rows()
    assert [row["prediction_id"] for row in now] == ids[:6]
    assert [row["label"] for row in now] == ["yes", "human", "no", "no", "no", "no"]
    assert [row["age"] for row in now] == list(range(6))
    assert [row["label"] for row in rows(source="api")][:2] == ["yes", "no"]
    before = rows(as_of=late - timedelta(seconds=1), label="outcome")
    assert [row["outcome"] for row in before][:2] == ["no", "human"]
    # two answers were given by then, whatever was said to be known of the others
    assert len(rows(as_of=start + timedelta(seconds=61))) == 2
    written = write_logged(tmp_path / "log", "churn", labels, tmp_path / "again.jsonl")
    assert (written.rows, written.waiting) == (6, 4)


def test_what_cannot_be_a_source_is_told_in_words(tmp_path: Path) -> None:
    clock, labels = ManualClock(), Labels(Database("sqlite://"), ManualClock())
    to = tmp_path / "rows.jsonl"
    with pytest.raises(DataError, match="nothing was answered yet"):
        write_logged(tmp_path / "log", "churn", labels, to)
    ids = fill(tmp_path / "log", clock, 2)
    with pytest.raises(DataError, match="did you mean 'churn'"):
        write_logged(tmp_path / "log", "chrun", labels, to)
    assert write_logged(tmp_path / "log", "churn", labels, to) == Logged(rows=0, waiting=2)
    labels.add([{"prediction_id": ids[0], "label": 1}])
    with pytest.raises(DataError, match="have a field 'age'"):
        write_logged(tmp_path / "log", "churn", labels, to, label="age")
    labels.database.close()
