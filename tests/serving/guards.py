"""Small versions that decide on events, and events as clients send them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from promise.data.answer import Class
from promise.data.columns import Columns
from promise.data.schema import Field
from promise.features.keyed import SEEN, VIEW
from promise.job import Job
from promise.models.base import ESTIMATORS, MATRIX, Examples
from promise.models.blend import Member, matrix_column
from promise.models.calibrate import Calibrated
from promise.pipeline.artifact import Contents, save_pipeline
from promise.pipeline.decision import DecisionPolicy
from promise.pipeline.pipeline import Pipeline
from promise.workloads.fraud.reasons import with_reasons
from promise.workloads.fraud.task import fraud_task
from promise.workloads.fraud.views import keyed_of

COLUMNS = {
    "id": "tx", "time": "when", "entity": "card", "other": "shop", "amount": "eur",
    "label": "fraud",
}  # fmt: skip
FORMATS = {"when": Field("when", "date", format="iso")}
START = np.datetime64("2026-03-01T00:00:00", "us")


def events(n: int, seed: int = 3) -> tuple[Columns, np.ndarray]:
    """Return events whose shop `s0` is where frauds are."""
    rng = np.random.default_rng(seed)
    shops = rng.integers(0, 6, n)
    y = (shops == 0) & (rng.random(n) < 0.6)
    amount = np.where(y, rng.gamma(4.0, 60.0, n), rng.gamma(2.0, 20.0, n)).round(2)
    at = START + np.sort(rng.integers(0, 20 * 86_400, n)) * np.timedelta64(1, "s")
    table = Columns(
        {
            "tx": np.array([f"t{seed}-{k}" for k in range(n)], dtype=object),
            "when": at,
            "eur": amount,
            "card": np.array([f"c{k}" for k in rng.integers(0, 40, n)], dtype=object),
            "shop": np.array([f"s{k}" for k in shops], dtype=object),
        }
    )
    return table, y.astype(np.int64)


def train(folder: Path, *, delay: str = "1d", reasons: bool = True) -> Path:
    """Write a version folder that decides on events."""
    keyed = keyed_of(COLUMNS, delay)
    task = fraud_task(COLUMNS, label_delay=delay, formats=FORMATS)
    table, y = events(1500)
    seen = keyed.replay(table, Columns({"label": y.astype(np.float64)}))
    matrix = np.ascontiguousarray(seen[SEEN], dtype=np.float32)
    job, names = Job(seed=7, threads=1), keyed.features.columns
    rows = Examples(Columns({MATRIX: matrix}), y, Class(("0", "1")), names=names)
    members = tuple(
        Member(VIEW, share, ESTIMATORS.resolve(kind)(rounds=30).fit(rows, None, job))
        for kind, share in (("lightgbm", 0.5), ("xgboost", 0.5))
    )
    score = Calibrated(members).calibrated(Columns({matrix_column(VIEW): matrix}), y)
    policy = DecisionPolicy(amount="eur")
    if reasons:
        policy = with_reasons(policy, score, keyed, matrix, matrix, job)
    pipeline = Pipeline(task, score, policy, featurize=keyed)
    folder.mkdir(parents=True)
    golden = pa.table({name: table[name][:60] for name in task.request.names})
    lineage = {"schema": task.request.to_json()}
    save_pipeline(pipeline, folder, Contents(golden=golden, lineage=lineage))
    return folder


def bodies(n: int, seed: int = 9) -> list[dict[str, Any]]:
    """Return events as clients send them."""
    table, _ = events(n, seed)
    return [
        {
            name: str(table[name][row]) if name != "eur" else float(table[name][row])
            for name in ("tx", "when", "eur", "card", "shop")
        }
        for row in range(n)
    ]
