"""`promise models …` and `promise keys …` for people and for programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from promise.cli.keys import keys
from promise.cli.models import models
from promise.errors import ConfigError, PromiseError
from promise.registry.lifecycle import Route
from promise.registry.registry import Registry


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.setenv("PROMISE_HOME", str(tmp_path / "home"))
    registry = Registry.open()

    def write(folder: Path) -> None:
        (folder / "card.md").write_text("# its own card [not markup]")
        metrics = {"metric": "accuracy", "score": 0.8, "ci": [0.7, 0.9], "rows": 60, "split": "rnd"}
        manifest = {
            "format": 1, "task": {"workload": "tabular"}, "metrics": metrics,
            "lineage": {"seed": 7}, "digests": {},
        }  # fmt: skip
        (folder / "manifest.json").write_text(json.dumps(manifest))

    for _ in range(2):
        registry.register("churn", write)
    route = Route("churn", stage="steady", live=2)
    registry.lifecycle.commit(None, "deploy", route, reason="first")
    return registry


def run(app: Any, *arguments: str) -> str:
    result = CliRunner().invoke(app, arguments, standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result.stdout


def told(app: Any, *arguments: str) -> Any:
    return json.loads(run(app, *arguments, "--json"))


def test_list_and_show(registry: Registry) -> None:
    listed = told(models, "list")["models"]
    assert [(m["version"], m["role"], m["state"]) for m in listed] == [
        (1, None, "active"), (2, "live", "active"),
    ]  # fmt: skip
    assert "churn@2" in run(models, "list")
    shown = told(models, "show", "churn@live")
    assert (shown["version"], shown["role"], shown["lineage"]["seed"]) == (2, "live", 7)
    assert shown["metrics"]["ci"] == [0.7, 0.9]
    assert shown["promises"]["declared"][0]["that"] == "request_errors"
    text = run(models, "show", "churn@2")
    assert "# its own card [not markup]" in text
    assert "serves as: live" in text
    assert "95 % interval 0.7000 to 0.9000" in text


def test_label_and_retire(registry: Registry) -> None:
    assert told(models, "label", "churn@1", "owner=risk", "eu=yes")["labels"] == {
        "owner": "risk", "eu": "yes",
    }  # fmt: skip
    assert run(models, "label", "churn@1", "eu=") == "churn@1: owner=risk\n"
    with pytest.raises(ConfigError, match="KEY=VALUE"):
        run(models, "label", "churn@1", "owner")
    with pytest.raises(ConfigError, match="it is live for churn"):
        run(models, "retire", "churn@2", "--reason", "x")
    with pytest.raises(ConfigError, match="--reason"):
        run(models, "retire", "churn@1")
    with pytest.raises(ConfigError, match="NAME@V"):
        run(models, "retire", "churn", "--reason", "x")
    assert told(models, "retire", "churn@1", "--reason", "slow")["state"] == "deprecated"
    assert "deprecated" in run(models, "list")
    assert "active again" in run(models, "retire", "churn@1", "--undo")


def test_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMISE_HOME", str(tmp_path))
    assert "promise keys create" in run(keys, "list")
    made = told(keys, "create", "--scope", "predict, label", "--label", "the shop")
    assert made["scopes"] == ["predict", "label"]
    assert made["secret"].startswith(f"pk_{made['id']}_")
    assert "pk_" in run(keys, "create", "--label", "me", "--scope", "admin").splitlines()[0]
    listed = told(keys, "list")["keys"]
    assert "secret" not in listed[0]
    assert [key["label"] for key in listed] == ["the shop", "me"]
    assert "is revoked" in run(keys, "revoke", made["id"])
    assert told(keys, "list")["keys"][0]["revoked"] is not None
    assert made["id"] in run(keys, "list")
    with pytest.raises(PromiseError, match="did you mean 'admin'"):
        run(keys, "create", "--label", "x", "--scope", "admn")
