"""A module of work that children can import, and an engine that starts at once."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module, invalidate_caches
from pathlib import Path
from types import ModuleType

import pytest

from promise.engine.local import LocalEngine

WORK = """
import ctypes, os, sys, time
from promise.errors import DataError

def add(a, b): return a + b
def pid(): return os.getpid()
def fail(text): raise ValueError(text)
def refuse(): raise DataError("column 'age' is missing.")
def segfault(): ctypes.string_at(0)
def leave(code): os._exit(code)
def spin():
    while True: pass
def grow(mb):
    held = []
    for _ in range(mb // 8):
        held.append(os.urandom(1024) * 8192)
        time.sleep(0.002)
    return len(held)
def hold(mb, seconds):
    held = os.urandom(1024) * (1024 * mb)
    time.sleep(seconds)
    return len(held)
def nap(seconds, value):
    time.sleep(seconds)
    return value
def exhaust(): raise MemoryError("an array too large")
def unpicklable(): return lambda: 0
def chatter():
    print("noise"); sys.stderr.write("more noise\\n")
    os.write(1, b"native noise\\n")
def full():
    raise OSError(28, "No space left on device")
def full_of_numpy():
    raise OSError("4096 requested and 512 written")
def no_room_for_the_outcome():
    import pathlib
    pathlib.Path.write_bytes = lambda *_: full()
def no_room_for_a_log():
    class Full:
        def write(self, text): full()
        def flush(self): full()
    sys.stderr = Full()
    full()
def killed(): os.kill(os.getpid(), 9)
def family(): # a grandchild that holds memory and outlives its parent's exit
    if os.fork() == 0:
        time.sleep(60)
    return os.getpgid(0)
def threads(): return len(os.listdir("/proc/self/task"))
def zygote_threads(): return len(os.listdir(f"/proc/{os.getppid()}/task"))
def train(n_threads):
    import lightgbm, numpy as np
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 5))
    data = lightgbm.Dataset(x, x[:, 0] > 0)
    params = {"objective": "binary", "verbose": -1, "num_threads": n_threads}
    return float(lightgbm.train(params, data, 3).predict(x, num_threads=n_threads)[0])
"""


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Functions that a child imports by name, from a folder on this process's path."""
    (tmp_path / "engine_work.py").write_text(WORK)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "engine_work", raising=False)
    invalidate_caches()
    return import_module("engine_work")


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[LocalEngine]:
    """An engine of two threads whose zygote imports nothing, with a short grace."""
    made = LocalEngine(
        threads=2, memory_mb=None, folder=tmp_path / "engine", grace_s=0.1, preload=()
    )
    with made:
        yield made
