"""A transaction over HTTP at 500 requests/s: features, score, decision, reasons, by each store.

One worker with prediction log, feature log, counters and exact contributions behind the answers;
the load generator runs beside it on the same two cores, in an open loop (requests are due at fixed
times, however slow the answers are). The default preset is asked with about 40 and with 247
features, the reference preset beside it. Every request is a transaction of its own, of generated
cards and shops; a part of the stream goes before the measurement, so that entities have a past.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bench import served_model
from promise.data.synthetic_events import World, fraud_events
from promise.registry.registry import Registry
from promise.settings import Settings
from promise.training.train import train_version

RATE = 500.0
MODELS = {
    "guard": ("default", {}),
    "wide": ("default", {"features": "wide"}),
    "reference": ("reference", {"train_rows": "4000"}),
}
"""Name to preset and options."""

RUNS = (
    ("guard", "process"), ("guard", "sqlite"), ("guard", "redis"), ("wide", "process"),
    ("wide", "sqlite"), ("wide", "redis"), ("reference", "process"),
)  # fmt: skip
_HEAD = ("model", "store", "features", "requests/s", "p50 ms", "p99 ms", "sent late p99", "CPU µs",
         "failed")  # fmt: skip
_COLUMNS = {
    "time": "when", "entity": "card", "other": "shop", "amount": "amount", "label": "fraud",
    "id": "event_id",
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One line of the report."""

    model: str
    store: str
    features: int
    told: dict[str, Any]
    cpu_us: float

    def line(self) -> str:
        """Return the line in Markdown."""
        told = self.told
        return (
            f"| {self.model} | {self.store} | {self.features} | {told['per_second']:.0f} | "
            f"{told['p50_ms']:.2f} | {told['p99_ms']:.2f} | {told['sent_late_p99_ms']:.2f} | "
            f"{self.cpu_us:.0f} | {told['failed']} |"
        )


def main(arguments: list[str]) -> None:
    """Train, serve, measure, print a table."""
    parser = argparse.ArgumentParser(prog="python -m bench fraud_serving", description=__doc__)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--rate", type=float, default=RATE)
    parser.add_argument("--only", help="MODEL/STORE, several with commas")
    parser.add_argument("--home", type=Path, help="keep trained models here")
    given = parser.parse_args(arguments)
    runs = [tuple(one.split("/")) for one in given.only.split(",")] if given.only else list(RUNS)
    with tempfile.TemporaryDirectory() as scratch:
        home = given.home or Path(scratch) / "models"
        table = fraud_events(World(days=60, per_day=1_000, cards=2_000, shops=400))
        past = table.slice(0, 40_000)
        trained(home, past, {model for model, _ in runs})
        n = int(given.rate * (given.seconds + 4))
        later = bodies(table.slice(40_000, min(n, table.num_rows - 40_000)))
        print(f"| {' | '.join(_HEAD)} |\n|{'---|' * len(_HEAD)}")
        for model, store in runs:
            with settings_of(home, model, store, Path(scratch)) as (settings, extra):
                row = measured(settings, extra, model, store, later, given.rate, given.seconds)
            print(row.line(), flush=True)


def trained(home: Path, past: pa.Table, models: set[str]) -> None:
    """Train the models that are not there yet."""
    os.environ["PROMISE_HOME"] = str(home)
    home.mkdir(parents=True, exist_ok=True)
    path = home / "past.parquet"
    pq.write_table(past, path)
    known = {version.name for version in Registry.open(Settings.load()).versions()}
    for model in sorted(models - known):
        preset, options = MODELS[model]
        columns = {name: role for role, name in _COLUMNS.items() if name in past.column_names}
        rest = {name: "ignore" for name in past.column_names if name not in columns}
        began = time.perf_counter()
        train_version(
            "fraud", path, name=model, preset=preset, options=options, columns=columns | rest
        )
        print(f"trained {model} in {time.perf_counter() - began:.0f} s", flush=True)


def bodies(table: pa.Table) -> list[str]:
    """Return requests of one transaction each."""
    fields = [name for role, name in _COLUMNS.items() if role != "label"]
    rows = table.select(fields).to_pylist()
    return [json.dumps(row | {"when": row["when"].isoformat()}) for row in rows]


@contextmanager
def settings_of(
    home: Path, model: str, store: str, scratch: Path
) -> Iterator[tuple[Settings, dict[str, str]]]:
    """Yield an installation of its own with one live model, and what the store needs."""
    own = scratch / f"{model}-{store}"
    shutil.copytree(home, own, ignore=shutil.ignore_patterns("work", "*.parquet"))
    environ = {"PROMISE_HOME": str(own)}
    settings = Settings.load(environ)
    served_model.swap(settings, Registry.open(settings).get(model))
    if store == "process":
        yield settings, {"PROMISE_FEATURES": "process"}
    elif store == "sqlite":
        yield settings, {}
    else:
        with redis_server(scratch) as url:
            yield settings, {"PROMISE_REDIS": url}
    shutil.rmtree(own)


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """Run a Redis of our own; what is kept is written every second."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = ["redis-server", "--port", str(port), "--save", "", "--appendonly", "yes",
               "--dir", str(folder)]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait(20)


def measured(
    settings: Settings,
    extra: dict[str, str],
    model: str,
    store: str,
    sent: list[str],
    rate: float,
    seconds: float,
) -> Row:
    """Serve one model and put it under load."""
    kept = dict(os.environ)
    os.environ.update(extra)
    server = served_model.serve(settings)
    try:
        path = f"/v1/models/{model}/predict"
        warm = int(rate * 3)
        served_model.load(server.port, path, sent[:warm], seconds=3.0, rate=rate)
        before = server.cpu_s()
        found = served_model.load(server.port, path, sent[warm:], seconds=seconds, rate=rate)
        used = server.cpu_s() - before
    finally:
        server.stop()
        os.environ.clear()
        os.environ.update(kept)
    cpu_us = 1e6 * used / max(1, found["requests"])
    return Row(model, store, n_features(settings, model), found, cpu_us)


def n_features(settings: Settings, model: str) -> int:
    """Return how many features a model reads."""
    folder = Registry.open(settings).get(model).folder
    kept = json.loads((folder / "weights" / "featurize" / "keyed.json").read_text("utf-8"))
    return sum(len(view["features"]) for view in kept["views"])
