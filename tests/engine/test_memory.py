"""Memory is seen where it is held: here, in children, and against the container's limit."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from promise.engine import memory
from promise.engine.memory import (
    MemoryWatch,
    Meter,
    Sample,
    available_mb,
    family_sample,
    give_back,
    pss_mb,
)

HOLD = (
    "import sys; held = bytearray(b'x') * (64 << 20); print('held', flush=True); sys.stdin.read()"
)
NEST = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {HOLD!r}])"


@contextmanager
def running(code: str) -> Iterator[int]:
    """Run an interpreter until it has said so; end it afterwards."""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid


def test_what_is_allocated_is_seen() -> None:
    before = pss_mb(os.getpid())
    held = np.ones(8 << 20)  # 64 MiB
    assert 55 < pss_mb(os.getpid()) - before < 80
    del held


def test_a_family_counts_children_and_their_children() -> None:
    with running(NEST) as child:
        sample = family_sample(os.getpid())
        assert sample.below(child) > 64
        assert sample.pss_mb[child] < 40
        assert sample.total_mb >= sample.pss_mb[os.getpid()] + sample.below(child) - 1
    assert child not in family_sample(os.getpid()).pss_mb


def test_a_process_that_is_gone_holds_nothing() -> None:
    with running(HOLD) as child:
        assert pss_mb(child) > 64
    assert pss_mb(child) == 0.0


def test_samples_add_up_along_the_tree() -> None:
    sample = Sample({1: 8.0, 2: 4.0, 3: 2.0, 4: 1.0}, {2: 1, 3: 2, 4: 1})
    assert sample.total_mb == sample.below(1) == 15.0
    assert (sample.below(2), sample.below(4), sample.below(9)) == (6.0, 1.0, 0.0)


def test_the_watch_keeps_the_peak_that_has_passed() -> None:
    seen: list[float] = []
    watch = MemoryWatch(lambda sample: seen.append(sample.total_mb), hz=100)
    watch.start()
    with running(HOLD):
        during = watch.peak_mb
    watch.stop()
    after = family_sample(os.getpid()).total_mb
    assert during > after + 60
    assert watch.peak_mb >= during
    assert seen


@pytest.mark.parametrize(
    ("files", "room"),
    [
        ({"memory.max": "max", "memory.current": "5"}, None),
        ({"memory.max": str(300 << 20), "memory.current": str(100 << 20)}, 200.0),
        (
            {
                "memory.limit_in_bytes": str(300 << 20),
                "memory.usage_in_bytes": str(200 << 20),
                "memory.stat": f"cache 7\ntotal_inactive_file {50 << 20}\n",
            },
            150.0,
        ),
        ({"memory.limit_in_bytes": "9223372036854771712", "memory.usage_in_bytes": "1"}, None),
        ({}, None),
    ],
)
def test_the_containers_limit_is_read(
    tmp_path: Path, files: dict[str, str], room: float | None
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text + "\n")
    assert memory._room_of_group(tmp_path) == room


def test_the_smaller_room_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    free = available_mb()
    assert free > 10
    monkeypatch.setattr(memory, "_group_folders", lambda: [Path("limited")])
    monkeypatch.setattr(memory, "_room_of_group", lambda folder: 7.0)
    assert available_mb() == 7.0


def test_the_cheap_meter_follows_a_growing_process_between_exact_readings() -> None:
    meter = Meter(exact_every_s=1e9)
    before = meter(os.getpid())
    held = np.ones(8_000_000)
    assert 55 < meter(os.getpid()) - before < 80
    assert abs(meter(os.getpid()) - pss_mb(os.getpid())) < 30
    del held


def test_a_sum_that_is_gone_a_moment_later_is_no_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between `vfork` and `exec` a child is its parent once more."""
    watch = MemoryWatch(bound_mb=150.0)
    for read, kept in (([100.0] * 3, 100.0), ([200.0, 201.0, 101.0], 101.0), ([140.0] * 3, 140.0)):
        samples = (Sample({1: mb}) for mb in read)
        monkeypatch.setattr(memory, "family_sample", lambda *_, left=samples: next(left))
        assert watch._note(memory.family_sample(1)).total_mb == kept
        assert watch._peak_mb == kept


def test_a_sum_below_the_peak_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = MemoryWatch()
    watch._peak_mb = 100.0
    monkeypatch.setattr(memory, "family_sample", lambda *_: pytest.fail("read again"))
    assert watch._note(Sample({1: 99.0})).total_mb == 99.0


@pytest.mark.skipif(sys.platform != "linux", reason="the C library of Linux holds on to memory")
def test_what_was_freed_is_given_back() -> None:
    held = [bytes(1000) for _ in range(100_000)]
    kept = held[::1000]
    del held
    before = pss_mb(os.getpid())
    give_back()
    assert before - pss_mb(os.getpid()) > 50
    assert len(kept) == 100
