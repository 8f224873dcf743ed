"""Fraud: the handbook's prequential protocol, presets, training arms, and memory of a large run.

`prequential` trains anew before each of several test weeks, with labels seven days late, as the
Fraud Detection Handbook does; its published tuned XGBoost stands beside. `arms` measures what the
default preset is made of, on the handbook's transactions, on generated events and on bank accounts
opened (BAF), each under its own temporal split. `presets` trains both presets on the workload's
split. `memory` trains on generated rows in a process of its own and reads its peak memory.
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

import numpy as np
import pyarrow.parquet as pq

from bench.features import handbook
from bench.fraud_arms import compared
from bench.fraud_table import Table, figures, scored
from promise.data.source import open_source
from promise.data.synthetic_events import World, event_days
from promise.pipeline.order import Order
from promise.workloads.fraud.pipeline import train_fraud
from promise.workloads.fraud.recipe import DEFAULT
from promise.workloads.fraud.reference import REFERENCE

DAY = np.timedelta64(1, "D")
LAST_TEST = np.datetime64("2018-08-08", "us")
"""First day of the handbook's last test week: it trains from 25 July on."""

PUBLISHED = {"roc_auc": 0.872, "average_precision": 0.687}
"""The handbook's tuned XGBoost, seven days of training, seven of delay, seven of test."""


def prequential(threads: int, folds: int, windows: list[int], reference: int) -> dict[str, Any]:
    """Return the mean over test weeks, and each week, for both presets and both test sets.

    Parameters
    ----------
    windows
        Days of training; 0: all that are there.
    reference
        In how many of the weeks the reference preset is trained too, on the longest window.
    """
    table = Table.of(handbook(), {"label_delay": "7d"})
    weeks: dict[str, list[dict[str, float]]] = {}
    for fold in range(folds):
        start = LAST_TEST - 7 * fold * DAY
        test, end = table.between(start, start + 7 * DAY), start - 7 * DAY
        unknown = (test & ~known_cards(table, start))[test]
        asked = table.rows(test)
        for days in windows:
            train, calibration = map(table.rows, _blocks(table, end, days))
            recipes = {"default": DEFAULT}
            if fold < reference and days == windows[-1]:
                recipes["reference"] = REFERENCE
            for preset, recipe in recipes.items():
                chance, spent = scored(recipe, train, calibration, asked, table.names, threads)
                week = figures(asked.y, chance) | {"seconds": round(spent, 1)}
                apart = figures(asked.y[unknown], chance[unknown])
                for key in ("average_precision", "roc_auc", "rows"):
                    week[f"{key}_of_unknown_cards"] = apart[key]
                week["trained_rows"] = len(train.y)
                label = f"{preset}, {days or 'all'} days"
                weeks.setdefault(label, []).append(week)
                print(json.dumps({"week": str(start)[:10], "arm": label, **week}), flush=True)
    mean = {
        label: {key: round(float(np.mean([w[key] for w in rows])), 5) for key in rows[0]}
        | {"weeks": len(rows)}
        for label, rows in weeks.items()
    }
    return {"published_tuned_xgboost": PUBLISHED, "mean": mean}


def _blocks(table: Table, end: np.datetime64, days: int) -> tuple[np.ndarray, np.ndarray]:
    """Return which rows to train on and which to calibrate on, all labels known at `end`.

    Of a window the last days are trained on, as the handbook does, and the 21 days before them
    calibrate. Of all days the last 21 calibrate, behind a gap, as the workload does.
    """
    if days:
        first = end - days * DAY
        return table.between(first, end), table.between(first - 21 * DAY, first)
    turn = end - 21 * DAY
    return table.between(table.time[0], turn - 7 * DAY), table.between(turn, end)


def known_cards(table: Table, start: np.datetime64) -> np.ndarray:
    """Return which rows are of cards whose fraud was known by their day, as the handbook drops."""
    cards = table.events.columns[table.plan.columns["entity"]]
    fraud = table.events.y == 1
    found = np.zeros(len(cards), dtype=bool)
    for day in range(7):
        today = start + day * DAY
        told = fraud & table.between(start - 14 * DAY, today - 7 * DAY)
        rows = table.between(today, today + DAY)
        found[rows] = np.isin(cards[rows].astype(str), np.unique(cards[told].astype(str)))
    return found


def presets(threads: int, budget_s: float) -> dict[str, Any]:
    """Return what both presets reach on the workload's own split of the handbook."""
    found = {}
    for preset in ("default", "reference"):
        with tempfile.TemporaryDirectory() as folder:
            order = Order(name="bench", work=Path(folder), preset=preset, threads=threads,
                          budget_s=budget_s)  # fmt: skip
            began = time.monotonic()
            outcome = train_fraud(open_source(handbook()), order, lambda _: None)
            found[preset] = {
                "seconds": round(time.monotonic() - began, 1),
                "peak_memory_mb": round(outcome.peak_memory_mb),
                "split": outcome.split,
                "metrics": {key: round(value, 5) for key, value in outcome.metrics.items()},
                "scorer": outcome.details["scorer"],
                "interval": outcome.details["ci"],
            }
            print(json.dumps({preset: found[preset]}), flush=True)
    return found


def memory(rows: int, bound: str, threads: int, budget_s: float) -> dict[str, Any]:
    """Return time and peak memory of a streamed training on generated rows."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.parquet"
        world = World(days=180, per_day=rows // 180, cards=rows // 100, shops=rows // 500,
                      intensity=min(10.0, rows / 1e6))  # fmt: skip
        writer = None
        for day in event_days(world):
            table = day.select(["event_id", "when", "card", "shop", "amount", "fraud"])
            writer = writer or pq.ParquetWriter(path, table.schema)
            writer.write_table(table)
        if writer is not None:
            writer.close()
        promise = str(Path(sys.executable).with_name("promise"))
        terms = ["--set", f"budget={budget_s:.0f}", "--set", f"threads={threads}"]
        command = [promise, "train", "fraud", str(path), "--name", "large", "--full", "--memory",
                   bound, "--json", *terms]  # fmt: skip
        environment = {**os.environ, "PROMISE_HOME": folder}
        done = subprocess.run(command, check=True, capture_output=True, env=environment)
    told = json.loads(done.stdout)
    return {
        "rows": world.per_day * world.days,
        "features": told["features"],
        "seconds": round(told["seconds"], 1),
        "peak_memory_mb": round(told["peak_memory_mb"]),
        "bound": bound,
        "average_precision": round(told["metrics"]["average_precision"], 4),
        "scorer": told["scorer"],
        "learned": told["rows"],
    }


def main(arguments: list[str]) -> None:
    """Print one part, or the prequential protocol."""
    parser = argparse.ArgumentParser(prog="python -m bench fraud", description=__doc__)
    parser.add_argument("--part", default="prequential",
                        choices=("prequential", "arms", "presets", "memory"))  # fmt: skip
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folds", type=int, default=4, help="test weeks, the latest first")
    parser.add_argument("--windows", type=int, nargs="+", default=[7, 0],
                        help="prequential: days of training, 0 for all")  # fmt: skip
    parser.add_argument("--reference", type=int, default=1,
                        help="prequential: weeks of the reference preset")  # fmt: skip
    parser.add_argument("--train-rows", type=int, default=10**9, help="arms: the latest so many")
    parser.add_argument("--set", dest="only", default=None, help="arms: one set only")
    parser.add_argument(
        "--budget", type=float, default=600.0, help="presets, memory: seconds of a training"
    )
    parser.add_argument("--rows", type=int, default=5_000_000, help="memory: generated rows")
    parser.add_argument("--memory", default="8GB", help="memory: the bound")
    chosen = parser.parse_args(arguments)
    if chosen.part == "prequential":
        told = prequential(chosen.threads, chosen.folds, chosen.windows, chosen.reference)
    elif chosen.part == "arms":
        told = compared(chosen.threads, chosen.train_rows, chosen.only)
    elif chosen.part == "presets":
        told = presets(chosen.threads, chosen.budget)
    else:
        told = memory(chosen.rows, chosen.memory, chosen.threads, chosen.budget)
    print(json.dumps(told, indent=1))


if __name__ == "__main__":
    main(sys.argv[1:])
