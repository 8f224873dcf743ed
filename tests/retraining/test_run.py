"""Whole retrainings with real processes: the better version goes, the worse stays, kills heal."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from promise.errors import DataError
from promise.retraining import run as run_module
from promise.retraining import triggers
from promise.retraining.lease import LeaseLost, lease_key
from promise.retraining.run import ask
from promise.retraining.runs import Run
from promise.retraining.standing import runs_of, standing
from promise.rollout import gate
from promise.rollout.leases import Leases
from promise.rollout.load import Load

pytestmark = pytest.mark.slow

PATIENCE_S = 240.0


def promise(site: Any, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command line in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "promise.cli.main", *arguments],
        env={**os.environ, "PROMISE_HOME": str(site.settings.home), **environment},
        capture_output=True, text=True, check=False, timeout=PATIENCE_S,
    )  # fmt: skip


def numbers(site: Any) -> list[int]:
    return [version.number for version in site.registry.versions("churn")]


def runs(site: Any) -> list[Run]:
    return runs_of("churn", settings=site.settings)


@pytest.mark.slow
def test_a_better_version_goes_on_its_way(site: Any) -> None:
    site.answered(site.people(600, 2))
    assert standing("churn", settings=site.settings).next_due.startswith("now: 600 new labelled")
    run = site.retraining().run("churn")
    assert (run.state, run.kind, run.version, run.live) == ("deployed", "rows", 2, 1)
    assert run.comparison["interval"][0] > 0
    assert run.n_rows + run.n_judged == 120 + 600
    route = site.registry.lifecycle.route("churn")
    assert (route.live, route.candidate, route.stage) == (1, 2, "shadow")
    version = site.registry.find("churn@2")
    assert version.lineage["parents"] == ["churn@1"]
    assert version.lineage["retraining"] == {"run": 1}
    assert Path(version.lineage["source"]).is_file()
    # drift is measured against what it learned from, not against what the first one did
    before, after = (
        json.loads((site.registry.find(f"churn@{n}").folder / "reference.json").read_text())
        for n in (1, 2)
    )
    assert before["age"]["rows"] < 120 < after["age"]["rows"] <= run.n_rows
    assert site.retraining().run("churn") is None  # not while it is on its way
    told = standing("churn", settings=site.settings)
    assert told.next_due == "not before churn@2 is live or dropped"
    assert "deployed, churn@2" in told.sentence()


@pytest.mark.slow
def test_a_worse_version_is_kept_back(site: Any) -> None:
    rows = site.people(120, 1, turned=True)
    site.answered([*rows, *site.people(100, 6, turned=True)])
    run = site.retraining().run("churn")
    assert run.state == "kept"
    assert run.version == 2
    assert "churn@1 stays, since only a win replaces it" in run.sentence
    assert site.registry.lifecycle.route("churn").candidate is None
    # what was looked at is not new any more
    assert site.retraining().run("churn") is None
    assert standing("churn", settings=site.settings).next_due == "after 200 more labelled rows"


@pytest.mark.slow
def test_one_that_breaks_a_promise_is_refused_by_the_gate(site: Any) -> None:
    site.live("churn@1", least=0.95)
    site.answered(site.people(600, 2))
    run = site.retraining().run("churn")
    assert run.state == "refused"
    assert "does not pass the gate: quality" in run.sentence
    assert site.registry.lifecycle.route("churn").candidate is None


@pytest.mark.slow
def test_a_load_test_that_does_not_end_is_no_answer(
    site: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    overrun = Load(failed="it did not end within 123 s", overran=True)
    measured = gate.measure
    monkeypatch.setattr(gate, "measure", lambda *_: overrun)
    site.answered(site.people(600, 2))
    first = site.retraining().run("churn")
    assert (first.state, first.version, first.waits) == ("failed", 2, True)
    assert "churn@2 waits for a machine with room" in first.sentence
    assert site.retraining().run("churn") is None  # it rests
    monkeypatch.setattr(triggers, "FAILED_S", 0.0)
    assert site.retraining().run("churn").waits
    monkeypatch.setattr(gate, "measure", measured)
    third = site.retraining().run("churn")
    assert (third.state, third.version, third.number) == ("deployed", 2, 3)
    assert third.label_number == first.label_number
    assert numbers(site) == [1, 2]  # it was trained once
    home = site.settings.home / "retraining" / "churn"
    assert [folder.name for folder in home.iterdir()] == ["run-000001"]


@pytest.mark.slow
def test_a_load_test_that_never_ends_is_an_answer(
    site: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    overrun = Load(failed="it did not end within 123 s", overran=True)
    monkeypatch.setattr(gate, "measure", lambda *_: overrun)
    monkeypatch.setattr(triggers, "FAILED_S", 0.0)
    monkeypatch.setattr(run_module, "GATE_TRIES", 2)
    site.answered(site.people(600, 2))
    assert site.retraining().run("churn").state == "failed"
    assert site.retraining().run("churn").state == "refused"
    assert site.retraining().run("churn") is None


def test_what_cannot_be_done_is_on_record_and_rests(site: Any) -> None:
    site.answered(site.people(600, 2))
    for segment in (site.settings.records / "churn").iterdir():
        segment.unlink()
    run = site.retraining().run("churn")
    assert (run.state, run.version) == ("failed", None)
    assert "has a label that was known by now" in run.sentence
    assert site.retraining().run("churn") is None
    ask("churn", "by ann", settings=site.settings)
    assert site.retraining().run("churn").kind == "hand"  # a person is heard at once
    assert site.retraining().run("churn") is None
    assert [run.number for run in runs(site)] == [2, 1]


def test_who_asks_while_one_runs_is_heard_after_it(site: Any) -> None:
    site.answered(site.people(600, 2))
    for segment in (site.settings.records / "churn").iterdir():
        segment.unlink()

    def asking(words: str) -> None:
        ask("churn", "by ann", settings=site.settings)

    assert site.retraining(tell=asking).run("churn").kind == "rows"
    assert site.retraining().run("churn").kind == "hand"
    assert site.retraining().run("churn") is None


@pytest.mark.slow
def test_rows_of_a_loaded_version_are_kept_however_many_runs_came_since(site: Any) -> None:
    site.train(site.people(120, 3), lineage={"retraining": {"run": 1}})
    site.live("churn@2")
    retraining = site.retraining()
    home = site.settings.home / "retraining" / "churn"
    for number in range(1, 105):
        run = retraining.facts.runs.begin("churn", "rows", "many", live=1, label_number=0)
        retraining.facts.runs.end(run, "kept", "a tie", version=2 if number == 1 else number + 10)
        (home / f"run-{number:06d}").mkdir(parents=True)
    retraining._tidy("churn")
    assert [each.name[-3:] for each in sorted(home.iterdir())] == ["001", "103", "104"]
    retraining.close()


@pytest.mark.slow
def test_whoever_lost_the_lease_registers_nothing(site: Any) -> None:
    site.answered(site.people(600, 2))
    leases = Leases(site.registry.database, site.clock)

    def stolen(words: str) -> None:
        if "training on" in words:
            with site.registry.database.transaction() as connection:
                connection.execute(sa.text("DELETE FROM leases"))
            assert leases.take(lease_key("churn"), "another machine", 30)

    with pytest.raises(LeaseLost):
        site.retraining(tell=stolen, lease_s=600).run("churn")
    assert numbers(site) == [1]
    assert leases.holder(lease_key("churn")) == "another machine"
    assert site.retraining().run("churn") is None
    leases.release(lease_key("churn"), "another machine")
    assert site.retraining().run("churn").state == "deployed"
    assert [run.state for run in runs(site)] == ["deployed", "interrupted"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("point", "states", "versions"),
    [
        ("retraining.gathered", ["deployed", "interrupted"], [1, 2]),
        ("retraining.trained", ["deployed"], [1, 2]),
        ("retraining.deployed", ["deployed"], [1, 2]),
        ("registry.register.inserted", ["failed"], [1]),  # in the training's own process
    ],
)
def test_killed_in_the_middle_it_is_whole_again(
    site: Any, point: str, states: list[str], versions: list[int]
) -> None:
    site.answered(site.people(600, 2))
    killed = promise(site, "retrain", "churn", "--here", PROMISE_FAILPOINT=point)
    inside = point.startswith("registry")
    assert killed.returncode == (0 if inside else -signal.SIGKILL), killed.stderr
    assert numbers(site) in ([1], [1, 2])
    with site.registry.database.transaction() as connection:
        connection.execute(sa.text("DELETE FROM leases"))  # as when its time is over
    site.retraining().run("churn")
    assert [run.state for run in runs(site)] == states
    assert numbers(site) == versions
    route = site.registry.lifecycle.route("churn")
    assert route.candidate == (2 if len(versions) == 2 else None)
    folders = sorted((site.settings.home / "retraining" / "churn").iterdir())
    assert len(folders) == len(versions) - 1


@pytest.mark.slow
def test_two_processes_at_once_make_one_version(site: Any) -> None:
    site.answered(site.people(600, 2))
    environment = {**os.environ, "PROMISE_HOME": str(site.settings.home)}
    command = [sys.executable, "-m", "promise.cli.main", "retrain", "churn", "--here", "--json"]
    both = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    told = [json.loads(each.communicate(timeout=PATIENCE_S)[0])["run"] for each in both]
    assert sorted(each is None for each in told) == [False, True]
    assert numbers(site) == [1, 2]
    assert len(runs(site)) == 1


@pytest.mark.slow
def test_nothing_live_cannot_be_trained_again(make_site: Callable[..., Any]) -> None:
    site = make_site()
    with pytest.raises(DataError, match="nothing is registered yet"):
        ask("churn", "", settings=site.settings)
    site.train(site.people(60, 1))
    with pytest.raises(DataError, match="run `promise deploy churn@1`"):
        ask("churn", "", settings=site.settings)


@pytest.mark.slow
def test_a_watch_does_it_all_by_itself(site: Any, tmp_path: Path) -> None:
    """Labels arrive, `every_rows` fires, the better version wins and is sent on its way."""
    environment = {**os.environ, "PROMISE_HOME": str(site.settings.home)}
    command = [sys.executable, "-m", "promise.cli.main", "watch", "--every", "0.2s"]
    told = tmp_path / "told"
    with told.open("w") as errors:
        watch = subprocess.Popen(command, env=environment, stderr=errors)
    try:
        rows = site.people(600, 2)
        ids = site.answered(rows, labelled=False)
        site.label(ids[:150], rows[:150])
        site.label(ids[150:], rows[150:])
        until = time.monotonic() + PATIENCE_S
        # The record comes first, the sentence after it: the sentence ends the run.
        while "retraining 1 of churn: deployed" not in told.read_text():
            assert time.monotonic() < until, told.read_text()
            assert watch.poll() is None, told.read_text()
            time.sleep(0.05)
        assert [run.state for run in runs(site)] == ["deployed"]
        assert site.registry.lifecycle.route("churn").candidate == 2
        assert "churn: is trained again" in told.read_text()
    finally:
        watch.send_signal(signal.SIGTERM)
        watch.wait(timeout=60)


@pytest.mark.slow
def test_a_watch_that_ends_takes_its_training_along(site: Any) -> None:
    site.answered(site.people(600, 2))
    environment = {**os.environ, "PROMISE_HOME": str(site.settings.home)}
    command = [sys.executable, "-m", "promise.cli.main", "watch", "--every", "0.2s"]
    watch = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    leases = Leases(site.registry.database, site.clock)
    until = time.monotonic() + PATIENCE_S
    while not (runs(site) and leases.holder(lease_key("churn"))):
        assert time.monotonic() < until
    watch.kill()
    watch.wait()
    while leases.holder(lease_key("churn")):  # given back, long before its time is over
        assert time.monotonic() < until
    assert numbers(site) == [1]
    assert site.retraining().run("churn").state == "deployed"
    assert [run.state for run in runs(site)] == ["deployed", "interrupted"]


@pytest.mark.slow
def test_a_new_promise_that_is_broken_needs_no_win(site: Any) -> None:
    """A tie goes on its way where the live version breaks a promise that asks for training."""
    from promise.promises.verdict import Verdict
    from promise.registry.verdicts import Verdicts
    from promise.rollout.wishes import Wishes

    site.answered([*site.people(120, 1, turned=True), *site.people(40, 6, turned=True)])
    verdict = Verdict("quality", "accuracy", "BROKEN", 0.4, 0.3, n=90)
    Verdicts(site.registry.database, site.clock).record("churn", 1, "live", [verdict])
    wishes = Wishes(site.registry.database, site.clock)
    wishes.make("churn", "retrain", "churn@1 live: quality is BROKEN")
    run = site.retraining().run("churn")
    assert (run.kind, run.state) == ("broken", "deployed")
    assert "It is not worse, which is enough here." in run.sentence
    # mended meanwhile: the wish is moot
    kept = Verdict("quality", "accuracy", "KEPT", 0.4, 0.9, n=90)
    Verdicts(site.registry.database, site.clock).record("churn", 1, "live", [kept])
    standing("churn", settings=site.settings)
    assert wishes.open() == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["temporal", "grouped"])
def test_a_version_split_by_time_or_group_is_trained_again_by_that_rule(
    make_site: Callable[..., Any], kind: str
) -> None:
    site, by = make_site(), {"temporal": "day", "grouped": "shop"}[kind]
    rows = site.people(300, 1, turned=True)
    for i, row in enumerate(rows):
        row |= {by: f"2025-01-{1 + i // 10:02}" if by == "day" else f"s{i % 40}"}
    role = {"day": "time", "shop": "group"}[by]
    site.train(rows, columns={by: role}, split=f"{kind}:{by}")
    site.live()
    site.answered(site.people(1500, 2))
    run = site.retraining().run("churn")
    assert run.state == "deployed"
    version = site.registry.find("churn@2")
    split = version.metrics["split"]
    assert ("the latest 20 % of rows by `day`" if by == "day" else "values of `shop`") in split
    assert run.n_rows + run.n_judged == 1800
    if by == "day":  # the newest answers were not learned from, though all lie behind the cutoff
        year = site.clock.now().year
        assert f"(from {year}-" in split
