"""Rows and models that no part of Promise made, and how a version of ours answers them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from promise.pipeline.artifact import load_pipeline
from promise.pipeline.request import request_from_table

pd = pytest.importorskip("pandas")

NAMES = ["age", "income", "when"]


def frame(n: int = 400, seed: int = 0) -> Any:
    """Return rows whose third column is too large for float32 to tell its values apart."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "age": rng.normal(size=n),
            "income": rng.normal(size=n),
            "when": 1.7e9 + rng.integers(0, 5000, n).astype(float),
        }
    )[NAMES]


def labels(x: Any) -> Any:
    """Return the classes of rows, which hang on the large column too."""
    return ((x.age + x.income + (x.when - 1.7e9) / 2500 - 1) > 0).astype(int)


def booster(objective: str = "binary") -> Any:
    """Train a small LightGBM."""
    import lightgbm

    x = frame()
    y = labels(x) if objective == "binary" else x.age * 3 + (x.when - 1.7e9) / 1000
    params = {"objective": objective, "verbosity": -1, "num_threads": 1}
    return lightgbm.train(params, lightgbm.Dataset(x, y), 12)


def answers(folder: Path, x: Any) -> Any:
    """Answer rows with a version's pipeline."""
    pipeline = load_pipeline(folder)
    table = pa.Table.from_pandas(x, preserve_index=False)
    return pipeline.predict(request_from_table(table, pipeline.task.request))
