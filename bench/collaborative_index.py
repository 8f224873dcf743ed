"""The vector index at a size beside FAISS: build, recall against exact, one search, memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.environments import SCRIPTS, peer_python, peer_version
from promise.engine.memory import pss_mb
from promise.job import Job
from promise.models.index import VectorIndex

Array = np.ndarray
Record = dict[str, Any]
K, QUERIES = 100, 1000
_BLOCK = 1_000_000


@dataclass(frozen=True)
class Planted:
    """Vectors in a world of neighbourhoods, as trained ones lie.

    Tastes are mixtures: a hundred themes, ten shades of each, and a person's own deviation; lengths
    are uneven, as those of trained vectors are, whose length grows with being liked. A query leans
    on a person's tastes without their length.
    """

    rows: Array
    queries: Array


def planted(n: int, size: int, seed: int = 7) -> Planted:
    """Return n rows and some queries that were not among them, float32."""
    rng = np.random.default_rng(seed)
    themes = rng.normal(size=(100, size)).astype(np.float32)
    shades = np.repeat(themes, 10, axis=0) + 0.7 * rng.normal(size=(1000, size)).astype(np.float32)

    def people(count: int) -> Array:
        found = shades[rng.integers(0, len(shades), count)]
        found += 0.8 * rng.standard_normal((count, size), np.float32)
        return found / np.linalg.norm(found, axis=1, keepdims=True)

    rows = np.empty((n, size), np.float32)
    for first in range(0, n, _BLOCK):
        last = min(n, first + _BLOCK)
        rows[first:last] = people(last - first)
        rows[first:last] *= rng.gamma(9.0, 1 / 9, (last - first, 1)).astype(np.float32)
    return Planted(rows, people(2 * QUERIES))


def measured(what: str, rows: Array, queries: Array, threads: int = 2) -> Record:
    """Build over rows and search: half of the queries choose the lists, the others judge."""
    half = len(queries) // 2
    before, began, worked = resident_mb(), time.monotonic(), time.process_time()
    index = VectorIndex.build(rows, queries=queries[:half], job=Job(threads=threads), exact_below=1)
    seconds, cpu = time.monotonic() - began, time.process_time() - worked
    grown = resident_mb() - before
    asked = queries[half : half + QUERIES]
    index.search(asked[:20], K)
    waits, burnt = [], time.process_time()
    for query in asked:
        start = time.perf_counter()
        index.search(query[None], K)
        waits.append(1000 * (time.perf_counter() - start))
    burnt = time.process_time() - burnt
    inverted = index._snapshot.inverted
    with tempfile.TemporaryDirectory(prefix="promise-index-") as place:
        index.save(Path(place))
        saved = sum(file.stat().st_size for file in Path(place).glob("inverted*")) / 2**20
        shared = readers_mb(Path(place), asked[:200])
    return {
        "what": what,
        "rows": len(rows),
        "size": rows.shape[1],
        "build_seconds": seconds,
        "build_cpu_seconds": cpu,
        "lists": inverted.lists if inverted else 0,
        "opened": inverted.opened if inverted else 0,
        "recall_chosen_at": index.measured_recall,
        "recall_at_100": recall_of(index.search(asked[:200], K)[0], rows, asked[:200]),
        "p50_ms": float(np.quantile(waits, 0.5)),
        "p99_ms": float(np.quantile(waits, 0.99)),
        "cpu_ms": 1000 * burnt / len(asked),
        "saved_mb": saved,
        "reader_mb": shared,
        "added_mb": grown,
    }


def peer(what: str, rows: Array, queries: Array, threads: int = 2) -> Record:
    """Let FAISS do the same in its own environment; its answers are judged here.

    It fetches twice what is wanted and its caller scores those again, as ours does.
    """
    half = len(queries) // 2
    with tempfile.TemporaryDirectory(prefix="promise-index-") as place:
        folder = Path(place)
        np.save(folder / "rows.npy", rows)
        np.save(folder / "queries.npy", np.ascontiguousarray(queries[: half + QUERIES]))
        command = [peer_python("faiss"), SCRIPTS / "faiss_peer.py", folder, str(half), str(threads)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        told: Record = json.loads(done.stdout.strip().splitlines()[-1])
        found = np.load(folder / "found.npy")
    recall = recall_of(found[:200], rows, queries[half : half + 200])
    name = f"FAISS {peer_version('faiss')}"
    return {**told, "what": f"{what}, {name}", "recall_at_100": recall, "size": rows.shape[1]}


def recall_of(found: Array, rows: Array, asked: Array) -> float:
    """Return the share of the true best that was found."""
    shares = []
    for query, mine in zip(asked, found, strict=True):
        scores = rows @ query
        shares.append(np.isin(np.argpartition(-scores, K - 1)[:K], mine).mean())
    return float(np.mean(shares))


_READER = """
import pathlib, sys, tempfile
import numpy as np
from promise.job import Job
from promise.models.inverted import Inverted
queries = np.load(sys.argv[2])
with tempfile.TemporaryDirectory() as place:  # compiled before anything is counted
    rows = np.repeat(queries, 3, axis=0)
    Inverted.build(rows, queries, 0.5, Job()).save(pathlib.Path(place))
    small = Inverted.load(pathlib.Path(place), mapped=True)
    small.nearest(queries[0], 1, np.zeros(len(rows), bool))
inverted = Inverted.load(pathlib.Path(sys.argv[1]), mapped=True)
gone = np.zeros(len(inverted.rows), bool)
print("ready", flush=True); sys.stdin.readline()
for query in queries:
    inverted.nearest(query, 100, gone)
print("asked", flush=True); sys.stdin.readline()
"""


def readers_mb(folder: Path, queries: Array) -> float:
    """Return by how many MiB each of two processes grows that map one file and search in it."""
    np.save(folder / "asked.npy", queries)
    command = [sys.executable, "-c", _READER, str(folder), str(folder / "asked.npy")]
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    both = [subprocess.Popen(command, **pipes) for _ in range(2)]
    sizes = []
    for _ in range(2):
        for process in both:
            process.stdout.readline()
        sizes.append(sum(pss_mb(process.pid) for process in both))
        for process in both:
            process.stdin.write("\n")
            process.stdin.flush()
    for process in both:
        process.communicate()
    return (sizes[1] - sizes[0]) / 2


HEADER = (
    "| rows | build s (CPU s) | lists, opened | recall@100 of other queries | p50 ms | p99 ms | "
    "CPU ms | saved MB | MB of each of two readers |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|"
)


def row_of(record: Record) -> str:
    """Return one row of the table."""
    return (
        f"| {record['what']}: {record['rows']:,} × {record['size']} "
        f"| {record['build_seconds']:.0f} ({record['build_cpu_seconds']:.0f}) "
        f"| {record['lists']:,}, {record['opened']} | {record['recall_at_100']:.3f} "
        f"| {record['p50_ms']:.2f} | {record['p99_ms']:.2f} | {record['cpu_ms']:.2f} "
        f"| {record['saved_mb']:,.0f} | {record['reader_mb']:,.0f} |"
    )


def resident_mb() -> float:
    """Return this process's resident memory in MiB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
