"""One decision tree, grown by scikit-learn and kept as arrays."""
# ruff: noqa: ARG001 — all families share one signature

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from promise.kernels.tree_arrays import (
    load_trees,
    pack_trees,
    predict_trees,
    save_trees,
    shared_rows,
)


def fit_decision_tree(
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
    """Grow a tree of at most `max_depth` with `min_leaf` rows per leaf, pruned by `prune`.

    `prune` is the cost-complexity penalty as a share of the root's impurity.
    """
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    spread = 1.0 if n_classes else max(float(np.var(y)), 1e-300)
    grown = (DecisionTreeClassifier if n_classes else DecisionTreeRegressor)(
        max_depth=params.get("max_depth"),
        min_samples_leaf=min(int(params.get("min_leaf", 5)), max(1, len(y) // 2)),
        max_leaf_nodes=params.get("max_leaves"),
        ccp_alpha=float(params.get("prune", 0.0)) * spread,
        random_state=seed,
    ).fit(shared_rows(x), y, sample_weight=weight)
    classes = np.asarray(grown.classes_, dtype=np.int64) if n_classes else np.zeros(0, np.int64)
    return pack_trees([grown.tree_], classes, n_classes)


def predict_decision_tree(model: dict[str, Any], x: np.ndarray) -> np.ndarray:
    """Return numbers (n,) or probabilities (n, n_classes)."""
    return predict_trees(model, x)


def save_decision_tree(model: dict[str, Any], folder: Path) -> None:
    """Write the model into an existing folder."""
    save_trees(model, folder)


def load_decision_tree(folder: Path) -> dict[str, Any]:
    """Read back what `save_decision_tree` wrote."""
    return load_trees(folder)
