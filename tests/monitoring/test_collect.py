"""Collecting: drift counts, joined labels and memory, exact under kills, restarts and machines."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from promise.clock import ManualClock
from promise.data.answer import Answer, Class, Number
from promise.data.schema import Field, Schema
from promise.metrics.drift import SCORE, add_counts
from promise.monitoring.collect import Collected, Collector, Kept
from promise.monitoring.drift import counted_since, drift_report
from promise.monitoring.index import BLOCK_ROWS
from promise.pipeline.task import Task
from promise.promises.spec import ModelFile, Promise
from promise.records.evidence import EvidenceStore
from promise.records.labels import Labels
from promise.records.machine import machine_id
from promise.records.predictions import PredictionLog
from promise.registry.lifecycle import Lifecycle, Route
from promise.registry.registry import Registry
from promise.registry.revisions import Revisions
from promise.settings import Settings
from promise.state.database import Database
from promise.state.files import write_json
from promise.workloads.tabular.contents import edges, score_reference

SCHEMA = Schema(
    (
        Field("age", "number"),
        Field("city", "category"),
        Field("sex", "category", role="protected"),
    )
)
CITIES = ("lyon", "nice")


@dataclass
class House:
    """An installation with registered versions, a log and everything that reads it."""

    settings: Settings
    clock: ManualClock
    database: Database

    def __post_init__(self) -> None:
        self.registry = replace(Registry.open(self.settings), clock=self.clock)
        self.evidence = EvidenceStore(self.database, self.clock)
        self.labels = Labels(self.database, self.clock)

    def register(self, name: str = "churn", answer: Answer = Class(("no", "yes"))) -> int:  # noqa: B008
        rng = np.random.default_rng(7)
        output = rng.random(1000)
        wide = np.column_stack([1 - output, output]) if isinstance(answer, Class) else output
        reference = {
            "age": edges(rng.normal(40, 10, 1000)),
            "city": edges(rng.choice(np.array(CITIES, dtype=object), 1000)),
            "sex": edges(rng.choice(np.array(["f", "m"], dtype=object), 1000)),
        } | score_reference(wide)
        task = Task("tabular", SCHEMA, answer, "label", "accuracy")

        def write(folder: Path) -> None:
            write_json(folder / "reference.json", reference)
            manifest = {
                "format": 1,
                "stages": {},
                "task": task.to_json(),
                "views": {},
                "lineage": {},
                "metrics": {},
                "digests": {},
            }
            write_json(folder / "manifest.json", manifest)

        return self.registry.register(name, write).number

    def log(self, slot: str = "0") -> PredictionLog:
        return PredictionLog(self.settings.records, slot, flush_s=60, clock=self.clock)

    def answer(
        self, log: PredictionLog, n: int, *, version: int = 1, shift: float = 0.0, **more: Any
    ) -> list[str]:
        rng = np.random.default_rng(n + version)
        ids = [log.new_id() for _ in range(n)]
        for i, prediction_id in enumerate(ids):
            share = float(rng.random())
            line = {
                "id": prediction_id,
                "model": "churn",
                "version": version,
                "arm": "live",
                "at": self.clock.now().timestamp(),
                "ms": 1.0,
                "entity": None,
                "row": {
                    "age": float(rng.normal(40 + shift, 10)),
                    "city": str(rng.choice(CITIES)),
                    "sex": "fm"[i % 2],
                },
                "answer": {"prediction": "yes", "probability": {"no": 1 - share, "yes": share}},
                "source": "model",
            } | more
            log.append("churn", json.dumps(line).encode())
        return ids

    def collect(self, **given: Any) -> Collected:
        collector = Collector(self.settings, self.clock, **given)
        try:
            return collector.collect()
        finally:
            collector.close()

    def label(self, ids: list[str], value: Any, **more: Any) -> None:
        self.labels.add([{"prediction_id": i, "label": value, **more} for i in ids])

    def outcomes(self, version: int = 1) -> list[Any]:
        seen = self.evidence.observed("churn", version, "outcome")
        return [y for observed in seen for y in observed.payload["y"]]

    def counted(self, version: int = 1) -> dict[str, int]:
        """Rows by feature over all hours and machines."""
        found: dict[str, Any] = {}
        for observed in self.evidence.observed("churn", version, "psi"):
            feature, counts = observed.payload["feature"], observed.payload["counts"]
            counts = counts[0] if isinstance(counts, list) else counts
            found[feature] = add_counts(found[feature], counts) if feature in found else counts
        return {
            feature: sum(counts["bins"]) + counts["unseen"] + counts["missing"]
            for feature, counts in found.items()
        }


@pytest.fixture
def house(database: Database, tmp_path: Path) -> Iterator[House]:
    settings = Settings.load(
        {"PROMISE_HOME": str(tmp_path / "home"), "PROMISE_DATABASE": database.url}
    )
    made = House(settings, ManualClock(), database)
    yield made
    made.registry.database.close()


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[House]:
    settings = Settings.load({"PROMISE_HOME": str(tmp_path / "home")})
    made = House(settings, ManualClock(), Database(settings.database))
    yield made
    made.registry.database.close()
    made.database.close()


def test_lines_are_counted_once_in_the_frozen_bins(house: House) -> None:
    house.register()
    log = house.log()
    for _ in range(3):
        house.answer(log, 400)
        house.clock.advance(1800)
    log.close()
    first = house.collect()
    assert (first.lines, first.unreadable, first.more) == (1200, 0, False)
    assert house.collect().lines == 0
    assert house.counted() == {"age": 1200, "city": 1200, "sex": 1200, SCORE: 1200}
    begun = {o.payload["begun"][:16] for o in house.evidence.observed("churn", 1, "psi")}
    assert begun == {"2026-01-01T00:00", "2026-01-01T01:00"}
    reference = json.loads((house.registry.find("churn@1").folder / "reference.json").read_text())
    report = drift_report(house.evidence, "churn", 1, reference)
    assert {f.feature for f in report.features} == {"age", "city", "sex", "score[0]", "score[1]"}
    assert report.drifted == ()
    later = house.log("1")
    house.answer(later, 3000, shift=15)
    later.close()
    house.collect()
    report = drift_report(house.evidence, "churn", 1, reference)
    assert [f.feature for f in report.drifted] == ["age"]
    assert "age: drifted (psi" in str(report.features[0])
    assert report.features[0].rows == 4200


def test_labels_join_their_answers_and_the_newest_value_counts_once(house: House) -> None:
    house.register()
    log = house.log()
    ids = house.answer(log, 300)
    log.close()
    house.label(ids[:100], "yes")
    found = house.collect()
    assert (found.joined, found.labels) == (100, 100)
    house.label(ids[100:300], "no")
    house.label(ids[:10], "no", source="human")
    house.label(ids[:10], "no", source="human")
    assert house.collect().joined == 210
    assert len(house.evidence.observed("churn", 1, "outcome")) == 2
    assert house.outcomes() == [0.0] * 10 + [1.0] * 90 + [0.0] * 200
    seen = house.evidence.observed("churn", 1, "outcome")
    assert [o.payload["ids"] for o in seen] == [BLOCK_ROWS, 300 - BLOCK_ROWS]
    assert seen[0].payload["group"] == {"sex": [*"fm"] * (BLOCK_ROWS // 2)}
    assert np.asarray(seen[0].payload["output"]).shape == (BLOCK_ROWS, 2)


def test_a_label_may_come_before_its_line_and_joins_the_shadow_too(house: House) -> None:
    house.register()
    house.register()
    log = house.log()
    ids = house.answer(log, 5)
    house.label(ids, True)  # a truth value is no class of "no", "yes"
    house.label(ids, "yes")
    assert house.collect().waiting == 5
    log.close()
    assert house.collect().joined == 5
    shadow = house.log("1")
    line = {
        "id": ids[0], "model": "churn", "version": 2, "arm": "shadow", "ms": 1.0, "source": "model",
        "at": house.clock.now().timestamp(), "row": {"age": 1, "city": "lyon", "sex": None},
        "answer": {"prediction": "no", "probability": {"no": 0.75, "yes": 0.25}},
    }  # fmt: skip
    shadow.append("churn", json.dumps(line).encode())
    shadow.close()
    assert house.collect().joined == 1
    assert house.outcomes() == [1.0] * 5
    (seen,) = house.evidence.observed("churn", 2, "outcome")
    assert seen.payload == {
        "y": [1.0],
        "output": [[0.75, 0.25]],
        "at": [house.clock.now().timestamp()],
        "arm": ["shadow"],
        "group": {"sex": [None]},
        "ids": 1,
    }


def test_unknown_classes_are_counted_told_and_taken_back(embedded: House) -> None:
    embedded.register()
    log = embedded.log()
    ids = embedded.answer(log, 3)
    log.close()
    embedded.label(ids[:2], "maybe")
    embedded.label(ids[2:], "yes")
    found = embedded.collect()
    assert dict(found.unknown_labels) == {("churn", "maybe"): 2}
    assert embedded.outcomes() == [1.0]
    embedded.label(ids[2:], "perhaps")
    embedded.label(ids[:1], " no ")
    embedded.collect()
    assert embedded.outcomes() == [0.0]
    collector = Collector(embedded.settings, embedded.clock)
    assert collector.unknown_labels() == {("churn", "maybe"): 2, ("churn", "perhaps"): 1}
    collector.close()


def test_numbers_are_joined_as_numbers_and_declared_groups_are_kept(embedded: House) -> None:
    embedded.register(answer=Number())
    promise = Promise("fair", "accuracy_difference", at_most=0.1, of="city")
    Revisions(embedded.database, embedded.clock).declare("churn", ModelFile(promises=(promise,)))
    log = embedded.log()
    ids = embedded.answer(log, 4, answer={"prediction": 2.5})
    log.close()
    embedded.label(ids[:1], 3)
    embedded.label(ids[1:2], "4.5")
    embedded.label(ids[2:3], "much")
    embedded.collect()
    (seen,) = embedded.evidence.observed("churn", 1, "outcome")
    assert seen.payload["y"] == [3.0, 4.5]
    assert seen.payload["output"] == [[2.5], [2.5]]
    assert set(seen.payload["group"]) == {"city", "sex"}
    assert embedded.counted()[SCORE] == 4


def test_each_machine_collects_its_own(house: House) -> None:
    house.register()
    logs = [PredictionLog(house.settings.records, f"{m}.0", clock=house.clock) for m in "ab"]
    ids = [house.answer(log, 50) for log in logs]
    for log in logs:
        log.close()
    house.label(ids[0] + ids[1], "yes")
    run = {m: replace(house.settings, home=house.settings.home / m) for m in "ab"}
    for machine, settings in run.items():
        collector = Collector(settings, house.clock, machine=machine)
        collector.registry = house.registry
        found = collector.collect()
        assert (found.lines, found.joined, found.elsewhere) == (50, 50, 50)
        collector.close()
    assert len(house.outcomes()) == 100
    assert house.counted()["age"] == 100


def test_what_cannot_be_read_is_left_out_and_counted(embedded: House) -> None:
    embedded.register()
    log = embedded.log()
    embedded.answer(log, 10)
    log.append("churn", b"not json")
    log.append("churn", b'{"id": "x", "version": "1"}')
    embedded.answer(log, 2, row={"age": 1, "village": "x", "sex": "f"})
    embedded.answer(log, 3, version=9)
    embedded.answer(log, 4, source="heuristic", arm="fallback")
    log.append("elsewhere", b'{"id": "x", "version": 1, "at": 0, "row": {}}')
    log.close()
    found = embedded.collect()
    assert (found.lines, found.unreadable) == (22, 8)
    counted = embedded.counted()
    assert (counted["age"], counted[SCORE]) == (14, 10)


def test_a_long_backlog_is_read_in_parts(embedded: House) -> None:
    embedded.register()
    log = embedded.log()
    embedded.answer(log, 300, row={"age": 1, "city": "x" * 40_000, "sex": "f"})
    log.close()
    first = embedded.collect(limit_mb=2.0)
    assert first.more
    assert 0 < first.lines < 300
    while embedded.collect(limit_mb=2.0).more:
        pass
    assert embedded.counted()["age"] == 300


def test_rows_tell_their_arm_and_time_and_drift_is_cut_where_a_stage_began(house: House) -> None:
    for _ in range(2):
        house.register()
    lifecycle = Lifecycle(house.database, house.clock)
    first = lifecycle.commit(
        None, "promote", Route("churn", "steady", live=1, since=house.clock.now()), reason="first"
    )
    house.clock.advance(600)
    log = house.log()
    ids = house.answer(log, 3, version=2, arm="shadow")
    house.collect()
    house.clock.advance(600)
    began = house.clock.now()
    route = Route("churn", "canary", live=1, candidate=2, share=1000, since=began)
    lifecycle.commit(first, "advance", route, reason="to the canary")
    ids += house.answer(log, 4, version=2, arm="canary")
    log.close()
    house.clock.advance(60)
    house.label(ids, "yes")
    house.collect()
    (block,) = house.evidence.observed("churn", 2, "outcome")
    assert block.payload["arm"] == ["shadow"] * 3 + ["canary"] * 4
    assert [at >= began.timestamp() for at in block.payload["at"]] == [False] * 3 + [True] * 4
    assert counted_since(house.evidence, "churn", 2)["age"]["missing"] == 0
    rows = [
        sum(counted_since(house.evidence, "churn", 2, since)["age"]["bins"])
        for since in (None, began)
    ]
    assert rows == [7, 4]


def test_memory_of_the_workers_is_observed_for_every_loaded_version(embedded: House) -> None:
    embedded.register()
    lifecycle = Lifecycle(embedded.database, embedded.clock)
    lifecycle.commit(None, "promote", Route("churn", "steady", live=1), reason="first")
    collector = Collector(embedded.settings, embedded.clock)
    collector.collect()
    assert embedded.evidence.observed("churn", 1, "memory") == []
    write_json(embedded.settings.run / "workers.json", {"pids": [os.getpid(), 2**30]})
    for _ in range(3):
        embedded.clock.advance(30)
        collector.collect()
    collector.close()
    seen = embedded.evidence.observed("churn", 1, "memory")
    assert len(seen) == 2  # minutes
    assert seen[0].payload["pss_mb"] > 10
    assert seen[0].payload["machine"] == machine_id()


def test_two_collectors_of_one_machine_do_not_count_twice(embedded: House) -> None:
    embedded.register()
    log = PredictionLog(embedded.settings.records, "0", flush_s=0.005, clock=embedded.clock)
    done = threading.Event()

    def collect_on() -> None:
        collector = Collector(embedded.settings, embedded.clock)
        while not done.is_set():
            collector.collect()
        collector.close()

    embedded.collect()
    threads = [threading.Thread(target=collect_on) for _ in range(2)]
    for thread in threads:
        thread.start()
    ids: list[str] = []
    for _ in range(5):
        ids += (new := embedded.answer(log, 100))
        embedded.label(new, "yes")
    log.close()
    done.set()
    for thread in threads:
        thread.join()
    embedded.collect()
    assert embedded.counted()["age"] == 500
    assert embedded.outcomes() == [1.0] * 500


def test_a_lost_index_is_made_again_and_doubles_nothing(house: House) -> None:
    house.register()
    log = house.log()
    ids = house.answer(log, 600)
    log.close()
    house.label(ids, "yes")
    house.collect()
    for path in house.settings.run.glob("join.db*"):
        path.unlink()
    house.clock.advance(60)
    house.collect()
    assert len(house.outcomes()) == 600
    assert house.counted()["age"] == 600


def test_what_is_old_is_forgotten_hour_by_hour(embedded: House) -> None:
    embedded.register()
    log = embedded.log()
    ids = embedded.answer(log, BLOCK_ROWS + 10)
    log.close()
    embedded.label(ids, "yes")
    kept = Kept(join_days=1, log_days=1e9)
    embedded.collect(kept=kept)
    embedded.clock.advance(3 * 86_400)
    embedded.collect(kept=kept)
    index = Database(f"sqlite:///{embedded.settings.run / 'join.db'}")
    with index.reading() as connection:

        def count(table: str) -> int:
            return int(connection.execute(sa.text(f"SELECT COUNT(*) FROM {table}")).scalar_one())

        assert (count("answers"), count("came"), count("drift")) == (0, 0, 0)
        assert count("outcomes") == 10  # of the block that is not full
    index.close()
    embedded.label(ids[-1:], "no")
    embedded.collect(kept=kept)
    assert len(embedded.outcomes()) == BLOCK_ROWS + 10


KILLED = """
import os, sys
from promise.clock import SystemClock
from promise.monitoring import collect, reading
from promise.monitoring.collect import Collector
from promise.settings import Settings
reading._CHUNK_BYTES, collect._LABELS_AT_ONCE = 20_000, 50
collector = Collector(Settings.load(), SystemClock())
while True:
    collector.collect()
    print("pass", flush=True)
"""


def until(true: Callable[[], Any], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


@pytest.mark.slow
def test_a_collector_killed_again_and_again_loses_and_doubles_nothing(embedded: House) -> None:
    embedded.clock.start = datetime.now(UTC)
    embedded.register()
    env = {
        **os.environ,
        "PROMISE_HOME": str(embedded.settings.home),
        "PROMISE_DATABASE": embedded.database.url,
    }
    log = PredictionLog(embedded.settings.records, "0", flush_s=0.01)
    rng, ids = np.random.default_rng(7), []
    for _ in range(4):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED], env=env, stdout=subprocess.PIPE, text=True
        )
        for _ in range(3):
            ids += (new := embedded.answer(log, 250))
            embedded.label(new, "yes")
        assert process.stdout is not None
        process.stdout.readline()
        embedded.label(ids[::3], "no" if rng.random() < 0.5 else "yes")
        time.sleep(float(rng.uniform(0, 0.05)))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    log.close()
    embedded.label(ids[::3], "no")
    embedded.collect()
    assert embedded.counted()["age"] == len(ids)
    outcomes = embedded.outcomes()
    assert (len(outcomes), sum(outcomes)) == (len(ids), len(ids) - len(ids[::3]))
