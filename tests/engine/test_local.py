"""The local engine against real processes: values, deaths, deadlines, memory, orphans."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import ModuleType

import pytest

from promise.engine.local import LocalEngine
from promise.engine.memory import family_pss_mb
from promise.errors import ConfigError, DataError, FitFailed


def until(condition: object, seconds: float = 10.0) -> bool:
    """Poll a condition; whether it came true in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():  # type: ignore[operator]
            return True
        time.sleep(0.01)
    return False


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    with suppress(OSError):
        return ") Z" not in Path(f"/proc/{pid}/stat").read_text()
    return False


def test_work_returns_its_value_from_another_process(engine: LocalEngine, work: ModuleType) -> None:
    assert engine.isolate(work.add, 2, 3) == 5
    assert engine.isolate(work.pid) != os.getpid()


@pytest.mark.slow
def test_fifty_pieces_in_quick_succession(engine: LocalEngine, work: ModuleType) -> None:
    handles = [engine.submit(work.add, i, i, name=f"sum {i}") for i in range(50)]
    assert [h.result() for h in handles] == [2 * i for i in range(50)]
    assert all(h.seconds >= 0 and h.peak_mb > 0 for h in handles)


def test_errors_keep_their_message(engine: LocalEngine, work: ModuleType) -> None:
    with pytest.raises(FitFailed, match=r"^linear-2 failed: ValueError: singular") as caught:
        engine.isolate(work.fail, "singular", name="linear-2")
    assert caught.value.reason == "error"
    assert caught.value.__cause__ is None


def test_a_users_error_comes_as_the_cause(engine: LocalEngine, work: ModuleType) -> None:
    with pytest.raises(FitFailed, match="column 'age' is missing") as caught:
        engine.isolate(work.refuse)
    assert isinstance(caught.value.__cause__, DataError)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "args", "reason", "told"),
    [
        ("segfault", (), "crash", "SIGSEGV: Fatal Python error: Segmentation fault"),
        ("leave", (5,), "crash", "exited with 5"),
        ("exhaust", (), "memory", "an array too large"),
        ("killed", (), "memory", "killed by the system"),
        ("unpicklable", (), "error", "pickle"),
    ],
)
def test_deaths_are_named(
    engine: LocalEngine, work: ModuleType, name: str, args: tuple[int], reason: str, told: str
) -> None:
    with pytest.raises(FitFailed, match=told) as caught:
        engine.isolate(getattr(work, name), *args)
    assert caught.value.reason == reason
    assert engine.isolate(work.add, 1, 1) == 2


@pytest.mark.parametrize(
    "name", ["full", "full_of_numpy", "no_room_for_the_outcome", "no_room_for_a_log"]
)
def test_a_full_disk_is_told_and_harms_nobody_else(
    engine: LocalEngine, work: ModuleType, name: str
) -> None:
    beside = engine.submit(work.nap, 0.2, "slept", name="beside")
    with pytest.raises(FitFailed, match=r"^the disk is full: fit 3 could not be written") as caught:
        engine.isolate(getattr(work, name), name="fit 3")
    assert caught.value.reason == "disk"
    assert beside.result() == "slept"


@pytest.mark.slow
def test_an_endless_loop_ends_past_its_deadline(engine: LocalEngine, work: ModuleType) -> None:
    began = time.monotonic()
    with pytest.raises(FitFailed, match="overran its deadline") as caught:
        engine.isolate(work.spin, deadline_s=began + 0.2)
    assert caught.value.reason == "deadline"
    with pytest.raises(FitFailed, match="did not start before its deadline"):
        engine.isolate(work.add, 1, 1, deadline_s=time.monotonic() - 1)


@pytest.mark.slow
def test_work_over_its_own_bound_is_killed_alone(engine: LocalEngine, work: ModuleType) -> None:
    other = engine.submit(work.nap, 0.3, "fine", name="other")
    with pytest.raises(FitFailed, match="needed more than its 150 MB") as caught:
        engine.isolate(work.grow, 4000, memory_mb=150)
    assert caught.value.reason == "memory"
    assert other.result() == "fine"


@pytest.mark.slow
def test_the_whole_runs_bound_takes_the_newest_that_suffices(
    tmp_path: Path, work: ModuleType
) -> None:
    bound = family_pss_mb(os.getpid()) + 500
    with LocalEngine(threads=2, memory_mb=bound, folder=tmp_path, preload=()) as engine:
        steady = engine.submit(work.hold, 100, 0.8, name="steady")
        greedy = engine.submit(work.grow, 4000, name="greedy")
        with pytest.raises(FitFailed, match="greedy was stopped because the run reached"):
            greedy.result()
        assert steady.result() > 0
        assert greedy.peak_mb > 250
        assert bound * 0.8 < engine.peak_mb < bound * 1.2


def test_wait_returns_the_first_that_ends(engine: LocalEngine, work: ModuleType) -> None:
    slow = engine.submit(work.nap, 5.0, "slow", name="slow")
    fast = engine.submit(work.nap, 0.0, "fast", name="fast")
    assert engine.wait([slow, fast]) == ([fast], [slow])
    assert engine.wait([slow], timeout_s=0.01) == ([], [slow])
    engine.cancel([slow])
    with pytest.raises(FitFailed, match="slow was stopped before it finished"):
        slow.result()


def test_map_keeps_the_order_and_looks_ahead_a_little(
    engine: LocalEngine, work: ModuleType
) -> None:
    taken: list[int] = []

    def items() -> object:
        for i in range(20):
            taken.append(i)
            yield float(i)

    found = engine.map_batches(math.sqrt, items(), workers=2)  # type: ignore[arg-type]
    assert next(found) == 0.0
    assert len(taken) <= 4
    assert list(found) == [math.sqrt(i) for i in range(1, 20)]


def test_children_keep_our_streams_clean(
    engine: LocalEngine, work: ModuleType, capfd: pytest.CaptureFixture[str]
) -> None:
    engine.isolate(work.chatter)
    assert capfd.readouterr() == ("", "")


def test_work_that_a_child_cannot_import_is_refused(engine: LocalEngine) -> None:
    with pytest.raises(ConfigError, match="cannot run in another process"):
        engine.submit(lambda: 0, name="nameless")


def test_a_dead_zygote_is_replaced(engine: LocalEngine, work: ModuleType) -> None:
    assert engine._zygote is not None
    stuck = engine.submit(work.spin, name="stuck")
    assert until(lambda: stuck.pid is not None)
    os.kill(engine._zygote.pid, signal.SIGKILL)
    with pytest.raises(FitFailed, match="ended with the process that starts work"):
        stuck.result()
    assert until(lambda: not alive(stuck.pid or 0))
    assert engine.isolate(work.add, 1, 2) == 3


def test_closing_stops_everything_and_removes_the_folder(tmp_path: Path, work: ModuleType) -> None:
    folder = tmp_path / "closing"
    engine = LocalEngine(threads=1, memory_mb=None, folder=folder, preload=())
    running, queued = (engine.submit(work.spin, name=n) for n in ("running", "queued"))
    assert until(lambda: running.pid is not None)
    engine.close()
    engine.close()
    for handle in (running, queued):
        with pytest.raises(FitFailed, match="was stopped before it finished"):
            handle.result()
    assert until(lambda: not alive(running.pid or 0))
    assert list(folder.iterdir()) == []
    with pytest.raises(ConfigError, match="closed"):
        engine.submit(work.spin, name="late")


SCRIPT = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background shell ignores Ctrl-C
sys.path.insert(0, {folder!r})
import engine_work
from promise.engine.local import LocalEngine
engine = LocalEngine(threads=2, memory_mb=None, preload=())
print(engine.isolate(engine_work.add, 20, 22), flush=True)
"""
KEEP = """
handles = [engine.submit(engine_work.spin, name=n) for n in "ab"]
while any(h.pid is None for h in handles): time.sleep(0.01)
try:
    print(engine._zygote.pid, *(h.pid for h in handles), flush=True)
    handles[0].result()
except KeyboardInterrupt:
    engine.close()
    print("stopped", flush=True)
"""


def script(tmp_path: Path, text: str) -> subprocess.Popen[str]:
    """Start a user's script, without a guard around its main part."""
    path = tmp_path / "script.py"
    path.write_text(text.format(folder=str(tmp_path)))
    return subprocess.Popen(
        [sys.executable, str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_a_script_without_a_main_guard_works(tmp_path: Path, work: ModuleType) -> None:
    out, errors = script(tmp_path, SCRIPT).communicate(timeout=30)
    assert (out, errors) == ("42\n", "")


def test_killing_the_parent_leaves_no_orphans(tmp_path: Path, work: ModuleType) -> None:
    with script(tmp_path, SCRIPT + KEEP) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "42\n"
        pids = [int(p) for p in parent.stdout.readline().split()]
        assert all(map(alive, pids))
        parent.kill()
        assert until(lambda: not any(map(alive, pids)))


def test_ctrl_c_reaches_the_parent_alone_which_stops_the_rest(
    tmp_path: Path, work: ModuleType
) -> None:
    with script(tmp_path, SCRIPT + KEEP) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        pids = [int(p) for p in parent.stdout.readline().split()]
        os.killpg(parent.pid, signal.SIGINT)
        assert parent.stdout.readline() == "stopped\n"
        assert not any(map(alive, pids[1:]))


@pytest.mark.slow
def test_the_full_zygote_has_one_thread_and_its_children_train(work: ModuleType) -> None:
    with LocalEngine(threads=2, memory_mb=None) as engine:
        assert engine.isolate(work.zygote_threads) == 1
        one, two = (engine.submit(work.train, n, name=f"train-{n}", threads=n) for n in (1, 2))
        assert one.result() == pytest.approx(two.result())
