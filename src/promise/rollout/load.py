"""A short load test in a process of its own: one version, one thread, the path that serving takes.

Run as `python -m promise.rollout.load FOLDER SECONDS [TARGET_MS …]`; it writes one JSON object.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import time
from bisect import bisect_left
from dataclasses import asdict, dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from promise.engine.memory import pss_mb
from promise.pipeline.artifact import golden_difference, load_pipeline
from promise.pipeline.as_sent import golden_bodies
from promise.pipeline.bind import bind
from promise.pipeline.rehearsal import Rehearsal
from promise.records.counters import LATENCY_EDGES_MS

_WINDOW_S = 0.25
_START_S = 120.0  # importing and loading a large version, before the load itself begins


@dataclass
class Load:
    """What a version did under load.

    Parameters
    ----------
    over
        For each latency target in milliseconds: requests that took longer.
    latency
        Counts over `LATENCY_EDGES_MS`, and one above the last.
    throughput, memory_mb
        Requests per second and PSS at the end of each quarter of a second.
    golden
        Largest difference between kept and recomputed golden outputs; None without golden rows.
    failed
        Why there was no load test; empty when there was one.
    overran
        Whether it did not end in its time, which says as much of the machine as of the version.
    """

    requests: int = 0
    errors: int = 0
    seconds: float = 0.0
    over: dict[float, int] = field(default_factory=dict)
    latency: list[int] = field(default_factory=lambda: [0] * (len(LATENCY_EDGES_MS) + 1))
    throughput: list[float] = field(default_factory=list)
    memory_mb: list[float] = field(default_factory=list)
    golden: float | None = None
    first_error: str = ""
    failed: str = ""
    overran: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return what the gate's evidence keeps."""
        return {
            **asdict(self),
            "over": {f"{target:g}": n for target, n in self.over.items()},
            "latency_edges_ms": list(LATENCY_EDGES_MS),
            "threads": 1,
        }


def measure(folder: Path, seconds: float, targets: tuple[float, ...]) -> Load:
    """Load a version in a fresh process and drive it; a crash there is an answer, too."""
    command = [sys.executable, "-m", "promise.rollout.load", str(folder), repr(seconds)]
    try:
        done = subprocess.run(
            [*command, *map(repr, targets)],
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds + _START_S,
        )
    except subprocess.TimeoutExpired:
        return Load(failed=f"it did not end within {seconds + _START_S:.0f} s", overran=True)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return Load(failed=f"the process ended with code {done.returncode}: {last[:300]}")
    read = json.loads(done.stdout)
    read["over"] = {float(target): n for target, n in read["over"].items()}
    return Load(**{key: value for key, value in read.items() if key in Load.__dataclass_fields__})


def drive(folder: Path, seconds: float, targets: tuple[float, ...]) -> Load:
    """Send golden rows as JSON bodies through decoding and answering, one after the other."""
    load = Load(over=dict.fromkeys(targets, 0))
    pipeline = load_pipeline(folder)
    bodies = list(golden_bodies(folder, pipeline.task.request))
    if not bodies:
        load.failed = "the version keeps no golden rows to send"
        return load
    load.golden = golden_difference(pipeline, folder)
    answer = Rehearsal(pipeline, bind(pipeline)).answer
    for body in bodies:  # warms caches; what fails here is counted below
        _tried(answer, body, load)
    load.first_error = ""
    gc.collect()
    gc.freeze()
    _loop(answer, bodies, seconds, load)
    return load


def _loop(answer: Any, bodies: list[bytes], seconds: float, load: Load) -> None:
    begun = opened = time.perf_counter()
    in_window = 0
    for body in cycle(bodies):
        start = time.perf_counter()
        if not _tried(answer, body, load):
            load.errors += 1
        end = time.perf_counter()
        ms = (end - start) * 1000
        load.requests += 1
        in_window += 1
        load.latency[bisect_left(LATENCY_EDGES_MS, ms)] += 1
        for target in load.over:
            load.over[target] += ms > target
        if end - opened >= _WINDOW_S:
            load.throughput.append(in_window / (end - opened))
            load.memory_mb.append(pss_mb(os.getpid()))
            in_window, opened = 0, time.perf_counter()  # reading PSS takes no request's time
            if end - begun >= seconds:
                load.seconds = end - begun
                return


def _tried(answer: Any, body: bytes, load: Load) -> bool:
    try:
        answer(body)
    except Exception as error:  # whatever it raises is a failed request
        load.first_error = load.first_error or f"{type(error).__name__}: {error}"
        return False
    return True


def main(arguments: list[str]) -> None:
    """Drive one version and write what it did to standard output."""
    folder, seconds, *targets = arguments
    with threadpool_limits(1):
        load = drive(Path(folder), float(seconds), tuple(map(float, targets)))
    sys.stdout.write(json.dumps(load.to_json()) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
