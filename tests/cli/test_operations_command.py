"""`promise backup`, `restore` and `models rules`, as they are typed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from promise.cli.main import main
from promise.registry.registry import Registry
from promise.settings import Settings
from promise.state.files import digests, write_json

Run = Callable[..., str]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the home of an installation with one version."""
    monkeypatch.setenv("PROMISE_HOME", str(tmp_path / "home"))
    registry = Registry.open(Settings.load())
    registry.register("churn", write)
    registry.database.close()
    return tmp_path


def write(folder: Path) -> None:
    """Write the smallest version folder."""
    (folder / "card.md").write_text("# card\n")
    manifest = {
        "format": 1, "task": {"workload": "tabular"}, "metrics": {}, "lineage": {},
        "digests": digests(folder),
    }  # fmt: skip
    write_json(folder / "manifest.json", manifest)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs a command and returns what it printed."""

    def run_command(*arguments: str, code: int = 0) -> str:
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main([str(argument) for argument in arguments])
        shown = capsys.readouterr()
        assert stop.value.code == code, shown.err
        return shown.out if code == 0 else shown.err

    return run_command


@pytest.mark.slow
def test_what_was_backed_up_is_restored(
    home: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    to = str(home / "backup")
    said: dict[str, Any] = json.loads(run("backup", to, "--json"))
    assert (said["versions"], said["tables"]["versions"]) == (1, 1)
    assert "0 files copied" in run("backup", to, "--live-only", "--with-records", "--prune")
    assert json.loads(run("backup", to, "--json"))["copied_files"] > 0  # pruned before
    monkeypatch.setenv("PROMISE_HOME", str(home / "other"))
    assert "the files of 1 versions" in run("restore", to)
    assert "churn@1" in run("models", "list")
    assert "--force" in run("restore", to, code=1)
    assert json.loads(run("restore", to, "--force", "--json"))["rows"]["versions"] == 1


def test_a_name_that_declared_nothing_has_the_rules_of_the_default(home: Path, run: Run) -> None:
    shown = run("models", "rules", "churn", "--installation")
    assert shown.startswith("groups:\n")
    assert '"promise-installation"' in shown
    assert '"PromiseErrorsBurning"' in shown
    assert "did you mean 'churn'" in run("models", "rules", "chrun", code=1)


def test_rules_of_a_file_are_printed_as_json_too(home: Path, run: Run) -> None:
    config = home / "promise.toml"
    config.write_text('[promises]\nspeed = { that = "latency_p99", at_most = "12ms" }\n')
    said = json.loads(run("models", "rules", "churn", "--config", str(config), "--json"))
    alerts = {rule["alert"] for rule in said["groups"][0]["rules"]}
    assert {"PromiseLatencyBurning", "PromiseBroken"} <= alerts
    assert "1 to 63 lower-case" in run("models", "rules", "Churn", code=1)
