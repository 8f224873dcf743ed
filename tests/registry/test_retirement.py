"""Retiring: thirty days, then the archive; never what serves."""

from __future__ import annotations

import multiprocessing
import os
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from promise.clock import ManualClock
from promise.errors import ArtifactError, ConfigError
from promise.registry.lifecycle import Route
from promise.registry.registry import Registry
from promise.state.database import Database

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")

DAY_S = 86_400.0


@pytest.fixture
def clock(registry: Registry) -> ManualClock:
    assert isinstance(registry.clock, ManualClock)
    return registry.clock


@pytest.fixture
def three(registry: Registry, write) -> Registry:
    for number in range(3):
        registry.register("churn", write(f"card {number}"))
    return registry


@pytest.mark.slow
def test_a_retired_version_is_archived_after_thirty_days(
    three: Registry, clock: ManualClock
) -> None:
    retired = three.retire("churn@1", "too slow")
    assert (retired.state, retired.retired_because) == ("deprecated", "too slow")
    assert retired.archive_at is not None
    assert (retired.archive_at - clock.now()).days == 30
    clock.advance(29 * DAY_S)
    assert three.sweep() == []
    assert three.find("churn@1").folder.is_dir()
    clock.advance(2 * DAY_S)
    assert [str(version) for version in three.sweep()] == ["churn@1"]
    assert three.sweep() == []
    kept = three.get("churn@1")
    assert (kept.state, kept.metrics) == ("archived", {"score": 0.5})
    assert not kept.folder.exists()
    with pytest.raises(ArtifactError, match="archived and its files are gone"):
        three.find("churn@1")
    states = [link.evidence["state"] for link in three.lifecycle.history("churn")]
    assert states == ["deprecated", "archived"]
    assert three.lifecycle.verify("churn") is None


def test_the_newest_is_the_newest_that_is_not_retired(three: Registry) -> None:
    three.retire("churn@3", "leaks")
    assert three.find("churn").number == 2
    assert three.find("churn@3").state == "deprecated"


def test_a_retirement_needs_a_reason_and_can_be_taken_back(
    three: Registry, clock: ManualClock
) -> None:
    with pytest.raises(ConfigError, match="--reason"):
        three.retire("churn@1", " ")
    three.retire("churn@1", "too slow")
    three.retire("churn@1", "again")
    assert three.get("churn@1").retired_because == "too slow"
    assert three.unretire("churn@1").state == "active"
    with pytest.raises(ConfigError, match="not retired"):
        three.unretire("churn@1")
    clock.advance(40 * DAY_S)
    assert three.sweep() == []
    assert three.find("churn@1").state == "active"


def test_an_archived_version_comes_back_only_with_its_files(
    three: Registry, clock: ManualClock, write
) -> None:
    three.retire("churn@1", "too slow")
    clock.advance(31 * DAY_S)
    three.sweep()
    with pytest.raises(ConfigError, match="restore them from a backup"):
        three.unretire("churn@1")
    folder = three.get("churn@1").folder
    folder.mkdir()
    write("card 0")(folder)
    assert three.unretire("churn@1").state == "active"
    assert three.find("churn@1").archive_at is None
    three.retire("churn@1", "still slow")
    clock.advance(31 * DAY_S)
    three.sweep()
    assert not folder.exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("route", "said"),
    [
        (Route("churn", stage="steady", live=1), "it is live for churn; deploy another"),
        (Route("churn", stage="steady", live=2, standby=1), "it is the standby"),
        (Route("churn", stage="canary", live=2, candidate=1), "in canary for churn; take it back"),
        (Route("churn", stage="steady", live=2, experiment={1: 5000}), "part of an experiment"),
    ],
)
def test_nothing_that_serves_can_be_retired(three: Registry, route: Route, said: str) -> None:
    three.lifecycle.commit(None, "deploy", route, reason="first")
    with pytest.raises(ConfigError, match=said):
        three.retire("churn@1", "too slow")
    assert three.get("churn@1").state == "active"


def test_a_retired_version_cannot_be_deployed(three: Registry) -> None:
    life = three.lifecycle
    first = life.commit(None, "deploy", Route("churn", stage="steady", live=1), reason="first")
    three.retire("churn@2", "leaks")
    last = life.last("churn")
    assert last is not None
    assert (last.kind, last.route) == ("retire", first.route)
    with pytest.raises(ConfigError, match="--undo"):
        life.commit(last, "deploy", replace(first.route, stage="shadow", candidate=2), reason="x")
    assert life.at("churn", three.clock.now()) == first


def test_files_that_two_versions_share_stay_while_one_is_alive(
    three: Registry, clock: ManualClock
) -> None:
    share = sa.text(
        "UPDATE versions SET folder = (SELECT folder FROM versions o WHERE o.name = 'churn' AND "
        "o.number = 2) WHERE number = 1"
    )
    three.database.run(lambda connection: connection.execute(share))
    three.retire("churn@1", "old")
    clock.advance(31 * DAY_S)
    three.sweep()
    assert three.find("churn@2").folder.is_dir()
    three.retire("churn@2", "old")
    clock.advance(31 * DAY_S)
    three.sweep()
    assert not three.get("churn@2").folder.exists()


def sweep_until_killed(url: str, artifacts: Path, clock: ManualClock) -> None:
    os.environ["PROMISE_FAILPOINT"] = "registry.purge.removed:1"
    Registry(Database(url), artifacts, clock).sweep()


@pytest.mark.slow
def test_a_sweep_goes_on_after_a_kill(three: Registry, clock: ManualClock) -> None:
    for number in (1, 2):
        three.retire(f"churn@{number}", "old")
    clock.advance(31 * DAY_S)
    worker = multiprocessing.get_context("fork").Process(
        target=sweep_until_killed, args=(three.database.url, three.artifacts, clock)
    )
    worker.start()
    worker.join(60)
    assert worker.exitcode == -9
    three.sweep()
    found = three.versions("churn")
    assert [version.state for version in found] == ["archived", "archived", "active"]
    assert [version.folder.exists() for version in found] == [False, False, True]
    assert three.lifecycle.verify("churn") is None
