"""State in process outlives the process: kill -9 at any moment, torn and damaged files."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from promise.errors import ConfigError, StateError
from promise.features.stores.frames import joined, sealed, unframed, unsealed
from promise.features.stores.memory import MemoryStore

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")


def numbers(store: MemoryStore, key: str = "a") -> list[int]:
    """Return the numbers of the events that an entity holds."""
    (state,) = store.read([key])
    return [int(part) for part in (state.snapshot or b"").split()] + [int(x) for x in state.tail]


@given(st.lists(st.binary(max_size=9)))
def test_frames_are_told_apart(payloads: list[bytes]) -> None:
    assert unframed(joined(payloads)) == tuple(payloads)


@given(st.lists(st.binary(max_size=9), min_size=1), st.data())
def test_a_cut_or_changed_record_ends_the_file(payloads: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(sealed(payload) for payload in payloads)
    cut = data.draw(st.integers(0, len(whole)))
    found = [body for body, _ in unsealed(whole[:cut])]
    assert found == payloads[: len(found)]
    assert (len(found) == len(payloads)) == (cut == len(whole))
    flipped = bytearray(whole)
    flipped[data.draw(st.integers(0, len(whole) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    found = [body for body, _ in unsealed(bytes(flipped))]
    assert found == payloads[: len(found)]


SCRIPT = """
import sys
from pathlib import Path
from promise.features.stores.memory import MemoryStore
store = MemoryStore(Path(sys.argv[1]), snapshot_mb=float(sys.argv[2]))
(state,) = store.read(["a"])
start = len((state.snapshot or b"").split()) + len(state.tail)
for i in range(start, start + 100_000):
    (state,) = store.exchange(f"e{i}", i, ["a", f"k{i % 7}"], b"%d" % i)[:1]
    print(i, flush=True)
    if len(state.tail) > 20:
        folded = b" ".join([*filter(None, [state.snapshot]), *state.tail])
        store.compact("a", state.version, folded)
"""


def killed_after(folder: Path, lines: int, snapshot_mb: float, **environ: str) -> int:
    """Run the writer until it has acknowledged so many events, kill it; return the last one."""
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(folder), str(snapshot_mb)],
        stdout=subprocess.PIPE, env={**os.environ, **environ},
    )  # fmt: skip
    assert process.stdout is not None
    last = -1
    for line in process.stdout:
        if line.endswith(b"\n"):
            last = int(line)
        if last >= lines:
            process.kill()
    process.wait(30)
    process.stdout.close()
    assert process.returncode == -signal.SIGKILL
    return last


@pytest.mark.parametrize("snapshot_mb", [0.02, 64])
def test_every_acknowledged_event_survives_a_kill(tmp_path: Path, snapshot_mb: float) -> None:
    last = killed_after(tmp_path, 700, snapshot_mb)
    store = MemoryStore(tmp_path)
    found = numbers(store)
    # the one after the last may be kept without having been told
    assert found in (list(range(last + 1)), list(range(last + 2)))
    assert store.exchange(f"e{last}", 0, ["a"], b"x")[0].duplicate
    store.close()


@pytest.mark.parametrize("point", ["turned", "written", "renamed"])
def test_a_kill_within_a_snapshot_loses_nothing(tmp_path: Path, point: str) -> None:
    failpoint = f"feature_journal.{point}:2"
    last = killed_after(tmp_path, 10**9, 0.005, PROMISE_FAILPOINT=failpoint)
    store = MemoryStore(tmp_path, snapshot_mb=0.001)
    assert numbers(store) in (list(range(last + 1)), list(range(last + 2)))
    n = len(numbers(store))
    store.exchange("more", 0, ["a"], b"%d" % n)
    store.save()
    store.close()
    again = MemoryStore(tmp_path)
    assert numbers(again) == list(range(n + 1))
    again.close()
    # what a snapshot made needless is gone, nothing half-written lies about
    left = {path.name.partition("-")[0] for path in tmp_path.iterdir()}
    assert left == {"journal", "lock", "state"}
    assert len(list(tmp_path.glob("state-*"))) == 1


@pytest.mark.slow
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(0, 4000), saved=st.booleans())
def test_a_torn_journal_keeps_all_before_the_tear(
    tmp_path_factory: pytest.TempPathFactory, cut: int, saved: bool
) -> None:
    folder = tmp_path_factory.mktemp("torn")
    store = MemoryStore(folder)
    for i in range(10):
        store.exchange(f"e{i}", i, ["a"], b"%d" % i)
        if saved and i == 4:
            store.save()
    store.close()
    journal = max(folder.glob("journal-*"))
    data = journal.read_bytes()
    journal.write_bytes(data[:cut])
    again = MemoryStore(folder)
    found = numbers(again)
    assert found == list(range(len(found)))
    assert len(found) >= (5 if saved else 0)
    assert (len(found) == 10) == (cut >= len(data))
    again.exchange("new", 0, ["a"], b"%d" % len(found))
    again.close()
    third = MemoryStore(folder)
    assert numbers(third) == [*found, len(found)]
    third.close()


def test_a_damaged_snapshot_is_told_and_not_taken_for_less(tmp_path: Path) -> None:
    store = MemoryStore(tmp_path)
    for i in range(50):
        store.exchange(f"e{i}", i, [f"k{i}"], b"1")
    store.save()
    store.close()
    (snapshot,) = tmp_path.glob("state-*")
    data = snapshot.read_bytes()
    for broken in (data[:-5], data[: len(data) // 2], data[:60] + b"#" + data[61:]):
        snapshot.write_bytes(broken)
        with pytest.raises(StateError, match="is damaged after"):
            MemoryStore(tmp_path)
    snapshot.write_bytes(sealed(b"\x91\xa3new") + sealed(b""))
    with pytest.raises(StateError, match="another version"):
        MemoryStore(tmp_path)
    snapshot.write_bytes(data)
    MemoryStore(tmp_path).close()


def hold(folder: Path, told: Any) -> None:
    try:
        MemoryStore(folder)
        told.put("opened")
    except ConfigError as error:
        told.put(str(error))


def test_a_folder_is_of_one_process(tmp_path: Path) -> None:
    store = MemoryStore(tmp_path)
    context = multiprocessing.get_context("fork")
    told = context.Queue()
    other = context.Process(target=hold, args=(tmp_path, told))
    other.start()
    assert "another process" in told.get(timeout=20)
    other.join(20)
    with pytest.raises(ConfigError, match="another process"):
        MemoryStore(tmp_path)
    store.close()
    MemoryStore(tmp_path).close()


def test_a_disk_that_refuses_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = MemoryStore(tmp_path)
    store.exchange("e0", 0, ["a"], b"0")
    write = os.write

    def half(handle: int, data: bytes) -> int:
        if len(data) < 20:
            raise OSError(28, "No space left on device")
        return write(handle, data[: len(data) // 2])

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(StateError, match="No space left"):
        store.exchange("e1", 1, ["a"], b"1")
    monkeypatch.undo()
    assert numbers(store) == [0]
    assert not store.exchange("e1", 1, ["a"], b"1")[0].duplicate
    store.close()
    again = MemoryStore(tmp_path, sync=True)
    assert numbers(again) == [0, 1]
    again.exchange("e2", 2, ["a"], b"2")
    again.close()
    with pytest.raises(StateError, match="was closed"):
        again.exchange("e3", 3, ["a"], b"3")
    with contextlib.closing(MemoryStore(tmp_path)) as last:
        assert numbers(last) == [0, 1, 2]


def test_threads_and_snapshots_at_once_lose_nothing(tmp_path: Path) -> None:
    store = MemoryStore(tmp_path, snapshot_mb=0.002)

    def send(who: int) -> None:
        for i in range(200):
            store.exchange(f"{who}-{i}", i, ["a"], b"%d" % (who * 1000 + i))

    threads = [threading.Thread(target=send, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(5):
        store.save()
    for thread in threads:
        thread.join()
    expected = numbers(store)
    assert len(set(expected)) == 800
    store.close()
    again = MemoryStore(tmp_path)
    assert numbers(again) == expected
    again.close()
