"""The prediction log: whole lines, unique ids, a bounded loss, and nothing that reaches callers."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from promise.clock import ManualClock
from promise.records import segments as segment_files
from promise.records.machine import machine_id, machine_of
from promise.records.predictions import PredictionLog
from promise.records.reading import prune, read_all, torn
from promise.records.segments import SegmentWriter, read_lines, segments


def until(true: Callable[[], Any], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


def line(number: int, **more: Any) -> bytes:
    return json.dumps({"id": f"m.0-t-{number}", "n": number, **more}).encode()


def numbers(folder: Path, model: str = "churn") -> list[int]:
    return [found["n"] for found in read_all(folder, model)]


def test_lines_come_back_in_order_and_newlines_inside_are_blanks(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path, "0", flush_s=0.01)
    for number in range(500):
        log.append("churn", line(number))
    log.append("fraud", b'{"id": "x",\n "n": 7}')
    log.close()
    assert numbers(tmp_path) == list(range(500))
    assert numbers(tmp_path, "fraud") == [7]
    stats = log.stats()
    assert (stats.written, stats.dropped, stats.waiting, stats.oldest_s) == (501, 0, 0, 0.0)
    assert stats.worst_s >= 0.0
    assert machine_of(log.new_id()) == machine_id()


def test_ids_are_unique_and_ordered_over_restarts_threads_and_a_clock_moved_back(
    tmp_path: Path,
) -> None:
    clock, given = ManualClock(), []
    for hours in (0, -1, 0):
        clock.advance(3600 * hours)
        log = PredictionLog(tmp_path, "3", clock=clock)
        given += [log.new_id() for _ in range(50_000)]
        log.close()
    assert given == sorted(given)
    assert len(set(given)) == len(given)
    log, found = PredictionLog(tmp_path, "3", clock=clock), []
    threads = [
        threading.Thread(target=lambda: found.extend(log.new_id() for _ in range(20_000)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()
    assert len(set(found)) == 80_000
    assert min(found) > given[-1]


def test_a_reader_goes_on_where_it_was_and_waits_for_a_torn_line(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path / "churn", "m.0", 1 << 20)
    writer.write(line(0) + b"\n" + line(1) + b'\n{"id": "torn', 1000)
    ((_, path),) = segments(tmp_path, "churn")
    first = list(read_lines(path, 0, 1 << 20))
    assert [found.data for found in first] == [line(0), line(1)]
    assert [found.data for found in read_lines(path, 0, 1)] == [line(0)]
    end = first[-1].end
    assert list(read_lines(path, end, 1 << 20)) == []
    writer.write(b'", "n": 2}\n', 1001)
    (more,) = read_lines(path, end, 1 << 20)
    assert (more.data, more.end) == (b'{"id": "torn", "n": 2}', path.stat().st_size)
    writer.write(b"not json\n" + line(3) + b"\n", 1002)
    assert [found.data for found in read_lines(path, more.end, 1 << 20)] == [b"not json", line(3)]
    assert numbers(tmp_path) == [0, 1, 2, 3]
    writer.close()
    assert numbers(tmp_path, "nothing") == []


def test_segments_rotate_by_size_and_hour(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path / "churn", "m.0", 200)
    for number in range(10):
        writer.write(line(number, pad="x" * 100) + b"\n", 5000)
    writer.write(line(10) + b"\n", 5000 + 3_600_000)
    writer.close()
    assert len(segments(tmp_path, "churn")) == 6
    assert numbers(tmp_path) == list(range(11))


def test_a_torn_tail_stays_alone_in_its_segment_and_is_counted(tmp_path: Path) -> None:
    dead = SegmentWriter(tmp_path / "churn", "m.0", 1 << 20)
    dead.write(line(0) + b'\n{"id": "to', 1000)  # as a kill leaves it
    assert torn(tmp_path, "churn") == 0  # its writer may still be at it
    after = SegmentWriter(tmp_path / "churn", "m.0", 1 << 20)
    after.write(line(1) + b"\n", 2000)
    assert numbers(tmp_path) == [0, 1]
    assert torn(tmp_path, "churn") == 1
    dead.close()
    after.close()


def test_a_full_buffer_drops_counts_and_never_blocks(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path, "0", flush_s=60, limit=100)
    for number in range(250):
        log.append("churn", line(number))
    stats = log.stats()
    assert (stats.waiting, stats.dropped) == (100, 150)
    assert stats.oldest_s > 0
    log.close()
    assert numbers(tmp_path) == list(range(100))
    small = PredictionLog(tmp_path, "1", flush_s=60, limit_mb=0.001)
    for number in range(100):
        small.append("churn", line(number))
    assert 0 < small.stats().waiting < 50
    small.close()


def test_a_full_disk_never_reaches_the_caller_and_loses_nothing_once_it_has_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, room = os.write, [1000]

    def write(handle: int, data: memoryview) -> int:
        if room[0] <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        taken = min(room[0], len(data))
        room[0] -= taken
        return real(handle, data[:taken])

    monkeypatch.setattr(segment_files.os, "write", write)
    log = PredictionLog(tmp_path, "0", flush_s=0.01)
    for number in range(200):
        log.append("churn", line(number))
    until(lambda: log.stats().failures)
    stats = log.stats()
    assert "No space" in stats.error
    assert 0 < stats.waiting < 200
    assert stats.oldest_s > 0
    room[0] = 1 << 30
    until(lambda: log.stats().waiting == 0)
    assert log.stats().error == ""
    log.close()
    assert numbers(tmp_path) == list(range(200))


def test_a_disk_that_stays_full_drops_at_the_end_and_counts(tmp_path: Path) -> None:
    (tmp_path / "churn").mkdir()
    (tmp_path / "churn").rmdir()
    (tmp_path / "churn").write_text("a file where the folder should be")
    log = PredictionLog(tmp_path, "0", flush_s=0.01, limit=50)
    for number in range(80):
        log.append("churn", line(number))
    until(lambda: log.stats().failures)
    log.close()
    assert log.stats().dropped == 80
    assert log.stats().written == 0


def test_a_removed_folder_is_made_again(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path, "0", flush_s=0.01)
    log.append("churn", line(0))
    until(lambda: log.stats().written == 1)
    shutil.rmtree(tmp_path / "churn")
    log.append("churn", line(1))
    until(lambda: log.stats().written == 2)
    log.close()
    assert numbers(tmp_path) == [1]


def test_old_segments_are_pruned(tmp_path: Path) -> None:
    clock = ManualClock()
    for start in (1000, 2000):
        writer = SegmentWriter(tmp_path / "churn", "m.0", 1 << 20)
        writer.write(line(start) + b"\n", start)
        writer.close()
    old, new = (path for _, path in segments(tmp_path, "churn"))
    now = clock.now().timestamp()
    os.utime(old, (now - 8 * 86_400, now - 8 * 86_400))
    os.utime(new, (now, now))
    assert prune(tmp_path, 7, clock) == 1
    assert numbers(tmp_path) == [2000]


KILLED = """
import sys
from pathlib import Path
from promise.records.predictions import PredictionLog
log = PredictionLog(Path(sys.argv[1]), "0", flush_s=float(sys.argv[2]), limit=1 << 40)
number, told = 0, open(sys.argv[3], "r+b", buffering=0)
while True:
    log.append("churn", b'{"id": "%s", "n": %d}' % (log.new_id().encode(), number))
    number += 1
    if number % 100 == 0:  # what was acknowledged, and when, outlives the kill
        told.seek(0)
        told.write(b"%020d" % number)
"""


@pytest.mark.slow
def test_a_killed_writer_at_full_speed_loses_at_most_its_window(tmp_path: Path) -> None:
    flush_s, told = 0.25, tmp_path / "told"
    told.write_bytes(b"0" * 20)

    def acknowledged() -> int:
        return int(told.read_bytes() or b"0")

    kept = 0
    for _ in range(2):
        told.write_bytes(b"0" * 20)
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(tmp_path / "log"), str(flush_s), str(told)]
        )
        until(lambda: acknowledged() > 20_000)
        before = acknowledged()
        time.sleep(3 * flush_s)
        process.send_signal(signal.SIGKILL)
        process.wait()
        given = acknowledged()
        found = numbers(tmp_path / "log")[kept:]
        kept += len(found)
        assert found == list(range(len(found)))  # no hole, nothing twice
        rate = (given - before) / (3 * flush_s)  # lines in a second
        lost = given - len(found)
        assert lost <= 2 * rate * flush_s, f"lost {lost} of {given}, {rate:.0f} in a second"
    assert len({entry["id"] for entry in read_all(tmp_path / "log", "churn")}) == kept
