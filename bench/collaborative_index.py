"""The vector index at a size: build, recall against exact, one search, memory."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

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
    recall = index.recall_against_exact(asked[:200], K)
    index.search(asked[:20], K)
    waits, burnt = [], time.process_time()
    for query in asked:
        start = time.perf_counter()
        index.search(query[None], K)
        waits.append(1000 * (time.perf_counter() - start))
    burnt = time.process_time() - burnt
    exact = []
    for query in asked[:50]:
        start = time.process_time()
        np.argpartition(rows @ query, len(rows) - K)
        exact.append(1000 * (time.process_time() - start))
    inverted = index._snapshot.inverted
    return {
        "what": what,
        "rows": len(rows),
        "size": rows.shape[1],
        "build_seconds": seconds,
        "build_cpu_seconds": cpu,
        "lists": inverted.lists if inverted else 0,
        "opened": inverted.opened if inverted else 0,
        "recall_chosen_at": index.measured_recall,
        "recall_at_100": recall,
        "p50_ms": float(np.quantile(waits, 0.5)),
        "p99_ms": float(np.quantile(waits, 0.99)),
        "cpu_ms": 1000 * burnt / len(asked),
        "exact_ms": float(np.median(exact)),
        "added_mb": grown,
    }


HEADER = (
    "| rows | build s (CPU s) | lists, opened | recall@100 of other queries | p50 ms | p99 ms | "
    "CPU ms | exact, CPU ms | added MB |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|"
)


def row_of(record: Record) -> str:
    """Return one row of the table."""
    return (
        f"| {record['what']}: {record['rows']:,} × {record['size']} "
        f"| {record['build_seconds']:.0f} ({record['build_cpu_seconds']:.0f}) "
        f"| {record['lists']:,}, {record['opened']} | {record['recall_at_100']:.3f} "
        f"| {record['p50_ms']:.2f} | {record['p99_ms']:.2f} | {record['cpu_ms']:.2f} "
        f"| {record['exact_ms']:.1f} | {record['added_mb']:,.0f} |"
    )


def resident_mb() -> float:
    """Return this process's resident memory in MiB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
