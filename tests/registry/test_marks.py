"""A backup that prunes leaves alone what another is writing, though they are other processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from promise.cli.rooms import ROOMS
from promise.clock import ManualClock, SystemClock
from promise.errors import StateError
from promise.registry.backup import BackedUp, backup
from promise.registry.marks import Mark, filling, others, pruning
from promise.registry.registry import Registry
from promise.registry.restore import restore
from promise.registry.route import Route
from promise.registry.vault import FolderPlace
from promise.settings import Settings
from promise.state.files import digests, write_json

_STOPPED_AT = """
import json, sys
from promise.cli.rooms import ROOMS
from promise.registry import backup as module
from promise.settings import Settings

def reach(point):
    if point == sys.argv[2]:
        print(point, flush=True)
        sys.stdin.readline()

module.reach = reach
done = module.backup(sys.argv[1], rooms=ROOMS, settings=Settings.load(), **json.loads(sys.argv[3]))
print(json.dumps(done.to_json()), flush=True)
"""


class Other:
    """A backup in a process of its own that waits at a point until it may go on."""

    def __init__(self, settings: Settings, to: Path, point: str, **given: bool) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", _STOPPED_AT, str(to), point, json.dumps(given)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PROMISE_HOME": str(settings.home)},
        )

    def reached(self) -> str:
        """Wait until it is at its point."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def comes_to(self, folder: Path, marks: int) -> None:
        """Wait until so many backups have marked that they are filling the place."""
        pause = threading.Event()
        while len(list(folder.glob("filling-*.json"))) < marks:
            assert self.process.poll() is None, "it ended before it had to wait"
            pause.wait(0.05)

    def go_on(self) -> dict[str, object]:
        """Let it end, and return what it says that it did."""
        out, _ = self.process.communicate("\n", timeout=60)
        assert self.process.returncode == 0
        return dict(json.loads(out.splitlines()[-1]))


@contextmanager
def other(*given: object, **more: bool) -> Iterator[Other]:
    """Yield another backup; ended with the block, however that ends."""
    made = Other(*given, **more)  # type: ignore[arg-type]
    try:
        yield made
    finally:
        made.process.kill()
        made.process.communicate()


def write(folder: Path, weights: str) -> None:
    """Write a version folder with one file of weights."""
    (folder / "weights.txt").write_text(weights)
    manifest = {
        "format": 1, "task": {"workload": "tabular"}, "metrics": {}, "lineage": {},
        "digests": digests(folder),
    }  # fmt: skip
    write_json(folder / "manifest.json", manifest)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Return an installation with two versions, of which the second is live."""
    made = Settings.load({"PROMISE_HOME": str(tmp_path / "home")})
    registry = Registry.open(made)
    for weights in ("first", "second"):
        registry.register("churn", lambda folder, w=weights: write(folder, w))
    registry.lifecycle.commit(None, "promote", Route("churn", "steady", live=2), reason="first")
    registry.database.close()
    return made


def kept(to: Path, settings: Settings, **given: bool) -> BackedUp:
    """Back up in this process."""
    return backup(str(to), rooms=ROOMS, settings=settings, **given)


def restored(to: Path, home: Path) -> int:
    """Restore into a new installation; return how many versions have their files."""
    target = Settings.load({"PROMISE_HOME": str(home)})
    return restore(str(to), rooms=ROOMS, settings=target).versions


@pytest.mark.slow
def test_a_prune_leaves_alone_what_another_process_is_writing(
    settings: Settings, tmp_path: Path
) -> None:
    to = tmp_path / "backup"
    with other(settings, to, "backup.copied") as first:
        assert first.reached() == "backup.copied"
        # needs only the live version, and would remove what the other has copied of the first
        second = kept(to, settings, live_only=True, prune=True)
        assert second.pruned == 0
        assert "another backup is being written there" in second.not_pruned
        assert first.go_on()["versions"] == 2
    assert restored(to, tmp_path / "whole") == 2
    again = kept(to, settings, live_only=True, prune=True)
    assert (again.pruned > 0, again.not_pruned) == (True, "")
    assert restored(to, tmp_path / "live") == 1
    assert list((to / "marks").iterdir()) == []


@pytest.mark.slow
def test_a_backup_waits_for_a_prune_and_relies_on_nothing_that_goes(
    settings: Settings, tmp_path: Path
) -> None:
    to = tmp_path / "backup"
    kept(to, settings)
    with other(settings, to, "backup.pruning", live_only=True, prune=True) as pruner:
        assert pruner.reached() == "backup.pruning"
        with other(settings, to, "backup.copied") as second:
            second.comes_to(to / "marks", marks=2)
            assert pruner.go_on()["pruned_files"] != 0
            assert second.reached() == "backup.copied"
            assert second.go_on()["copied_files"] != 0, "what was pruned is copied again"
    assert restored(to, tmp_path / "whole") == 2


def test_a_prune_spares_what_another_backup_wrote_just_before_it(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    to = tmp_path / "backup"
    kept(to, settings)

    def reach(point: str) -> None:
        if point == "backup.written":
            monkeypatch.undo()
            kept(to, settings)  # replaces the index, and is at its end before the prune begins

    monkeypatch.setattr("promise.registry.backup.reach", reach)
    assert kept(to, settings, live_only=True, prune=True).not_pruned == ""
    assert restored(to, tmp_path / "whole") == 2


@pytest.mark.slow
def test_a_killed_prune_keeps_backups_waiting_only_until_its_mark_runs_out(
    settings: Settings, tmp_path: Path
) -> None:
    to = tmp_path / "backup"
    with other(settings, to, "backup.pruning", live_only=True, prune=True) as pruner:
        assert pruner.reached() == "backup.pruning"
        pruner.process.send_signal(signal.SIGKILL)
        pruner.process.wait()
    left = sorted(path.name.partition("-")[0] for path in (to / "marks").iterdir())
    assert left == ["filling", "pruning"]
    later = clock_in(minutes=11)
    done = backup(str(to), rooms=ROOMS, settings=settings, prune=True, clock=later)
    assert done.not_pruned == ""
    assert list((to / "marks").iterdir()) == []
    assert restored(to, tmp_path / "whole") == 2


def clock_in(minutes: int) -> ManualClock:
    """Return a clock that shows a later time."""
    return ManualClock(SystemClock().now() + timedelta(minutes=minutes))


def test_a_mark_that_ran_out_does_not_count_and_its_owner_learns_it(tmp_path: Path) -> None:
    place, clock = FolderPlace(tmp_path), ManualClock()
    with filling(place, clock) as mark:
        mark.check()
        assert others(place, clock, "filling") == [mark.name]
        clock.advance(599)
        mark.check()
        clock.advance(1)
        with pytest.raises(StateError, match="the backup from before stands"):
            mark.check()
        assert others(place, clock, "filling") == []
    assert list((tmp_path / "marks").iterdir()) == []


@pytest.mark.parametrize("first", ["filling", "pruning"])
def test_whoever_comes_second_sees_the_first(tmp_path: Path, first: str) -> None:
    place, clock = FolderPlace(tmp_path), ManualClock()
    with filling(place, clock) as own:
        if first == "pruning":
            with pruning(place, clock, own) as busy:
                assert busy == ""
                assert len(others(place, clock, "pruning")) == 1
            return
        with Mark(place, clock, "filling").set(), pruning(place, clock, own) as busy:
            assert "another backup" in busy


def test_a_mark_goes_whatever_happens(tmp_path: Path) -> None:
    place, clock = FolderPlace(tmp_path), ManualClock()
    with pytest.raises(ValueError, match="of another kind"), filling(place, clock):
        raise ValueError("of another kind")
    assert others(place, clock, "filling") == []
