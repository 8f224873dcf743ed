"""`promise retrain`: what a shell sees of it without a training."""

from __future__ import annotations

import json
from typing import Any

import pytest

from promise.cli.main import main
from promise.retraining.runs import Runs
from promise.retraining.standing import standing


@pytest.fixture
def shell(site: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Return a function that runs a command line and gives what it printed."""
    monkeypatch.setenv("PROMISE_HOME", str(site.settings.home))

    def run(*arguments: str, code: int = 0) -> tuple[str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["retrain", *arguments])
        told = capsys.readouterr()
        assert ended.value.code == code, told
        return told.out, told.err

    return run


@pytest.mark.slow
def test_past_runs_are_listed(site: Any, shell: Any) -> None:
    assert shell("--list")[0] == "nothing was trained again yet\n"
    assert json.loads(shell("--list", "--json")[0]) == {"retrainings": [], "next_due": {}}
    runs = Runs(site.registry.database, site.clock)
    run = runs.begin("churn", "rows", "200 new labelled rows", live=1, label_number=0)
    runs.end(run, "kept", "churn@1 stays, since only a win replaces it.", version=2, n_rows=1200)
    told = json.loads(shell("--list", "--json")[0])
    assert told["retrainings"][0]["state"] == "kept"
    assert told["next_due"] == {"churn": "after 200 more labelled rows"}
    shown = shell("churn", "--list")[0]
    for part in ("200 new labelled rows", "1,200", "churn@1 stays", "next due after 200 more"):
        assert part in shown


@pytest.mark.slow
def test_a_name_is_asked_for_once_and_must_be_known(site: Any, shell: Any) -> None:
    assert "promise retrain NAME" in shell(code=1)[1]
    assert "there is no model 'chrun'; did you mean 'churn'?" in shell("chrun", code=1)[1]
    assert "did you mean 'churn'?" in shell("chrun", "--list", code=1)[1]
    told = shell("churn", "--reason", "new prices", "--json")
    assert json.loads(told[0]) == {"name": "churn", "asked": True}
    assert "a running watch takes it up" in told[1]
    assert "was asked for already" in shell("churn")[1]
    assert standing("churn", settings=site.settings).next_due == "now: new prices"


def test_bounds_are_checked_before_anything_is_asked_for(site: Any, shell: Any) -> None:
    assert "say --here too" in shell("churn", "--threads", "2", code=1)[1]
    assert "'much' is no size" in shell("churn", "--here", "--memory", "much", code=1)[1]
    assert standing("churn", settings=site.settings).next_due == "after 200 more labelled rows"
