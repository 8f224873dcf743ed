"""`promise deploy`, `rollback`, `status` and `watch` as a shell calls them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from promise.cli.deploy import deploy, rollback, status
from promise.cli.watch import watch
from promise.errors import ConfigError, DataError, PromiseError
from promise.records.evidence import EvidenceStore
from promise.registry.lifecycle import Lifecycle
from promise.rollout import gate as gates
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
    shell("deploy", "churn@3", "--now", "--reason", "a drill")
    assert "back from churn@3 to churn@1" in shell("rollback", "churn")
    listed = json.loads(shell("status", "--json"))["models"]
    assert [(m["name"], m["live"], m["verified"]) for m in listed] == [("churn", 1, True)]
    assert "churn" in shell("status")


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


def test_watch_moves_a_rollout_and_ends_when_told(house: Any, shell: Any, tmp_path: Path) -> None:
    house.register(), house.register()
    shell("deploy", "churn@1", "--config", str(house.config(CONFIG)))
    shell("deploy", "churn@2")
    assert json.loads(shell("watch", "--once", "--json")) == {"transitions": []}
    code = (
        "import typer; from promise.cli.watch import watch; app = typer.Typer(); "
        "app.command()(watch); app()"
    )
    environment = {**os.environ, "PROMISE_HOME": str(house.settings.home)}
    process = subprocess.Popen([sys.executable, "-c", code, "--every", "0.05s"], env=environment)
    database = Database(house.settings.database)
    lifecycle = Lifecycle(database, house.lifecycle.clock)
    try:
        from promise.clock import SystemClock

        now = SystemClock().now()
        start = now.replace(second=now.second // 10 * 10, microsecond=0)
        store = EvidenceStore(database, SystemClock())
        store.add_counts("slot", "churn", 2, "shadow", start, 500, 100, {})
        until = time.monotonic() + 30
        while lifecycle.route("churn").candidate is not None and time.monotonic() < until:
            time.sleep(0.05)
        assert [link.kind for link in lifecycle.history("churn")][-1] == "rollback"
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
        database.close()
