"""Trees kept as arrays, walked for one row by LightGBM's compiled code.

Walking one row through arrays costs a few NumPy calls for every level. LightGBM reads the same
trees from its text format and says which leaf of each tree the row reaches; the leaves' values are
then added as `kernels/tree_arrays.predict_trees` adds them, to the same digits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from promise.kernels.boosting_lightgbm import lightgbm_booster

MOST_NODES = 1_000_000
"""Above this, a second copy of the trees takes half a second and 60 MB or more."""

MISSING_LEFT, MISSING_RIGHT = 10, 8
"""LightGBM's decision types for numbers whose missing value is NaN."""


def forest_booster(model: dict[str, Any], n_columns: int) -> Any:
    """Return a LightGBM booster whose leaves are numbered as the model's, tree by tree."""
    roots = model["roots"].tolist()
    ends = [*roots[1:], len(model["left"])]
    names = " ".join(f"x{i}" for i in range(n_columns))
    head = [
        "tree", "version=v4", "num_class=1", "num_tree_per_iteration=1", "label_index=0",
        f"max_feature_idx={n_columns - 1}", "objective=regression", f"feature_names={names}",
        "feature_infos=" + " ".join(["[-1:1]"] * n_columns), "",
    ]  # fmt: skip
    trees = [
        tree_text(model, number, slice(root, end))
        for number, (root, end) in enumerate(zip(roots, ends, strict=True))
    ]
    return lightgbm_booster("\n".join([*head, *trees, "end of trees", ""]))


def tree_text(model: dict[str, Any], number: int, nodes: slice) -> str:
    """Return one tree in LightGBM's text format, where leaf i is the child -1 - i."""
    left = model["left"][nodes] - nodes.start
    leaf = left == np.arange(len(left))
    inner = np.flatnonzero(~leaf)
    place = np.where(leaf, -np.cumsum(leaf), np.cumsum(~leaf) - 1)  # of every node
    kinds = np.where(model["missing_left"][nodes], MISSING_LEFT, MISSING_RIGHT)[inner]
    n_leaves = int(leaf.sum())
    lines = [f"Tree={number}", f"num_leaves={n_leaves}", "num_cat=0"]
    if n_leaves > 1:
        lines += [
            listed("split_feature", model["feature"][nodes][inner]),
            listed("threshold", model["threshold"][nodes][inner].astype(np.float64)),
            listed("decision_type", kinds),
            listed("left_child", place[left[inner]]),
            listed("right_child", place[left[inner] + 1]),
        ]
    lines += [listed("leaf_value", np.zeros(n_leaves)), "is_linear=0", "shrinkage=1", "", ""]
    return "\n".join(lines)


def listed(name: str, values: npt.NDArray[Any]) -> str:
    """Return one line of the format; floats with all their digits."""
    return f"{name}=" + " ".join(map(repr, values.tolist()))


def forest_answer(
    model: dict[str, Any], leaves: Callable[[], list[float]]
) -> Callable[[], list[float]]:
    """Return what averages the leaves that a row reaches, in the kernel's order of operations."""
    n_trees, n_classes = len(model["roots"]), model["n_classes"]
    first = model["leaf_row"][model["roots"]] + 1  # a root above leaves counts none before it
    first = np.where(model["left"][model["roots"]] == model["roots"], first - 1, first)
    values = model["values"]

    def answer() -> list[float]:
        rows = first + np.array(leaves(), dtype=np.int64)
        shares = values[rows].astype(np.float64)
        mean = np.add.accumulate(shares, axis=0)[-1] / n_trees
        if n_classes:
            mean = mean / mean[None, :].sum(axis=1)
        found: list[float] = mean.tolist()
        return found

    return answer
