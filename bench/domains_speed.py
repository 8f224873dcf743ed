"""How fast names are learned and answered: by size, one at a time, in batches, over HTTP."""

from __future__ import annotations

import gc
import hashlib
import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from bench import domains_data, served_model
from bench.domains_data import popular
from bench.domains_systems import Trained, settings_of, train
from promise.data.columns import Columns
from promise.pipeline.bind import bind
from promise.pipeline.pipeline import Pipeline

Record = dict[str, Any]
_BATCH = 20_000


def scale(sizes: tuple[int | None, ...], folder: Path) -> list[Record]:
    """Train on categories and machine-made names of several sizes; None for all of them."""
    records = []
    for rows in sizes:
        data = domains_data.ut1_and_dga(rows)
        trained = train(folder, data, "many")
        found = trained.told["splits"]["random"]
        records.append(
            {
                "names": len(data.names),
                "classes": len(data.classes),
                "seconds": round(trained.seconds, 1),
                "peak_mb": round(trained.peak_mb),
                "random_accuracy": found["accuracy"],
                "random_rows": found["rows"],
                "weights_mb": round(size_mb(trained), 1),
                "digest": digest(trained),
            }
        )
        print(scale_row(records[-1]), flush=True)
    return records


def digest(trained: Trained) -> str:
    """Return a hash of all weights: equal trainings have equal ones."""
    found = hashlib.sha256()
    for path in sorted((trained.version.folder / "weights").rglob("*")):
        if path.is_file():
            found.update(path.read_bytes())
    return found.hexdigest()[:12]


def size_mb(trained: Trained) -> float:
    """Return what the weights take on disk."""
    files = (trained.version.folder / "weights").rglob("*")
    return sum(path.stat().st_size for path in files if path.is_file()) / 1e6


SCALE_HEADER = (
    "| names | classes | seconds | peak MB | random-split accuracy (rows) | weights MB | digest |\n"
    "|---:|---:|---:|---:|---|---:|---|"
)


def scale_row(record: Record) -> str:
    """Return one row of the table."""
    return (
        f"| {record['names']:,} | {record['classes']} | {record['seconds']:.1f} | "
        f"{record['peak_mb']:,} | {record['random_accuracy']:.3f} ({record['random_rows']:,}) | "
        f"{record['weights_mb']} | {record['digest']} |"
    )


def latency(trained: Trained) -> Record:
    """Answer 20,000 popular names one by one, then in batches, in this process."""
    pipeline = trained.pipeline
    names, bound = popular(), bind(pipeline)
    for name in names[:500]:
        bound.one((name,))
    spent_us = np.empty(_BATCH)
    gc.disable()
    for row, name in enumerate(names[:_BATCH]):
        began = time.perf_counter_ns()
        bound.one((name,))
        spent_us[row] = (time.perf_counter_ns() - began) / 1e3
    gc.enable()
    found: Record = {
        "fast": bound.fast,
        "p50_us": round(float(np.percentile(spent_us, 50)), 1),
        "p99_us": round(float(np.percentile(spent_us, 99)), 1),
        "output": in_batches(pipeline.output, pipeline, names),
        "predict": in_batches(pipeline.predict, pipeline, names),
    }
    print(f"one name: p50 {found['p50_us']} µs, p99 {found['p99_us']} µs")
    for verb, what in (("output", "probabilities"), ("predict", "answers")):
        told = found[verb]
        print(
            f"batches of {_BATCH:,} to {what}, two threads: {told['per_s']:,} names/s, "
            f"{told['cpu_us']} µs CPU a name",
            flush=True,
        )
    return found


def in_batches(verb: Any, pipeline: Pipeline, names: list[str]) -> Record:
    """Return names per second, and CPU microseconds for each, over all names by two threads."""
    field = pipeline.task.request.names[0]
    asked = np.array(names, dtype=object)
    batches = [Columns({field: asked[i : i + _BATCH]}) for i in range(0, len(asked), _BATCH)]
    verb(batches[0])
    with ThreadPoolExecutor(2) as threads:
        cpu, began = time.process_time(), time.perf_counter()
        list(threads.map(verb, batches * 2))
        seconds = time.perf_counter() - began
        used = time.process_time() - cpu
    total = 2 * len(asked)
    return {"per_s": round(total / seconds), "cpu_us": round(1e6 * used / total, 2)}


def http(trained: Trained, home: Path, *, rate: float, seconds: float) -> Record:
    """Ask one name a request at a fixed rate; no name comes twice, so that no answer is cached."""
    settings = settings_of(home)
    served_model.swap(settings, trained.version)
    server = served_model.serve(settings)
    field = trained.pipeline.task.request.names[0]
    bodies = [json.dumps({field: name}) for name in popular()]
    warm, asked = bodies[:5_000], bodies[5_000:]
    path = f"/v1/models/{trained.version.name}/predict"
    try:
        served_model.load(server.port, path, warm, seconds=4, rate=rate / 2)
        before = server.cpu_s()
        told = served_model.load(
            server.port, path, asked, seconds=seconds, rate=rate, connections=16
        )
        used = server.cpu_s() - before
    finally:
        server.stop()
    if told["requests"] > len(asked):
        print(f"names were repeated after {len(asked):,}: the cache answered some", flush=True)
    found = {
        "rate": rate,
        "cpu_us": round(1e6 * used / max(1, told["requests"])),
        **{key: told[key] for key in ("per_second", "p50_ms", "p99_ms", "sent_late_p99_ms")},
        "failed": told["failed"],
    }
    print(
        f"HTTP, {rate:,.0f} requests/s, one worker: p50 {found['p50_ms']:.2f} ms, p99 "
        f"{found['p99_ms']:.2f} ms (sent late p99 {found['sent_late_p99_ms']:.2f} ms), "
        f"{found['cpu_us']} µs CPU a request, {found['failed']} failed",
        flush=True,
    )
    return found
