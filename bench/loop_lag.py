"""How long a worker's event loop stands still under a steady load, and what ran meanwhile.

A probe inside the worker asks to be woken every two milliseconds and notes how late it was; beside
it the same probe runs in a process that does nothing, which tells the noise of the machine. What
the worker's other threads and the collector did is noted too, so that a stall can be laid at the
door of what overlapped it.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvloop

from bench import served_model
from bench.watched import two_cores
from promise.settings import Settings

NAME = "bench"
PATH = f"/v1/models/{NAME}/predict"
_EVERY_S = 0.002
_STALL_MS = 5.0
_WORKED: tuple[tuple[str, str, str], ...] = (
    ("promise.records.publishing", "CountsPublisher", "tick"),
    ("promise.records.predictions", "PredictionLog", "_flush"),
    ("promise.records.predictions", "PredictionLog", "_sync"),
    ("promise.serving.runtime", "Runtime", "look"),
)


@dataclass
class Probe:
    """Notes how late the loop woke it, and what else ran when.

    Parameters
    ----------
    lags
        (due, late) in seconds of `time.perf_counter`.
    spans
        (what, begin, end, CPU seconds) of work beside the loop.
    """

    lags: list[tuple[float, float]] = field(default_factory=list)
    spans: list[tuple[str, float, float, float]] = field(default_factory=list)

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            due = time.perf_counter() + _EVERY_S
            await asyncio.sleep(_EVERY_S)
            self.lags.append((due, time.perf_counter() - due))

    def note_collections(self) -> None:
        """Note when the garbage collector runs."""
        began = [0.0]

        def told(phase: str, about: dict[str, Any]) -> None:
            now = time.perf_counter()
            if phase == "start":
                began[0] = now
            else:
                took = now - began[0]
                self.spans.append((f"gc{about['generation']}", began[0], now, took))

        gc.callbacks.append(told)

    def note_work(self) -> None:
        """Note when the worker's other threads do their rounds."""
        import importlib

        for module, owner, method in _WORKED:
            kind = getattr(importlib.import_module(module), owner)
            setattr(kind, method, self._noted(method.strip("_"), getattr(kind, method)))

    def _noted(self, what: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*given: Any, **named: Any) -> Any:
            began, used = time.perf_counter(), time.thread_time()
            try:
                return work(*given, **named)
            finally:
                used = time.thread_time() - used
                self.spans.append((what, began, time.perf_counter(), used))

        return noted

    def told(self) -> dict[str, Any]:
        """Return lateness in milliseconds, stalls per second, and what overlapped them."""
        late = sorted(1e3 * lag for _, lag in self.lags)
        began, ended = self.lags[0][0], self.lags[-1][0]
        stalls = [(due, due + lag) for due, lag in self.lags if 1e3 * lag > _STALL_MS]
        blamed: dict[str, int] = {}
        for start, end in stalls:
            over = {what for what, a, b, _ in self.spans if a < end and b > start} or {
                "nothing seen"
            }
            for what in over:
                blamed[what] = blamed.get(what, 0) + 1
        spans: dict[str, list[tuple[float, float]]] = {}
        for what, a, b, used in self.spans:
            spans.setdefault(what, []).append((1e3 * (b - a), 1e3 * used))
        return {
            "p50": late[len(late) // 2],
            "p99": late[int(0.99 * len(late))],
            "p999": late[int(0.999 * len(late))],
            "worst": late[-1],
            "stalls_per_s": len(stalls) / (ended - began),
            "blamed": blamed,
            "work": {
                what: [len(took), *map(statistics.median, zip(*took, strict=True)), max(took)[0]]
                for what, took in spans.items()
            },
        }


def be_worker(home: Path) -> None:
    """Serve as `promise serve` does, with the probe inside; print what it saw at the end."""
    from promise.serving.server import open_worker, run_worker

    probe, tasks = Probe(), []
    probe.note_work()
    worker = open_worker(Settings.load({"PROMISE_HOME": str(home)}), 0, open_access=True)
    sock = socket.create_server(("127.0.0.1", 0), backlog=2048)

    def ready() -> None:
        print(sock.getsockname()[1], flush=True)
        probe.note_collections()
        tasks.append(asyncio.get_running_loop().create_task(probe.run()))

    run_worker(worker, sock, on_ready=ready)
    print(json.dumps(probe.told()), flush=True)


def be_idle() -> None:
    """Run the probe alone until told to stop."""
    probe = Probe()

    async def run() -> None:
        task = asyncio.get_running_loop().create_task(probe.run())
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        print("idle", flush=True)
        await asyncio.wait([task])

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())
    print(json.dumps(probe.told()), flush=True)


def main(arguments: list[str]) -> None:
    """Measure several rounds and print their medians."""
    parser = argparse.ArgumentParser(prog="python -m bench.loop_lag", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rate", type=float, default=2000.0, help="requests per second")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--idle", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.worker is not None:
        be_worker(options.worker)
    elif options.idle:
        be_idle()
    else:
        two_cores()
        with tempfile.TemporaryDirectory() as folder:
            _measure(options, Path(folder) / "home")


def _measure(options: argparse.Namespace, home: Path) -> None:
    settings = Settings.load({"PROMISE_HOME": str(home)})
    served_model.swap(settings, served_model.register(settings, NAME))
    found = [_round(options, home) for _ in range(options.rounds)]
    print("| loop | p50 ms | p99 ms | p99.9 ms | worst ms | stalls > 5 ms per s |")
    print("|---|---:|---:|---:|---:|---:|")
    for loop in ("worker", "idle process beside it"):
        told = [seen[loop] for seen in found]
        cells = [
            statistics.median(one[key] for one in told)
            for key in ("p50", "p99", "p999", "worst", "stalls_per_s")
        ]
        print(f"| {loop} | " + " | ".join(f"{cell:.2f}" for cell in cells) + " |")
    loads = [seen["load"] for seen in found]
    p50, p99 = (statistics.median(one[key] for one in loads) for key in ("p50_ms", "p99_ms"))
    print(f"\nrequests at {options.rate:,.0f}/s: p50 {p50:.2f} ms, p99 {p99:.2f} ms")
    for seen in found:
        print(f"stalls overlapped by: {seen['worker']['blamed']}", file=sys.stderr)
    print("\n| beside the loop | times | median ms | of that CPU ms | worst ms |")
    print("|---|---:|---:|---:|---:|")
    for what, (n, usual, used, worst) in sorted(found[-1]["worker"]["work"].items()):
        print(f"| {what} | {n} | {usual:.2f} | {used:.2f} | {worst:.2f} |")


def _round(options: argparse.Namespace, home: Path) -> dict[str, Any]:
    """Return what both probes and the load generator saw in one round."""
    command = [sys.executable, "-m", "bench.loop_lag"]
    pipe: dict[str, Any] = {"stdout": subprocess.PIPE, "text": True}
    worker = subprocess.Popen([*command, "--worker", str(home)], **pipe)
    idle = subprocess.Popen([*command, "--idle"], **pipe)
    assert worker.stdout is not None
    assert idle.stdout is not None
    port = int(worker.stdout.readline())
    idle.stdout.readline()
    load = served_model.load(
        port, PATH, served_model.bodies(), seconds=options.seconds, rate=options.rate
    )
    for process in (worker, idle):
        process.terminate()
    told = {
        "worker": json.loads(worker.stdout.read().splitlines()[-1]),
        "idle process beside it": json.loads(idle.stdout.read().splitlines()[-1]),
        "load": load,
    }
    for process in (worker, idle):
        process.wait(60)
    return told


if __name__ == "__main__":
    main(sys.argv[1:])
