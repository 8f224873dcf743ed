"""Random forests and extremely random trees, grown by scikit-learn and kept as arrays."""
# ruff: noqa: ARG001 — all families share one signature

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from promise.kernels.tree_arrays import (
    join_trees,
    load_trees,
    pack_tree,
    predict_trees,
    ready_trees,
    save_trees,
    shared_rows,
)

BATCH_TREES = 8


def fit_random_forest(
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
    """Grow `n_trees` trees; a deadline ends the forest early, with at least one batch of trees.

    Trees are grown in small batches with seeds of their own: the first trees are the same ones
    whatever the number of trees or threads, and a packed batch frees scikit-learn's larger one.
    """
    n_trees = int(params.get("n_trees", 200))
    seeds = np.random.SeedSequence(seed).generate_state(-(-n_trees // BATCH_TREES))
    packed: list[dict[str, np.ndarray]] = []
    for number, batch_seed in enumerate(seeds):
        begun = time.monotonic()
        size = min(BATCH_TREES, n_trees - number * BATCH_TREES)
        packed += grow_batch(x, y, n_classes, params, weight, size, int(batch_seed), threads)
        now = time.monotonic()
        if deadline_s is not None and now + (now - begun) > deadline_s:
            break
    return ready_trees({"n_classes": n_classes, **join_trees(packed)})


def grow_batch(
    x: np.ndarray,
    y: np.ndarray,
    n_classes: int,
    params: dict[str, Any],
    weight: np.ndarray | None,
    size: int,
    seed: int,
    threads: int,
) -> list[dict[str, np.ndarray]]:
    """Grow a few trees and pack them."""
    from sklearn.ensemble import (
        ExtraTreesClassifier,
        ExtraTreesRegressor,
        RandomForestClassifier,
        RandomForestRegressor,
    )

    extra = params.get("variant", "random") == "extra"
    if n_classes:
        kind = ExtraTreesClassifier if extra else RandomForestClassifier
    else:
        kind = ExtraTreesRegressor if extra else RandomForestRegressor
    options: dict[str, Any] = (
        {} if n_classes == 0 else {"criterion": params.get("criterion", "gini")}
    )
    share = float(params.get("row_share", 1.0))
    if params.get("bootstrap", not extra):
        options.update(bootstrap=True, max_samples=share if share < 1.0 else None)
    else:
        options.update(bootstrap=False)
    max_features = params.get("max_features")
    if max_features is None:
        max_features = "sqrt" if n_classes else 0.5
    forest = kind(
        n_estimators=size,
        max_features=max_features,
        min_samples_leaf=int(params.get("min_leaf", 1)),
        max_depth=params.get("max_depth"),
        n_jobs=threads,
        random_state=seed % 2**31,
        **options,
    ).fit(shared_rows(x), y, sample_weight=weight)
    classes = np.asarray(forest.classes_, dtype=np.int64) if n_classes else np.zeros(0, np.int64)
    return [pack_tree(tree.tree_, classes, n_classes) for tree in forest.estimators_]


def predict_random_forest(model: dict[str, Any], x: np.ndarray) -> np.ndarray:
    """Return numbers (n,) or probabilities (n, n_classes)."""
    return predict_trees(model, x)


def rounds_random_forest(model: dict[str, Any]) -> int:
    """Return how many trees there are."""
    return len(model["roots"])


def save_random_forest(model: dict[str, Any], folder: Path) -> None:
    """Write the model into an existing folder."""
    save_trees(model, folder)


def load_random_forest(folder: Path) -> dict[str, Any]:
    """Read back what `save_random_forest` wrote."""
    return load_trees(folder)
