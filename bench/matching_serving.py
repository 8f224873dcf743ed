"""Lists over HTTP: python -m bench matching_serving [--people 1000000] [--seconds 30].

Generated people with planted tastes, one worker. Each request is by somebody who has not asked
before, so that no list is a kept one. Beside it: the same process's bare `/healthz`, how soon a
like changes the next answer, how many events a second `promise events` keeps, and the memory.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow.parquet as pq

from bench import served_model
from bench.matching_version import write_version
from promise.data.synthetic_people import Crowd, people_events
from promise.engine.memory import pss_mb
from promise.registry.registry import Registry
from promise.settings import Settings

NAME = "meet"


def main(arguments: list[str]) -> None:
    """Write a version, serve it, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m bench matching_serving", description=__doc__)
    parser.add_argument("--people", type=int, default=1_000_000)
    parser.add_argument("--deeds", type=int, default=5_000_000)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--rate", type=float, default=50.0)
    parser.add_argument("--imported", type=int, default=500_000)
    parser.add_argument("--home", type=Path, help="keep the version here")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        home = given.home or Path(scratch) / "home"
        os.environ["PROMISE_HOME"] = str(home)
        settings = Settings.load()
        crowd = Crowd(people=given.people, days=50, per_day=given.deeds // 50, circles=400)
        registered(settings, crowd)
        server = served_model.serve(settings)
        try:
            print("| what | measured |\n|---|---|")
            measure(server, crowd, given.rate, given.seconds)
        finally:
            server.stop()
        for line in import_lines(Path(scratch), given.imported):
            print(line, flush=True)


def registered(settings: Settings, crowd: Crowd) -> None:
    """Write, register and deploy a version, unless the home has one."""
    registry = Registry.open(settings)
    if registry.versions(NAME):
        return
    began = time.perf_counter()
    version = registry.register(NAME, lambda draft: write_version(draft, crowd))
    print(f"version of {crowd.people:,} people in {time.perf_counter() - began:.0f} s", flush=True)
    served_model.swap(settings, version)


def measure(server: served_model.Server, crowd: Crowd, rate: float, seconds: float) -> None:
    """Print what requests, changes and memory cost."""
    who = iter(np.random.default_rng(3).permutation(crowd.people).tolist())

    def paths(n: int) -> list[str]:
        return [f"/v1/models/{NAME}/people/p{next(who)}?limit=20" for _ in range(n)]

    health = load(server, ["/healthz"], seconds=3.0, rate=rate)
    load(server, paths(200), seconds=4.0, rate=50.0)
    used = server.cpu_s()
    told = load(server, paths(int(rate * seconds)), seconds=seconds, rate=rate)
    used = server.cpu_s() - used
    one = load(server, paths(2_000), seconds=10.0, rate=0.0, connections=1)
    idle = 1e3 * used / max(1, told["requests"])
    print(f"| `/healthz` at {rate:g}/s | {quantiles(health)} |")
    print(f"| a list of 20 at {rate:g}/s, {told['requests']:,} requests | {quantiles(told)} |")
    print(f"| … CPU of a request, following included | {idle:.2f} ms |")
    print(f"| … one connection, closed loop | {quantiles(one)}, {one['per_second']:.0f}/s |")
    kept = load(server, paths(1) * 200, seconds=3.0, rate=0.0, connections=1)
    print(f"| … given again from what is kept | {quantiles(kept)} |")
    for line in changes(server, who):
        print(line)
    memory = sum(pss_mb(pid) for pid in server.pids)
    print(f"| memory of the worker | {memory:,.0f} MiB |", flush=True)


def load(server: served_model.Server, asked: list[str], **order: Any) -> dict[str, Any]:
    """Put GET requests on a server."""
    return served_model.load(server.port, "", [], paths=asked, **order)


def quantiles(told: dict[str, Any]) -> str:
    """Say what came back."""
    late = f", sent {told['sent_late_p99_ms']:.1f} ms late at p99" if told["per_second"] else ""
    failed = f", {told['failed']} failed" if told["failed"] else ""
    return f"p50 {told['p50_ms']:.2f} ms, p99 {told['p99_ms']:.2f} ms{late}{failed}"


def changes(server: served_model.Server, who: Any) -> list[str]:
    """Return how soon the answer after a like is another one."""
    taken, replaced = [], 0
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}") as client:
        for number in range(100):
            path = f"/v1/models/{NAME}/people/p{next(who)}"
            before = items(client.get(path))
            began = time.perf_counter()
            sent = {
                "event_id": f"bench-{number}-{time.time_ns()}", "type": "like",
                "entity": path.rpartition("/")[2], "other": before[0],
            }  # fmt: skip
            client.post(f"/v1/models/{NAME}/events", json=sent).raise_for_status()
            after = items(client.get(path))
            taken.append(1e3 * (time.perf_counter() - began))
            assert before[0] not in after
            replaced += before != after
    p50, p99 = np.percentile(taken, (50, 99))
    text = f"p50 {p50:.1f} ms, p99 {p99:.1f} ms; {replaced} of 100 lists changed"
    return [f"| like acknowledged and the next list without them | {text} |"]


def items(response: httpx.Response) -> list[str]:
    """Return the ids of a list."""
    response.raise_for_status()
    return [item["id"] for item in response.json()["items"]]


def import_lines(scratch: Path, n: int) -> list[str]:
    """Return how many events a second the command keeps, on each database."""
    crowd = Crowd(people=100_000, days=10, per_day=n // 10)
    events = people_events(crowd).select(["event_id", "person", "other", "type", "at"])
    pq.write_table(events, scratch / "events.parquet")
    found = []
    for kind, url in (("SQLite", None), ("Postgres", os.environ.get("PROMISE_BENCH_DATABASE"))):
        if kind == "Postgres" and url is None:
            continue
        environ = {**os.environ, "PROMISE_HOME": str(scratch / kind), "OMP_NUM_THREADS": "1"}
        if url is not None:
            environ["PROMISE_DATABASE"] = url
        settings = Settings.load(environ)
        Registry.open(settings).register(NAME, write_small)
        told = imported(environ, scratch / "events.parquet")
        rate, share = told["accepted"] / told["seconds"], told["accepted"] / told["cpu_s"]
        found.append(
            f"| `promise events`, {events.num_rows:,} events, {kind} | {rate:,.0f}/s, "
            f"{share:,.0f} per CPU second of the command |"
        )
    return found


def write_small(folder: Path) -> None:
    """Write a version of few people: events are kept for a model that is there."""
    write_version(folder, Crowd(people=2_000, days=2, per_day=1_000))


def imported(environ: dict[str, str], file: Path) -> dict[str, Any]:
    """Run the command and return what it told, with its times, start of Python left out."""
    code = (
        "import json, time, promise.cli.main, promise.cli.import_people;"
        "from promise.cli import events; b, c = time.perf_counter(), time.process_time();"
        f"events.events({NAME!r}, {str(file)!r}, as_json=True);"
        "print(json.dumps([time.perf_counter() - b, time.process_time() - c]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ, check=True, stdout=subprocess.PIPE, text=True
    )
    lines = done.stdout.splitlines()
    seconds, cpu_s = json.loads(lines[-1])
    told: dict[str, Any] = json.loads("\n".join(lines[:-1]))
    return {**told, "seconds": seconds, "cpu_s": cpu_s}
