"""`promise deploy`, `rollback`, `status` and `watch` as a shell calls them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from promise.cli.deploy import deploy, rollback, status
from promise.cli.watch import watch
from promise.clock import SystemClock
from promise.errors import ConfigError, DataError, PromiseError, StateError
from promise.metrics.costs import Costs, outcome
from promise.monitoring.collect import Collector
from promise.monitoring.decided import Decided
from promise.records.buckets import BUCKET_S, bucket_start
from promise.records.evidence import EvidenceStore
from promise.records.timeline import Timeline
from promise.registry.lifecycle import Lifecycle
from promise.registry.revisions import Revisions
from promise.rollout import gate as gates
from promise.rollout.deploy import deploy as deploy_version
from promise.rollout.load import Load
from promise.state.database import Database

CONFIG = """
[promises]
errors  = { that = "request_errors", at_most = 0.01, on_break = "rollback" }
quality = { that = "accuracy", at_least = 0.7, due = "gate", on_break = "hold" }
[rollout]
shadow = 100
"""


@pytest.fixture
def shell(house: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that runs a command line and gives what it printed."""

    def driven(folder: Path, seconds: float, targets: tuple[float, ...]) -> Load:
        return Load(requests=5000, seconds=seconds, over=dict.fromkeys(targets, 0), golden=0.0)

    monkeypatch.setattr(gates, "measure", driven)
    monkeypatch.setenv("PROMISE_HOME", str(house.settings.home))
    app = typer.Typer()
    for command in (deploy, rollback, status, watch):
        app.command()(command)

    def run(*arguments: str, code: int = 0) -> str:
        done = CliRunner().invoke(app, list(arguments))
        if isinstance(done.exception, PromiseError):
            raise done.exception
        assert done.exit_code == code, done.output
        return str(done.stdout)

    return run


def test_from_deploy_to_rollback(house: Any, shell: Any) -> None:
    assert "nothing is deployed yet" in shell("status")
    house.register(), house.register(), house.register("bad")
    first = shell("deploy", "churn@1", "--config", str(house.config(CONFIG)))
    assert "accuracy ≥ 0.7" in first
    assert "churn@1 is live at once" in first
    told = json.loads(shell("deploy", "churn@2", "--json"))
    assert told["transition"]["route"]["stage"] == "shadow"
    assert {v["promise"] for v in told["gate"]["verdicts"]} == {"errors", "quality"}
    shown = shell("status", "churn")
    assert "churn@1 is live now" in shown
    assert "churn@2: shadow" in shown
    assert "waits for: 100 more shadow requests" in shown
    assert "chain: intact, 2 transitions" in shown
    assert "churn@2 is dropped: odd" in shell("rollback", "churn", "--reason", "odd")
    refused = json.loads(shell("deploy", "churn@3", "--json", code=1))
    assert refused["gate"]["blocking"] == ["quality"]
    with pytest.raises(PromiseError, match="does not pass the gate: quality"):
        shell("deploy", "churn@3")
    assert "last gate of churn@3: refused on 2" in shell("status", "churn")
    assert json.loads(shell("status", "churn", "--json"))["gate"]["passed"] is False
    shell("deploy", "churn@3", "--now", "--reason", "a drill")
    assert "back from churn@3 to churn@1" in shell("rollback", "churn")
    listed = json.loads(shell("status", "--json"))["models"]
    assert [(m["name"], m["live"], m["verified"]) for m in listed] == [("churn", 1, True)]
    assert "churn" in shell("status")


def test_a_deployment_says_what_takes_long_to_judge(house: Any, shell: Any) -> None:
    house.register(), house.register()
    slow = CONFIG.replace('due = "gate", on_break = "hold"', 'due = "live"')
    told = json.loads(shell("deploy", "churn@1", "--config", str(house.config(slow)), "--json"))
    assert told["advice"] == [], "nothing is known of the traffic yet"
    hours_ago = bucket_start(SystemClock().now() - timedelta(hours=12))
    store = EvidenceStore(house.registry.database, house.clock)
    store.add_counts("slot", "churn", 1, "live", hours_ago, 2000, 2, {})
    house.clock.start = SystemClock().now() - timedelta(seconds=house.clock.elapsed_s)
    house.labelled(1, 2, 0.9)
    shown = shell("deploy", "churn@2")
    assert "advice: quality needs" in shown
    assert "days at your rate" in shown


def test_status_of_the_past(house: Any, shell: Any) -> None:
    house.register()
    shell("deploy", "churn@1")
    then = json.loads(shell("status", "churn", "--at", "0s ago", "--json"))
    assert then["live"] == 1
    assert then["live_because"].startswith("churn@1 is live at once")
    assert "was live at" in shell("status", "churn", "--at", "0s ago")
    with pytest.raises(DataError, match="was not live at"):
        shell("status", "churn", "--at", "2h ago")
    with pytest.raises(ConfigError, match="asks about one name"):
        shell("status", "--at", "2h ago")


def test_a_refused_deployment_leaves_the_promises_as_they_were(
    house: Any, shell: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    house.register("bad"), house.register(), house.register("bad")
    revisions = Revisions(house.registry.database)
    config = str(house.config(CONFIG))
    with pytest.raises(PromiseError, match="does not pass the gate: quality"):
        shell("deploy", "churn@1", "--config", config)
    assert revisions.current("churn").number == 0
    shell("deploy", "churn@2", "--config", config)
    stricter = house.config(CONFIG.replace("0.7", "0.75"))
    with pytest.raises(PromiseError, match="does not pass the gate: quality"):
        shell("deploy", "churn@3", "--config", str(stricter))
    assert [each.number for each in revisions.all("churn")] == [1]
    stricter.write_text(CONFIG.replace("0.7", "0.75") + "[experiment]\nsplit = { 3 = 50 }\n")
    with pytest.raises(PromiseError, match="does not pass the gate: quality"):
        shell("deploy", "churn@2", "--config", str(stricter))
    assert revisions.current("churn").number == 1


def test_the_reason_of_loosened_promises_is_kept_with_them(house: Any, shell: Any) -> None:
    house.register(), house.register()
    shell("deploy", "churn@1", "--config", str(house.config(CONFIG)))
    looser = str(house.config(CONFIG.replace("0.7", "0.6")))
    with pytest.raises(ConfigError, match="loosens what churn promised"):
        shell("deploy", "churn@2", "--config", looser)
    assert "typo" not in shell("deploy", "churn@2", "--config", looser, "--reason", "typo")
    kept = Revisions(house.registry.database).current("churn")
    assert (kept.number, kept.reason) == (2, "typo")
    assert house.lifecycle.route("churn").revision == 2


def test_the_gate_is_announced_when_it_starts_and_not_before(house: Any, shell: Any) -> None:
    house.register()
    seen: list[str] = []
    with pytest.raises(DataError):
        deploy_version("chrun", on_gate=lambda v: seen.append(str(v)), **house.given)
    with pytest.raises(ConfigError):
        deploy_version("churn", now=True, on_gate=lambda v: seen.append(str(v)), **house.given)
    assert seen == []
    deploy_version("churn", on_gate=lambda v: seen.append(str(v)), **house.given)
    assert seen == ["churn@1"]


def test_an_experiment_declared_with_a_rollout_is_said_to_wait(house: Any, shell: Any) -> None:
    house.register(), house.register()
    shell("deploy", "churn@1")
    config = house.config(CONFIG + "[experiment]\nsplit = { 2 = 50 }\n")
    shown = shell("deploy", "churn@2", "--config", str(config))
    assert "churn@2 answers 100 requests unseen" in shown
    assert "the [experiment] waits for the end of the rollout" in " ".join(shown.split())
    assert house.lifecycle.route("churn").experiment == {}


@pytest.mark.slow
def test_status_of_an_experiment_with_labels_from_json(house: Any, shell: Any) -> None:
    house.register(), house.register()
    config = CONFIG.replace('due = "gate"', 'due = "live"')
    shell("deploy", "churn@1", "--config", str(house.config(config)))
    split = "[experiment]\nsplit = { 2 = 50 }\n"
    shell("deploy", "churn@1", "--config", str(house.config(config + split)))
    house.clock.start = SystemClock().now() - timedelta(seconds=house.clock.elapsed_s - 1)
    for version, arm in ((1, "live"), (2, "experiment")):
        house.labelled(version, 120, 0.9, arm=arm)
        payload = house.evidence.observed("churn", version, "outcome")[0].payload
        house.evidence.observe(
            "churn", version, "outcome", "a", {**payload, "y": [float(y) for y in payload["y"]]}
        )
    told = json.loads(shell("status", "churn", "--json"))["differences"]
    assert {each["metric"]: each["n"] for each in told}["accuracy"] == 100
    assert "accuracy" in shell("status", "churn")
    rolled = shell("rollback", "churn", "--reason", "odd")
    assert "churn@1 answers alone; the experiment ends: odd" in rolled
    assert house.lifecycle.route("churn").experiment == {}


@pytest.mark.slow
def test_watch_ends_with_the_process_that_started_it(house: Any) -> None:
    code = (
        "import typer; from promise.cli.watch import watch; app = typer.Typer(); "
        "app.command()(watch); app()"
    )
    starts = (
        "import os, subprocess, sys, time; "
        f"p = subprocess.Popen([sys.executable, '-c', {code!r}, '--parent', str(os.getpid())], "
        "start_new_session=True); print(p.pid, flush=True); time.sleep(60)"
    )
    environment = {**os.environ, "PROMISE_HOME": str(house.settings.home)}
    parent = subprocess.Popen(
        [sys.executable, "-c", starts], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    until = time.monotonic() + 120
    while _runs(pid) and time.monotonic() < until:
        time.sleep(0.05)
    assert not _runs(pid)


def _runs(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def test_status_says_up_to_when_requests_are_counted(house: Any, shell: Any) -> None:
    house.register()
    shell("deploy", "churn@1")
    assert "evidence: no requests were counted yet" in shell("status", "churn")
    store, now = EvidenceStore(house.registry.database, house.clock), SystemClock().now()
    for ago, words in ((60, "newer ones are on their way"), (0, "requests counted up to")):
        start = bucket_start(now - timedelta(seconds=ago))
        store.add_counts("slot", "churn", 1, "live", start, 20, 0, {})
        assert words in " ".join(shell("status", "churn").split())


def test_status_needs_no_room_on_the_disk(
    house: Any, shell: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.register()
    shell("deploy", "churn@1")
    house.close()

    def full(self: Timeline, clock: Any) -> None:
        raise StateError("disk I/O error")

    monkeypatch.setattr(Timeline, "keep_up", full)
    assert "churn@1 is live now" in shell("status", "churn")
    assert "churn" in shell("status")
    log = Path(f"{house.settings.home / 'promise.db'}-wal")
    log.write_bytes(b"what was written last")
    with pytest.raises(StateError):
        shell("status", "churn")
    log.unlink()


def test_what_cannot_be_is_told(house: Any, shell: Any) -> None:
    house.register()
    with pytest.raises(DataError, match="did you mean 'churn'"):
        shell("deploy", "chrun")
    with pytest.raises(ConfigError, match="nothing is live yet"):
        shell("rollback", "churn")
    with pytest.raises(DataError, match="was never deployed; run `promise deploy churn@1`"):
        shell("status", "churn")
    with pytest.raises(ConfigError, match="is no time span"):
        shell("watch", "--every", "0s")


@pytest.mark.slow
def test_watch_moves_a_rollout_and_ends_when_told(
    house: Any, shell: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.register(), house.register()
    shell("deploy", "churn@1", "--config", str(house.config(CONFIG)))
    shell("deploy", "churn@2")
    closed: list[Collector] = []
    close = Collector.close
    monkeypatch.setattr(Collector, "close", lambda self: (closed.append(self), close(self)))
    assert json.loads(shell("watch", "--once", "--json")) == {"transitions": []}
    assert len(closed) == 1
    code = (
        "import typer; from promise.cli.watch import watch; app = typer.Typer(); "
        "app.command()(watch); app()"
    )
    environment = {**os.environ, "PROMISE_HOME": str(house.settings.home)}
    process = subprocess.Popen([sys.executable, "-c", code, "--every", "0.05s"], env=environment)
    database = Database(house.settings.database)
    lifecycle = Lifecycle(database, house.lifecycle.clock)
    try:
        start = bucket_start(SystemClock().now() + timedelta(seconds=BUCKET_S))
        store = EvidenceStore(database, SystemClock())
        store.add_counts("slot", "churn", 2, "shadow", start, 500, 100, {})
        until = time.monotonic() + 120
        while lifecycle.route("churn").candidate is not None and time.monotonic() < until:
            time.sleep(0.05)
        assert [link.kind for link in lifecycle.history("churn")][-1] == "rollback"
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
        database.close()


def test_status_of_a_model_that_decides(
    house: Any, shell: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Review load, declines and money stand beside what is live; a past moment tells none."""
    house.register()
    shell("deploy", "churn@1", "--config", str(house.config(CONFIG)))
    assert json.loads(shell("status", "churn", "--json"))["decisions"] is None
    at = house.clock.now()
    known = outcome(np.array([0, 2]), np.array([0, 1]), np.array([5.0, 40.0]), Costs(), 1.0)
    told = Decided(at, at, (1, 0, 1), 0, cut=False, frauds=1, known=known)
    monkeypatch.setattr("promise.rollout.status.decided", lambda *_, **__: told)
    decisions = json.loads(shell("status", "churn", "--json"))["decisions"]
    assert (decisions["decline_rate"], decisions["saved"]) == (0.5, 40.0)
    assert "saved 40.00 against approving everything" in " ".join(shell("status", "churn").split())
    assert json.loads(shell("status", "churn", "--at", "0s ago", "--json"))["decisions"] is None
