"""A watch starts what is due in a process of its own, and waits for nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from promise.clock import ManualClock
from promise.retraining.lease import lease_key
from promise.retraining.retrainer import Retrainer
from promise.retraining.run import ask
from promise.rollout.leases import Leases

STAYS = (sys.executable, "-c", "import signal; signal.pause()")
FAILS = (sys.executable, "-c", "raise SystemExit(3)")


@pytest.fixture
def make(site: Any) -> Iterator[Callable[..., Retrainer]]:
    """Return a function that makes a retrainer whose processes only stand in for a training."""
    made: list[Retrainer] = []

    def one(command: tuple[str, ...] = STAYS) -> Retrainer:
        clock = ManualClock(site.clock.now())
        made.append(Retrainer(site.settings, command, clock))
        return made[-1]

    yield one
    for each in made:
        each.close()


def passed(retrainer: Retrainer, seconds: float) -> None:
    retrainer.clock._clock.advance(seconds)  # type: ignore[attr-defined]


def test_what_is_due_is_started_once(site: Any, make: Callable[..., Retrainer]) -> None:
    retrainer = make()
    assert retrainer.look() is None
    ask("churn", "by ann", settings=site.settings)
    assert retrainer.look() is None  # it looks every five seconds only
    passed(retrainer, 6)
    assert retrainer.look() == retrainer.running == "churn"
    passed(retrainer, 6)
    assert retrainer.look() is None


def test_nobody_starts_what_another_machine_does(site: Any, make: Callable[..., Retrainer]) -> None:
    ask("churn", "by ann", settings=site.settings)
    retrainer = make()
    leases = Leases(site.registry.database, retrainer.clock)
    leases.take(lease_key("churn"), "another machine", 30)
    assert retrainer.look() is None
    passed(retrainer, 31)  # it is not heard of any more
    assert retrainer.look() == "churn"


def test_a_run_that_was_killed_is_settled_though_nothing_is_due(
    site: Any, make: Callable[..., Retrainer]
) -> None:
    retrainer = make()
    retrainer.facts.runs.begin("churn", "rows", "many", live=1, label_number=0)
    assert retrainer.look() == "churn"


def test_a_process_that_fails_at_once_rests(site: Any, make: Callable[..., Retrainer]) -> None:
    ask("churn", "by ann", settings=site.settings)
    retrainer = make(FAILS)
    assert retrainer.look() == "churn"
    while retrainer.running:
        pass
    passed(retrainer, 6)
    assert retrainer.look() is None
    passed(retrainer, 61)
    assert retrainer.look() == "churn"


def test_the_process_ends_with_the_retrainer(
    site: Any, make: Callable[..., Retrainer], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ask("churn", "by ann", settings=site.settings)
    started: list[subprocess.Popen[bytes]] = []
    real = subprocess.Popen

    def noted(*given: Any, **more: Any) -> subprocess.Popen[bytes]:
        started.append(real(*given, **more))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", noted)
    retrainer = make()
    retrainer.look()
    retrainer.close()
    assert [process.returncode for process in started] == [-15]


def test_a_machine_without_room_for_a_process_goes_on_watching(
    site: Any, make: Callable[..., Retrainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise BlockingIOError("Resource temporarily unavailable")

    ask("churn", "by ann", settings=site.settings)
    retrainer = make()
    with monkeypatch.context() as context:
        context.setattr(subprocess, "Popen", full)
        assert retrainer.look() is None
    passed(retrainer, 6)
    assert retrainer.look() == "churn"
