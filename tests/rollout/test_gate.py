"""The gate: real versions, replayed and driven in a process of their own."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from promise.data.source import open_source
from promise.pipeline.artifact import load_pipeline
from promise.pipeline.as_sent import golden_bodies
from promise.promises.spec import ModelFile, Promise
from promise.promises.verdict import Verdict
from promise.rollout import gate as gates
from promise.rollout.deploy import GateRefused
from promise.rollout.gate import GOLDEN, LOAD, Gate, Replay, run_gate
from promise.rollout.load import Load, drive, measure
from promise.rollout.table import table_text

DECLARED = ModelFile(
    promises=(
        Promise("errors", "request_errors", at_most=0.01, on_break=("rollback",)),
        Promise("speed", "latency_p95", at_most=1000.0),
        Promise("rate", "throughput", at_least=1.0, due="gate"),
        Promise("memory", "memory", at_most=64_000.0, due="gate"),
        Promise("quality", "accuracy", at_least=0.7, due="gate"),
        Promise("calibration", "ece", at_most=0.5, due="live"),
        Promise("fairness", "accuracy_difference", at_most=0.5, due="gate", of="plan"),
        Promise("drift", "psi", at_most=0.1, due="live"),
    )
)


def driven(folder: Path, seconds: float, targets: tuple[float, ...]) -> Load:
    """Stand in for the process of its own where only verdicts are asked."""
    return Load(
        requests=5000, errors=0, seconds=seconds, over=dict.fromkeys(targets, 0),
        throughput=[1000.0] * 8, memory_mb=[200.0] * 8, golden=0.0,
    )  # fmt: skip


@pytest.mark.slow
def test_a_good_version_passes_on_holdout_and_load(house: Any) -> None:
    found = run_gate(house.register(), DECLARED, seconds=0.6)
    status = {v.promise: v.status for v in found.verdicts}
    assert found.passed, table_text(DECLARED, found.verdicts, found.blocking)
    assert status == {
        "errors": "KEPT", "speed": "KEPT", "rate": "KEPT", "memory": "KEPT", "quality": "KEPT",
        "calibration": "KEPT", "fairness": "KEPT", "drift": "UNKNOWN",
    }  # fmt: skip
    load = found.evidence["load"]
    assert load["requests"] == sum(load["latency"]) > 300
    assert load["errors"] == 0
    assert load["golden"] == 0.0
    assert found.evidence["holdout"]["rows"] > 100
    json.dumps(found.to_json(), allow_nan=False)


def test_a_bad_version_is_told_in_a_table(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gates, "measure", driven)
    found = run_gate(house.register("bad"), DECLARED)
    assert found.blocking == ("quality",)
    text = table_text(DECLARED, found.verdicts, found.blocking)
    line = next(line for line in text.splitlines() if line.startswith("quality"))
    assert "accuracy ≥ 0.7" in line
    assert "BROKEN" in line
    assert "blocks" in line


def test_only_what_is_due_blocks(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(folder: Path, seconds: float, targets: tuple[float, ...]) -> Load:
        return replace(driven(folder, seconds, targets), over=dict.fromkeys(targets, 4000))

    monkeypatch.setattr(gates, "measure", slow)
    version = house.register("bad")
    late = tuple(replace(p, due="live") for p in DECLARED.promises)
    assert run_gate(version, ModelFile(promises=late)).blocking == ()
    assert run_gate(version, DECLARED).blocking == ("speed", "quality")


def test_a_fairness_column_that_cannot_be_read_is_unknown(
    house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gates, "measure", driven)
    fair = Promise("fair", "accuracy_difference", at_most=0.5, due="gate", of="plann")
    version = house.register()
    found = run_gate(version, ModelFile(promises=(fair,))).verdicts[0]
    assert found.status == "UNKNOWN"
    assert "did you mean 'plan'" in found.reason
    moved = replace(version, lineage={**version.lineage, "source": "/gone.parquet"})
    gone = run_gate(moved, ModelFile(promises=(replace(fair, of="plan"),)))
    assert "cannot be read again" in gone.verdicts[0].reason
    assert gone.blocking == ("fair",)


def test_a_fairness_column_is_read_as_the_version_read_its_data(house: Any, tmp_path: Path) -> None:
    version = house.register()
    people = pq.read_table(version.lineage["source"])
    bought = [
        {"gold": "злато", "free": "даром"}.get(word, word) for word in people["plan"].to_pylist()
    ]
    rows = [f"{word},{age}" for word, age in zip(bought, people["age"].to_pylist(), strict=True)]
    path = tmp_path / "people.csv"
    path.write_bytes("\n".join(["plan,age", "cut", *rows, ""]).encode("cp1251"))
    told = {
        "order": {"data": str(path), "reading": {"encoding": "cp1251"}},
        "reader": {"on_bad_rows": "skip"},
        "fingerprint": open_source(path).fingerprint(),
    }
    replay = Replay(replace(version, lineage={**version.lineage, **told}))
    found = replay.group("plan")
    assert np.array_equal(found, np.asarray(bought, dtype=object)[replay.rows["row"]])


def test_golden_rows_that_come_out_differently_block(
    house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gates, "measure", lambda *a: replace(driven(*a), golden=1e-9))
    assert run_gate(house.register(), ModelFile()).blocking == (GOLDEN,)


def test_a_refusal_tells_why_there_was_no_load_test(house: Any) -> None:
    found = gates.Gate((), {"load": {"failed": "the process ended with code 1."}}, (LOAD,))
    told = str(GateRefused(house.register(), ModelFile(), found))
    assert "There was no load test: the process ended with code 1." in told


@pytest.mark.slow
@pytest.mark.parametrize(
    ("blocking", "overran", "undecided"),
    [
        ((LOAD,), True, True),
        ((LOAD, "speed"), True, True),
        ((LOAD, "speed"), False, False),
        ((LOAD, "quality"), True, False),
        ((LOAD, GOLDEN), True, False),
        ((), False, False),
    ],
)
def test_only_a_load_test_that_did_not_end_leaves_it_open(
    blocking: tuple[str, ...], overran: bool, undecided: bool
) -> None:
    speed = Promise("speed", "latency_p99", at_most=10.0)
    quality = Promise("quality", "accuracy", at_least=0.9)
    verdicts = (
        Verdict.unknown(speed, "there was no load test: it did not end within 123 s"),
        Verdict.unknown(quality, "12 rows are too few"),
    )
    found = Gate(verdicts, {"load": Load(failed="so", overran=overran).to_json()}, blocking)
    assert found.undecided is undecided


def test_a_version_that_cannot_be_loaded_blocks(house: Any, tmp_path: Path) -> None:
    version = house.register()
    damaged = version.folder / "policy.json"
    damaged.write_text("{}", encoding="utf-8")
    load = measure(version.folder, 0.1, (5.0,))
    assert "policy.json has changed" in load.failed
    found = run_gate(version, replace(DECLARED, promises=DECLARED.promises[:1]), seconds=0.1)
    assert found.blocking == (LOAD,)
    assert "policy.json has changed" in found.verdicts[0].reason


@pytest.mark.slow
def test_failures_under_load_are_counted(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from promise.rollout import load as loads

    class Failing:
        def __init__(self, pipeline: Any) -> None:
            self.calls = 0

        def one(self, values: Any, seen: Any = None) -> None:
            self.calls += 1
            if self.calls % 2:
                raise ValueError("every other time")

    monkeypatch.setattr(loads, "bind", Failing)
    load = drive(house.register().folder, 0.3, (0.0, 1e9))
    assert load.requests > 10
    assert abs(load.errors - load.requests / 2) <= 1
    assert load.over == {0.0: load.requests, 1e9: 0}
    assert load.first_error == "ValueError: every other time"


def test_bodies_are_the_golden_rows(trained: dict[str, Path]) -> None:
    schema = load_pipeline(trained["good"]).task.request
    rows = [json.loads(body) for body in golden_bodies(trained["good"], schema)]
    assert len(rows) == 32
    assert all(list(row) == list(schema.names) for row in rows)
    assert all(np.isfinite(row["age"]) for row in rows)
