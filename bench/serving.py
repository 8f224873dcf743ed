"""CPU and latency of one HTTP prediction beside LitServe and MLflow, in the same run.

A LightGBM of 100 trees over 30 numbers, prediction log, counters and evidence on. Each server has
one worker; the load generator runs beside it on the same two cores.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import served_model
from bench.environments import SCRIPTS, PeerMissing, peer_python, peer_version
from bench.watched import two_cores
from promise.settings import Settings

NAME = "bench"
PATH = f"/v1/models/{NAME}/predict"
_WARM_S = 2.0
_UP_S = 180.0


@dataclass(frozen=True)
class Measured:
    """What one server needed for one kind of load.

    Parameters
    ----------
    sent_late_ms
        How late the load generator sent at the 99th percentile, which the latencies contain.
    """

    system: str
    load: str
    cpu_us: float
    per_second: float
    p50_ms: float
    p99_ms: float
    sent_late_ms: float
    failed: int


@dataclass(frozen=True)
class Target:
    """A server under load.

    Parameters
    ----------
    pids
        The processes whose CPU counts; their descendants count too.
    """

    system: str
    port: int
    path: str
    bodies: list[str]
    pids: tuple[int, ...]

    def measure(self, label: str, *, seconds: float, **order: Any) -> Measured:
        """Put it under load and tell what that cost."""
        before = sum(map(served_model.cpu_s, family(self.pids)))
        told = served_model.load(self.port, self.path, self.bodies, seconds=seconds, **order)
        used = sum(map(served_model.cpu_s, family(self.pids))) - before
        return Measured(
            self.system, label, 1e6 * used / max(1, told["requests"]), told["per_second"],
            told["p50_ms"], told["p99_ms"], told["sent_late_p99_ms"], told["failed"],
        )  # fmt: skip


def family(pids: tuple[int, ...]) -> list[int]:
    """Return processes with all their descendants."""
    parents = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError):
                stat = (folder / "stat").read_text(encoding="ascii").rpartition(")")[2].split()
                parents[int(folder.name)] = int(stat[1])
    found = list(pids)
    for pid in found:  # grows while it is walked
        found += [child for child, parent in parents.items() if parent == pid]
    return found


@contextmanager
def ours(home: Path) -> Iterator[tuple[Target, Path]]:
    """Serve by Promise; yield the target and the model's file, for the peers."""
    settings = Settings.load({"PROMISE_HOME": str(home)})
    version = served_model.register(settings, NAME)
    served_model.swap(settings, version)
    server = served_model.serve(settings)
    (model,) = (p for p in (version.folder / "weights").rglob("*.txt") if is_booster(p))
    try:
        yield Target("Promise", server.port, PATH, served_model.bodies(), server.pids), model
    finally:
        server.stop()


def is_booster(path: Path) -> bool:
    """Say whether a file is a LightGBM model in text."""
    with path.open(encoding="utf-8") as file:
        return file.readline().strip() == "tree"


@contextmanager
def peer(name: str, path: str, bodies: list[str], *arguments: str) -> Iterator[Target]:
    """Serve by a peer in its own environment."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    script = SCRIPTS / f"{name}_peer.py"
    python = peer_python(name)
    command = [str(python), str(script), arguments[0], str(port), *arguments[1:]]
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    env |= {"OMP_NUM_THREADS": "1", "PATH": f"{python.parent}:{env.get('PATH', '')}"}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, env=env, start_new_session=True, **quiet)
    shown = f"{name} {peer_version(name)}"
    try:
        wait_until_up(port, path, bodies[0], process)
        yield Target(shown, port, path, bodies, (process.pid,))
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_until_up(port: int, path: str, body: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until a server answers a request with 200."""
    import http.client

    until = time.monotonic() + _UP_S
    while time.monotonic() < until and process.poll() is None:
        with suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("POST", path, body, {"content-type": "application/json"})
            if connection.getresponse().status == 200:
                return
        time.sleep(0.2)
    raise PeerMissing(f"its server on port {port} did not come up; run {process.args} by hand")


def dataframe_body(body: str) -> str:
    """Return a row as MLflow takes it."""
    row = json.loads(body)
    split = {"columns": list(row), "data": [list(row.values())]}
    return json.dumps({"dataframe_split": split})


def measure(target: Target, seconds: float) -> list[Measured]:
    """Measure saturation, half of it, and a thousand requests a second."""
    target.measure("warm", seconds=_WARM_S, connections=8)
    full = target.measure("saturated", seconds=seconds, connections=16)
    found = [full]
    for label, rate in (("half load", full.per_second / 2), ("1,000/s", 1000.0)):
        if rate <= 0.8 * full.per_second:
            found.append(target.measure(label, seconds=seconds, connections=16, rate=rate))
    return found


def table(found: list[Measured]) -> str:
    """Return the measurements as Markdown, with ratios of the saturated rows."""
    lines = [
        "| server | load | CPU µs per request | requests/s | p50 ms | p99 ms | sent late, p99 ms "
        "| failed |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {m.system} | {m.load} | {m.cpu_us:,.0f} | {m.per_second:,.0f} | {m.p50_ms:.2f} | "
        f"{m.p99_ms:.2f} | {m.sent_late_ms:.2f} | {m.failed} |"
        for m in found
    ]
    mine = next(m for m in found if m.load == "saturated")
    for other in found:
        if other.load == "saturated" and other is not mine:
            ratio = other.cpu_us / mine.cpu_us
            lines.append(f"\nrequests per CPU second, Promise / {other.system}: {ratio:.1f}x")
    return "\n".join(lines)


def main(arguments: list[str]) -> None:
    """Measure every server in turn and print a table."""
    parser = argparse.ArgumentParser(prog="python -m bench serving", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement")
    parser.add_argument("--peers", default="litserve,mlflow", help="comma-separated; empty: none")
    options = parser.parse_args(arguments)
    two_cores()
    found: list[Measured] = []
    with tempfile.TemporaryDirectory() as folder:
        with ours(Path(folder) / "home") as (target, model):
            found += measure(target, options.seconds)
            kept = Path(folder) / "model.txt"
            kept.write_bytes(model.read_bytes())
        for name in filter(None, options.peers.split(",")):
            rows = served_model.bodies()
            path, sent, more = "/predict", rows, ()
            if name == "mlflow":
                path, sent = "/invocations", [dataframe_body(row) for row in rows]
                more = (str(Path(folder) / "mlflow"),)
            try:
                with peer(name, path, sent, str(kept), *more) as other:
                    found += measure(other, options.seconds)
            except PeerMissing as missing:
                print(f"{name} is left out: {missing}", file=sys.stderr)
    print(table(found))


if __name__ == "__main__":
    main(sys.argv[1:])
