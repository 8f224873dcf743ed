"""The trivial answer: the mean, or how often each class occurs."""
# ruff: noqa: ARG001 — all families share one signature

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from promise.kernels.model_files import load_state, save_state


def fit_baseline(
    x: np.ndarray,
    y: np.ndarray,
    n_classes: int,
    params: dict[str, Any],
    *,
    valid: tuple[np.ndarray, np.ndarray] | None = None,
    weight: np.ndarray | None = None,
    categorical: tuple[int, ...] = (),
    seed: int = 7,
    threads: int = 1,
    deadline_s: float | None = None,
) -> dict[str, Any]:
    """Return the weighted mean of a number, or the weighted share of each class."""
    if n_classes == 0:
        return {"n_classes": 0, "output": np.array([np.average(y, weights=weight)])}
    counts = np.bincount(y.astype(np.int64), weights=weight, minlength=n_classes).astype(float)
    return {"n_classes": n_classes, "output": counts / counts.sum()}


def predict_baseline(model: dict[str, Any], x: np.ndarray) -> np.ndarray:
    """Return the same answer for every row."""
    output: np.ndarray = model["output"]
    if model["n_classes"] == 0:
        return np.full(len(x), output[0])
    return np.tile(output, (len(x), 1))


def save_baseline(model: dict[str, Any], folder: Path) -> None:
    """Write the model into an existing folder."""
    save_state(model, folder)


def load_baseline(folder: Path) -> dict[str, Any]:
    """Read back what `save_baseline` wrote."""
    return load_state(folder)
