"""One request for people without a server: core time and memory, beside looking at everybody.

    python -m bench matching_finder --people 1000000 --requests 1000

The peer reads everybody for each request: inner products with all, likeness to all, eligibility of
all, in NumPy. Both answer the same requests over the same people, on one thread.
"""

from __future__ import annotations

import argparse
import re
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from bench.matching_version import write_version
from promise.data.synthetic_people import Crowd
from promise.pipeline.finding import Asked, Told
from promise.workloads.matching.baselines import alike
from promise.workloads.matching.content import WIDENING
from promise.workloads.matching.eligible import seeks_gender
from promise.workloads.matching.finder import PeopleFinder
from promise.workloads.matching.overlay import microseconds
from promise.workloads.matching.quest import begin
from promise.workloads.matching.retrieve import COLLABORATIVE, Plan, retrieve

_BATCH = 1_000


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=1_000_000)
    parser.add_argument("--days", type=int, default=10)
    parser.add_argument("--per-day", type=int, default=100_000)
    parser.add_argument("--requests", type=int, default=1_000)
    parser.add_argument("--events", type=int, default=50_000)
    parser.add_argument("--version", type=Path, help="a folder that an earlier run kept")
    told = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        folder = told.version or Path(scratch) / "version"
        if not (folder / "manifest.json").exists():
            folder.mkdir(parents=True, exist_ok=True)
            write_version(folder, Crowd(told.people, told.days, told.per_day))
        measure(folder, told.requests, told.events)


def measure(folder: Path, n_requests: int, n_events: int) -> None:
    """Open a version and print what requests and events cost."""
    before, begun = private_mb(), time.thread_time()
    finder = PeopleFinder.open(folder)
    opened = time.thread_time() - begun
    world, n = finder.world, finder.world.snapshot.n
    at = datetime.fromtimestamp(world.snapshot.until_us / 1e6, UTC) + timedelta(hours=1)
    rng = np.random.default_rng(7)
    ids = world.register.ids(rng.integers(0, n, n_requests + 100).tolist())
    print(f"{n:,} people; opened in {opened:.2f} CPU s; one thread, CPU time")
    print("| what | p50 ms | p99 ms | private MB |\n|---|---:|---:|---:|")
    timed([lambda i=i: finder.find(Asked(i), at) for i in ids[:100]])  # compiled, and pages read
    row("a request", timed([lambda i=i: finder.find(Asked(i), at) for i in ids[100:]]), before)
    few = ids[100 : 100 + max(5, n_requests // 100)]
    row("peer: looking at everybody", timed([lambda i=i: everybody(finder, i, at) for i in few]), 0)
    found = recall(finder, ids[:100], at)
    print(f"\nshare of the true best by taste that is found: {found:.4f}")
    events_per_s = followed(finder, n_events, at, rng)
    print(f"events followed: {events_per_s:,.0f} a second")
    row(
        f"a request after {n_events:,} events",
        timed([lambda i=i: finder.find(Asked(i), at) for i in ids[100:]]), before,
    )  # fmt: skip


def everybody(finder: PeopleFinder, id: str, at: datetime) -> None:
    """Answer as one would who has no index: everybody is looked at."""
    world, code = finder.world, finder.world.register.code(id)
    people, source = world.snapshot.people, world.basis.source
    scores = source.chosen @ source.choosers[code]
    free = seeks_gender(np.full(people.n, people.seeks[code], np.uint64), people.gender)
    free &= seeks_gender(people.seeks, np.full(people.n, people.gender[code]))
    free[world.excluded(code, microseconds(at))] = False
    for worth, k in ((scores, 50), (alike(people, np.array([code]))[0], 33)):
        np.argpartition(np.where(free, -worth, np.inf), k)


def recall(finder: PeopleFinder, ids: list[str], at: datetime) -> float:
    """Return how many of the true best eligible by taste are among the candidates."""
    world, shares = finder.world, []
    source = world.basis.source
    for id in ids:
        quest = begin(world, Asked(id), microseconds(at), 7)
        found = retrieve(quest, Plan(rings=WIDENING))
        codes = found.codes[found.source == COLLABORATIVE]
        scores = source.chosen @ source.choosers[quest.code]
        scores[~quest.allowed(np.arange(world.snapshot.n))] = -np.inf
        best = np.argpartition(-scores, len(codes))[: len(codes)]
        shares.append(np.isin(best, codes).mean())
    return float(np.mean(shares))


def followed(finder: PeopleFinder, n_events: int, at: datetime, rng: np.random.Generator) -> float:
    """Return how many events of a log are taken in a second."""
    n = finder.world.snapshot.n
    first, second = (finder.world.register.ids(rng.integers(0, n, n_events)) for _ in range(2))
    kinds = rng.choice(["like", "pass", "block"], n_events, p=[0.4, 0.59, 0.01]).tolist()
    start = finder.number + 1
    log = [
        Told(start + i, a, b, kind, at)
        for i, (a, b, kind) in enumerate(zip(first, second, kinds, strict=True))
    ]
    begun = time.thread_time()
    for i in range(0, n_events, _BATCH):
        finder.take(log[i : i + _BATCH])
    return n_events / (time.thread_time() - begun)


def timed(calls: list[Callable[[], object]]) -> np.ndarray:
    """Return the CPU milliseconds of each call."""
    found = []
    for call in calls:
        begun = time.thread_time()
        call()
        found.append(1e3 * (time.thread_time() - begun))
    return np.array(found)


def row(what: str, ms: np.ndarray, before_mb: int) -> None:
    """Print one row."""
    p50, p99 = np.quantile(ms, (0.5, 0.99))
    print(f"| {what} | {p50:.2f} | {p99:.2f} | {private_mb() - before_mb:,} |", flush=True)


def private_mb() -> int:
    """Return the memory that this process does not share, in MiB."""
    text = Path("/proc/self/smaps_rollup").read_text(encoding="ascii")
    return int(re.search(r"Anonymous:\s+(\d+)", text)[1]) // 1024  # type: ignore[index]


if __name__ == "__main__":
    main()
