"""What servers of this machine answered and hold: read from what they leave in the run folder."""

from __future__ import annotations

import json
import os
from pathlib import Path

from promise.monitoring.usage import Usage, usage
from promise.records.counters import Counters
from promise.settings import Settings
from promise.state.files import write_json


def counted(
    settings: Settings, slot: int, arm: str, version: int, requests: int, rows: int
) -> None:
    counters = Counters(settings.run, slot)
    series = counters.series("news", version, arm, ())
    for _ in range(requests):
        series.answered(4.0, rows)
    counters.save()


def test_nothing_is_said_where_nothing_was_answered(tmp_path: Path) -> None:
    settings = Settings.load({"PROMISE_HOME": str(tmp_path)})
    found = usage("news", 1, settings=settings)
    assert found == Usage()
    assert found.sentence() == ""


def test_slots_are_added_up_and_what_nobody_saw_is_left_out(tmp_path: Path) -> None:
    settings = Settings.load({"PROMISE_HOME": str(tmp_path)})
    counted(settings, 0, "live", 1, requests=3, rows=10)
    counted(settings, 1, "canary", 1, requests=2, rows=1)
    counted(settings, 2, "shadow", 1, requests=5, rows=1)
    counted(settings, 3, "live", 2, requests=7, rows=1)
    found = usage("news", 1, settings=settings)
    assert (found.requests, found.rows, round(found.seconds, 3)) == (5, 32, 0.02)
    assert found.sentence() == "answered on this machine: 32 rows in 5 requests, 4 ms each"


def test_workers_that_run_tell_of_texts_and_memory(tmp_path: Path) -> None:
    settings = Settings.load({"PROMISE_HOME": str(tmp_path)})
    gone = 2**22 - 1  # above what Linux gives out by default
    write_json(settings.run / "workers.json", {"pids": [os.getpid(), gone]})
    for slot, pid in enumerate((os.getpid(), gone)):
        told = {"pid": pid, "texts_found": 8, "texts_computed": 2, "texts_seconds": 0.5}
        (settings.run / f"standing-{slot}.json").write_text(json.dumps(told), encoding="utf-8")
    (settings.run / "standing-2.json").write_text("{", encoding="utf-8")
    found = usage("news", 1, settings=settings)
    assert (found.workers, found.texts_found, found.texts_computed) == (1, 8, 2)
    assert found.memory_mb > 1
    assert "80 % found in the cache, 2 computed in 0.5 s; 1 worker holds" in found.sentence()
