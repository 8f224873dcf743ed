"""How fast the engine starts work beside multiprocessing's spawn, and what its processes weigh.

    python bench/engine.py [TASKS]

Each piece of work needs LightGBM imported, as a fit does. Prints medians, their ratio, and the
constants of the memory model beside fresh measurements.
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Callable

from promise.discovery import preflight
from promise.engine.local import LocalEngine
from promise.engine.memory import family_sample

WORK = "len(__import__('lightgbm').__version__)"
"""Evaluated in the child: importable by name on both sides."""


def median_ms(run: Callable[[], object], times: int) -> float:
    """Return the median time of a call."""
    found = []
    for _ in range(times):
        began = time.perf_counter()
        run()
        found.append(1000 * (time.perf_counter() - began))
    return statistics.median(found)


def spawn() -> None:
    """Run the work once in a process that multiprocessing spawns."""
    process = multiprocessing.get_context("spawn").Process(target=eval, args=(WORK,))
    process.start()
    process.join()


def main(tasks: int) -> None:
    """Measure both and print a table."""
    began = time.perf_counter()
    with LocalEngine(threads=2, memory_mb=None) as engine:
        engine.isolate(eval, WORK, name="first")
        first_ms = 1000 * (time.perf_counter() - began)
        ours_ms = median_ms(lambda: engine.isolate(eval, WORK, name="work"), tasks)
        zygote = sum(
            mb for pid, mb in family_sample(os.getpid()).pss_mb.items() if pid != os.getpid()
        )
        pair = [engine.submit(time.sleep, 1.0, name="sleep") for _ in range(2)]
        time.sleep(0.5)
        with_two = sum(
            mb for pid, mb in family_sample(os.getpid()).pss_mb.items() if pid != os.getpid()
        )
        for handle in pair:
            handle.result()
    spawn_ms = median_ms(spawn, max(3, tasks // 10))
    print(f"{'start of one piece of work':<40}{'ms':>10}")
    print(f"{'engine, first (imports once)':<40}{first_ms:>10.0f}")
    print(f"{'engine, each after':<40}{ours_ms:>10.1f}")
    print(f"{'multiprocessing spawn':<40}{spawn_ms:>10.0f}")
    print(f"ratio spawn / engine: {spawn_ms / ours_ms:.0f}x\n")
    print(f"{'memory, MiB of PSS':<40}{'measured':>10}{'model':>10}")
    print(f"{'zygote':<40}{zygote:>10.0f}{preflight.ZYGOTE_MB:>10.0f}")
    print(f"{'one idle child more':<40}{(with_two - zygote) / 2:>10.0f}{preflight.CHILD_MB:>10.0f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50)
