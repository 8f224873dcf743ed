"""A thousand deployments between two versions under load: how many requests fail?"""

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
from promise.settings import Settings

NAME = "bench"
PATH = f"/v1/models/{NAME}/predict"


def main(arguments: list[str]) -> None:
    """Swap under an open-loop load and print what failed."""
    parser = argparse.ArgumentParser(prog="python -m bench hot_swaps", description=__doc__)
    parser.add_argument("--swaps", type=int, default=1000)
    parser.add_argument("--rate", type=float, default=500.0, help="requests per second")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--pause", type=float, default=0.05, help="seconds between two swaps")
    options = parser.parse_args(arguments)
    two_cores()
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings.load({"PROMISE_HOME": str(Path(folder) / "home")})
        versions = [served_model.register(settings, NAME, seed=seed) for seed in (7, 8)]
        served_model.swap(settings, versions[0])
        server = served_model.serve(settings, workers=options.workers)
        try:
            _measure(options, settings, versions, server)
        finally:
            server.stop()


def _measure(
    options: argparse.Namespace,
    settings: Settings,
    versions: list[served_model.Version],
    server: served_model.Server,
) -> None:
    # each swap takes its pause and a commit; what is left over at the end runs without swaps
    seconds = options.swaps * (options.pause + 0.03) + 2
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
    for i in range(options.swaps):
        served_model.swap(settings, versions[(i + 1) % 2])
        time.sleep(options.pause)
    swapping_s = time.perf_counter() - began
    assert load.stdout is not None
    told = json.loads(load.stdout.read().splitlines()[-1])
    load.wait()
    after_mb = sum(map(pss_mb, server.pids))
    print("| swaps | in | requests | failed | p50 ms | p99 ms | memory before → after |")
    print("|---:|---:|---:|---:|---:|---:|---:|")
    print(
        f"| {options.swaps:,} | {swapping_s:.0f} s | {told['requests']:,} | {told['failed']} | "
        f"{told['p50_ms']:.2f} | {told['p99_ms']:.2f} | {before_mb:.0f} → {after_mb:.0f} MiB |"
    )
    if swapping_s > told["seconds"]:
        print(f"the load ended before the swaps did: {told['seconds']:.0f} s of {swapping_s:.0f} s")


if __name__ == "__main__":
    main(sys.argv[1:])
