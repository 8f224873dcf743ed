"""A thousand deployments between two versions under load: how many requests fail?

Both versions pass the gate of `promise deploy` before the load begins, and how long that took is
printed beside the swaps. Under load each swap is the rest of that command, with --now and a reason:
the state machine decides, and one transaction commits the transition with the gate's evidence. The
gate itself is not repeated a thousand times: it is a load test of seconds in a process of its own,
which would measure, on the same cores, how it slows the server rather than what a swap does to it.
`--gated N` lets so many swaps go through the whole command all the same.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench import served_model
from bench.watched import two_cores
from promise.engine.memory import pss_mb
from promise.rollout.deploy import deploy
from promise.rollout.desk import Desk
from promise.rollout.events import Deploy
from promise.rollout.gate import Gate
from promise.settings import Settings

NAME = "bench"
REASON = "a benchmark of hot swaps"
PATH = f"/v1/models/{NAME}/predict"


def main(arguments: list[str]) -> None:
    """Swap under an open-loop load and print what failed."""
    parser = argparse.ArgumentParser(prog="python -m bench hot_swaps", description=__doc__)
    parser.add_argument("--swaps", type=int, default=1000)
    parser.add_argument("--gated", type=int, default=0, help="swaps that run the gate again")
    parser.add_argument("--rate", type=float, default=500.0, help="requests per second")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--pause", type=float, default=0.05, help="seconds between two swaps")
    options = parser.parse_args(arguments)
    two_cores()
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings.load({"PROMISE_HOME": str(Path(folder) / "home")})
        versions = [served_model.register(settings, NAME, seed=seed) for seed in (7, 8)]
        began = time.perf_counter()
        gates = {version.number: _gated(settings, version) for version in versions}
        gate_s = (time.perf_counter() - began) / len(versions)
        server = served_model.serve(settings, workers=options.workers)
        try:
            _measure(options, settings, gates, gate_s, server)
        finally:
            server.stop()


def _gated(settings: Settings, version: served_model.Version) -> Gate:
    """Deploy a version as a person would, gate and all; return what the gate found."""
    gate = deploy(str(version), now=True, reason=REASON, settings=settings).gate
    assert gate is not None, "a version that was not live has passed the gate"
    assert gate.passed, gate.blocking
    return gate


def _swap(desk: Desk, number: int, gate: Gate) -> None:
    """Do what `promise deploy --now` does after its gate."""
    at, revision = desk.clock.now(), desk.revisions.current(NAME)
    event = Deploy(
        version=number, plan=revision.declared.rollout, revision=revision.number,
        salt=desk.salt(NAME, number), at=at, owed={}, forced=True, reason=REASON,
    )  # fmt: skip
    desk.verdicts.record(NAME, number, "gate", list(gate.verdicts))
    desk.commit(NAME, event, {"gate": gate.to_json()})


def _swap_all(options: argparse.Namespace, settings: Settings, gates: dict[int, Gate]) -> None:
    """Swap between the two versions, the gated swaps spread evenly among the others."""
    every = options.swaps // options.gated if options.gated else 0
    with Desk.open(settings, None) as desk:
        for i in range(options.swaps):
            live = desk.lifecycle.route(NAME).live
            number = next(version for version in gates if version != live)
            if every and i % every == 0:
                deploy(f"{NAME}@{number}", now=True, reason=REASON, settings=settings)
            else:
                _swap(desk, number, gates[number])
            time.sleep(options.pause)


def _measure(
    options: argparse.Namespace,
    settings: Settings,
    gates: dict[int, Gate],
    gate_s: float,
    server: served_model.Server,
) -> None:
    # each swap takes its pause and a commit; what is left over at the end runs without swaps
    seconds = options.swaps * (options.pause + 0.03) + options.gated * gate_s + 2
    order = {
        "port": server.port, "path": PATH, "bodies": served_model.bodies(), "connections": 16,
        "seconds": seconds, "rate": options.rate,
    }  # fmt: skip
    load = subprocess.Popen(
        [sys.executable, "-m", "bench.load"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    assert load.stdin is not None
    load.stdin.write(json.dumps(order))
    load.stdin.close()
    before_mb, began = sum(map(pss_mb, server.pids)), time.perf_counter()
    _swap_all(options, settings, gates)
    swapping_s = time.perf_counter() - began
    assert load.stdout is not None
    told = json.loads(load.stdout.read().splitlines()[-1])
    load.wait()
    after_mb = sum(map(pss_mb, server.pids))
    print("| swaps | gated | a gate | in | requests | failed | p50 ms | p99 ms | memory |")
    print("|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
    print(
        f"| {options.swaps:,} | {options.gated} | {gate_s:.1f} s | {swapping_s:.0f} s | "
        f"{told['requests']:,} | {told['failed']} | "
        f"{told['p50_ms']:.2f} | {told['p99_ms']:.2f} | {before_mb:.0f} → {after_mb:.0f} MiB |"
    )
    if swapping_s > told["seconds"]:
        print(f"the load ended before the swaps did: {told['seconds']:.0f} s of {swapping_s:.0f} s")


if __name__ == "__main__":
    main(sys.argv[1:])
