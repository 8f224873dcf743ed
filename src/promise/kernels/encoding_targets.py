"""What target means average: a quantity without its extremes, or a share for each class."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

MAX_TARGETS = 10


def target_classes(y: npt.NDArray[Any], n_classes: int) -> list[int]:
    """Return the classes that get a target share: one of two, else the most frequent ones."""
    if n_classes == 0:
        return []
    if n_classes == 2:
        return [1]
    counts = np.bincount(y.astype(np.int64), minlength=n_classes)
    return sorted(np.argsort(-counts, kind="stable")[:MAX_TARGETS].tolist())


def target_limits(y: npt.NDArray[Any], n_classes: int) -> list[float]:
    """Return the bounds of a quantity in target means, so that a few huge ones do not rule them."""
    if n_classes:
        return []
    low, high = np.quantile(np.asarray(y, dtype=np.float64), [0.01, 0.99]).tolist()
    # where nearly all are equal, the few others are what there is to learn
    return [low, high] if low < high else [float(np.min(y)), float(np.max(y))]


def target_values(y: npt.NDArray[Any], state: dict[str, Any]) -> npt.NDArray[np.float64]:
    """Return what target means average: the clipped quantity, or 0/1 per class, (n, k)."""
    if state["n_classes"] == 0:
        low, high = state["limits"]
        clipped: npt.NDArray[np.float64] = np.clip(np.asarray(y, dtype=np.float64), low, high)
        return clipped[:, None]
    hits: npt.NDArray[np.bool_] = np.asarray(y)[:, None] == np.array(state["targets"])
    return hits.astype(np.float64)


def target_titles(state: dict[str, Any]) -> list[str]:
    """Return how target means are named."""
    if state["n_classes"] == 0:
        return ["target deviation"]
    if state["n_classes"] == 2:
        return ["target share"]
    return [f"share of class {code}" for code in state["targets"]]
