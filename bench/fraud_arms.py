"""What the default fraud preset is made of: arms beside each other under temporal splits."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.features import handbook
from bench.fraud_table import Table, figures, scored
from promise.data.synthetic_events import World, fraud_events
from promise.kernels.rows import row_hash
from promise.models.smote import Smote
from promise.workloads.fraud.blocks import blocks_of
from promise.workloads.fraud.learn import Rows
from promise.workloads.fraud.recipe import DEFAULT, Part, Recipe

Cut = tuple[Rows, Rows, Rows, tuple[str, ...]]
"""Train, calibration and test rows, and the names of their columns."""


def arms() -> dict[str, Recipe]:
    """Return what was tried for the default preset, by name."""
    gbm = {"leaves": 15, "min_leaf": 100}
    light = Part("lightgbm", gbm)
    one = Recipe((light,))
    return {
        "lightgbm": one,
        "lightgbm, half the columns": Recipe((Part("lightgbm", {**gbm, "column_sample": 0.5}),)),
        "lightgbm, 31 leaves": Recipe((Part("lightgbm", {"leaves": 31, "min_leaf": 100}),)),
        "lightgbm, random cuts": Recipe((Part("lightgbm", {**gbm, "extra_trees": True}),)),
        "xgboost": Recipe((DEFAULT.parts[-1],)),
        "lightgbm, SMOTE .1": replace(one, smote=Smote(ratio=0.1)),
        "lightgbm, SMOTE 1": replace(one, smote=Smote(ratio=1.0)),
        "default": DEFAULT,
        "default, SMOTE .1": replace(DEFAULT, smote=Smote(ratio=0.1)),
    }


def compared(threads: int, most: int, only: str | None) -> dict[str, Any]:
    """Return each arm's figures on each set's last block."""
    found: dict[str, Any] = {}
    for name, read in SETS.items():
        if only is not None and only != name:
            continue
        train, calibration, test, names = read(most)
        for arm, recipe in arms().items():
            chance, spent = scored(recipe, train, calibration, test, names, threads)
            row = figures(test.y, chance) | {"seconds": round(spent, 1)}
            found.setdefault(name, {})[arm] = row
            print(json.dumps({"set": name, "arm": arm, **row}), flush=True)
    return found


def _world(seed: int) -> World:
    return World(days=120, per_day=1000, cards=3000, shops=400, intensity=0.3, seed=seed)


def _cut(table: Table, most: int) -> Cut:
    """Cut as the workload does."""
    events = table.events
    blocks = blocks_of(table.time, events.y, column="t", gap_s=table.plan.gap_s, seed=7)
    return (
        table.rows(blocks.train[-most:]),
        table.rows(blocks.calibration),
        table.rows(blocks.holdout),
        table.names,
    )


def _accounts(most: int) -> Cut:
    """Return bank accounts: of month 6 three fifths train and the others calibrate, 7 is tested.

    The sample has these two months alone; its columns are features as they are.
    """
    import pandas as pd

    folder = Path(os.environ.get("PROMISE_DATA", "../shared/data")).resolve()
    frame = pd.read_csv(folder / "fraud" / "baf_base_sample.csv", sep="\t")
    names = tuple(c for c in frame.columns if c not in ("fraud_bool", "month"))
    matrix = frame[list(names)].to_numpy(np.float32)
    y, month = frame["fraud_bool"].to_numpy(np.int64), frame["month"].to_numpy()
    first, part = month == 6, row_hash(np.arange(len(y)), 7) % np.uint64(5)

    def rows(chosen: np.ndarray) -> Rows:
        where = np.flatnonzero(chosen)[-most:]
        return Rows(matrix[where], y[where], where)

    return rows(first & (part < 3)), rows(first & (part >= 3)), rows(month == 7), names


SETS: dict[str, Callable[[int], Cut]] = {
    "generated 1": lambda most: _cut(Table.of(fraud_events(_world(1)), {}), most),
    "generated 2": lambda most: _cut(Table.of(fraud_events(_world(2)), {}), most),
    "handbook": lambda most: _cut(Table.of(handbook(), {}), most),
    "baf": _accounts,
}
"""Each set cut by time; of a long training block at most so many of the latest rows."""
