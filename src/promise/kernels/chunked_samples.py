"""Families that cannot learn from a stream: honest substitutes on hashed parts of the rows."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from promise.kernels.baseline import fit_baseline
from promise.kernels.chunked import Chunks, hash_part, hash_sample, survey
from promise.kernels.chunked_checkpoint import read_checkpoint, write_checkpoint
from promise.kernels.decision_tree import fit_decision_tree
from promise.kernels.mlp import fit_mlp
from promise.kernels.random_forest import (
    fit_random_forest,
    load_random_forest,
    save_random_forest,
)
from promise.kernels.tree_arrays import join_trees, ready_trees

Array = npt.NDArray[Any]

SAMPLE_ROWS = 200_000
Progress = Callable[[int, int], None]


def fit_baseline_chunked(
    chunks: Chunks, n_classes: int, params: dict[str, Any], *, seed: int = 7
) -> dict[str, Any]:
    """Return the mean of a number, or the share of each class, of all chunks."""
    found = survey(chunks, n_classes)
    nothing = np.zeros((max(1, n_classes), 0), dtype=np.float32)
    if n_classes == 0:
        return fit_baseline(nothing, np.array([found["mean"]]), 0, params, seed=seed)
    counts = np.array(found["counts"], dtype=np.float64)
    return fit_baseline(nothing, np.arange(n_classes), n_classes, params, weight=counts, seed=seed)


def fit_decision_tree_chunked(
    chunks: Chunks,
    n_classes: int,
    params: dict[str, Any],
    *,
    seed: int = 7,
    threads: int = 1,
    sample_rows: int = SAMPLE_ROWS,
    deadline_s: float | None = None,
) -> dict[str, Any]:
    """Grow one tree on a hashed sample of `sample_rows`, the most that memory is to hold."""
    x, y, *_ = hash_sample(chunks, sample_rows, seed)
    return fit_decision_tree(
        x, y, n_classes, params, seed=seed, threads=threads, deadline_s=deadline_s
    )


def fit_mlp_chunked(
    chunks: Chunks,
    n_classes: int,
    params: dict[str, Any],
    *,
    seed: int = 7,
    threads: int = 1,
    sample_rows: int = SAMPLE_ROWS,
    deadline_s: float | None = None,
) -> dict[str, Any]:
    """Train on a hashed sample of `sample_rows`: its order is random, a file's may not be."""
    x, y, *_ = hash_sample(chunks, sample_rows, seed)
    return fit_mlp(x, y, n_classes, params, seed=seed, threads=threads, deadline_s=deadline_s)


def fit_random_forest_chunked(
    chunks: Chunks,
    n_classes: int,
    params: dict[str, Any],
    *,
    seed: int = 7,
    threads: int = 1,
    sample_rows: int = SAMPLE_ROWS,
    checkpoint: Path | None = None,
    deadline_s: float | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Grow some trees on each hashed part of the rows; the forest is the mean of them all.

    A part holds about `sample_rows`; every row is in one part, and each part takes one pass. The
    `checkpoint` folder keeps the trees so far. A deadline leaves out the parts not reached.
    """
    rows = survey(chunks, n_classes)["rows"]
    parts = max(1, -(-rows // sample_rows))
    per_part = max(1, -(-int(params.get("n_trees", 200)) // parts))
    terms = {"params": params, "seed": seed, "rows": rows, "parts": parts}
    state = read_checkpoint(checkpoint, terms) or {"done": 0, "path": None}
    grown = [load_random_forest(state["path"])] if state["path"] else []
    for part in range(state["done"], parts):
        began = time.monotonic()
        x, y, *_ = hash_part(chunks, part, parts, seed)
        if len(y):
            terms_of_part = {**params, "n_trees": per_part}
            grown.append(
                fit_random_forest(
                    x, y, n_classes, terms_of_part, seed=seed + part, threads=threads,
                    deadline_s=deadline_s,
                )
            )  # fmt: skip
        if checkpoint is not None:
            grown = [joined_forest(grown)]
            name, state = f"round-{part + 1:06d}", {"done": part + 1}
            write_checkpoint(checkpoint, terms, name, partial(write_forest, grown[0]), state)
        if progress is not None:
            progress(part + 1, parts)
        now = time.monotonic()
        if deadline_s is not None and now + (now - began) > deadline_s:
            break
    return joined_forest(grown)


def write_forest(forest: dict[str, Any], folder: Path) -> None:
    """Write the trees into a new folder."""
    folder.mkdir(exist_ok=True)
    save_random_forest(forest, folder)


def joined_forest(forests: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the forest of all trees."""
    if len(forests) == 1:
        return forests[0]
    return ready_trees({"n_classes": forests[0]["n_classes"], **join_trees(forests)})
