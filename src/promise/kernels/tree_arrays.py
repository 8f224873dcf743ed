"""Decision trees as arrays: packed from scikit-learn's, walked in NumPy over rows × trees.

A packed model is a dictionary: `n_classes`, `roots` and `depths` (n_trees,), and over all nodes
`feature`, `threshold` (float32), `left` and `missing_left`. The right child follows the left one;
a leaf is its own left child with the threshold infinity, so that walking on stays where it is.
`values` (n_leaves, k) float32 are the leaves' means or class shares, k = 1 for a number.
"""

from __future__ import annotations

from ctypes import POINTER, c_float
from pathlib import Path
from typing import Any

import numpy as np

from promise.kernels.model_files import load_state, save_state

BLOCK = 2**17


def shared_rows(x: np.ndarray) -> np.ndarray:
    """Return rows that scikit-learn's trees accept, without copying a read-only file.

    Its check for missing values asks for a buffer that it may write, and never writes.
    """
    x = np.ascontiguousarray(x, dtype=np.float32)
    if x.flags.writeable:
        return x
    return np.ctypeslib.as_array(x.ctypes.data_as(POINTER(c_float)), shape=x.shape)


def pack_trees(trees: list[Any], classes: np.ndarray, n_classes: int) -> dict[str, Any]:
    """Return the arrays of fitted scikit-learn trees; `classes` are the codes they have seen."""
    packed = [pack_tree(tree, classes, n_classes) for tree in trees]
    return ready_trees({"n_classes": n_classes, **join_trees(packed)})


def pack_tree(tree: Any, classes: np.ndarray, n_classes: int) -> dict[str, np.ndarray]:
    """Renumber one tree level by level, so that siblings are neighbours."""
    left, right = tree.children_left, tree.children_right
    levels = [np.zeros(1, dtype=np.int64)]
    while len(inner := levels[-1][left[levels[-1]] >= 0]):
        levels.append(np.stack([left[inner], right[inner]], axis=1).ravel())
    order = np.concatenate(levels)
    number = np.empty(len(order), dtype=np.int32)
    number[order] = np.arange(len(order), dtype=np.int32)
    leaf = left[order] < 0
    # Rows are float32: the largest float32 at or below a threshold sends each of them alike.
    exact = tree.threshold[order]
    threshold = exact.astype(np.float32)
    threshold = np.where(threshold > exact, np.nextafter(threshold, np.float32(-np.inf)), threshold)
    shares = tree.value[order[leaf], 0, :]
    if n_classes:
        values = np.zeros((len(shares), n_classes), dtype=np.float32)
        values[:, classes] = shares / shares.sum(axis=1, keepdims=True)
    else:
        values = shares.astype(np.float32)
    return {
        "roots": np.zeros(1, dtype=np.int32),
        "depths": np.array([len(levels) - 1], dtype=np.int32),
        "feature": np.where(leaf, 0, tree.feature[order]).astype(np.int32),
        "threshold": np.where(leaf, np.float32(np.inf), threshold).astype(np.float32),
        "left": np.where(leaf, number[order], number[left[order]]).astype(np.int32),
        "missing_left": leaf | tree.missing_go_to_left[order].astype(bool),
        "values": values,
    }


def join_trees(packed: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Put packed trees one behind the other into one array of nodes."""
    sizes = [len(part["left"]) for part in packed]
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int32)
    joined = {
        name: np.concatenate([part[name] for part in packed])
        for name in ("depths", "feature", "threshold", "missing_left", "values")
    }
    for name in ("roots", "left"):
        shifted = [part[name] + start for part, start in zip(packed, starts, strict=True)]
        joined[name] = np.concatenate(shifted)
    return joined


def ready_trees(model: dict[str, Any]) -> dict[str, Any]:
    """Add what walking needs: indices in the machine's width and each leaf's row in `values`."""
    left = model["left"].astype(np.int64)
    leaf = left == np.arange(len(left))
    return {**model, "left": left, "leaf_row": (np.cumsum(leaf) - 1).astype(np.int32)}


def save_trees(model: dict[str, Any], folder: Path) -> None:
    """Write the arrays, small, into an existing folder."""
    small = {name: value for name, value in model.items() if name != "leaf_row"}
    column = np.int16 if model["feature"].max(initial=0) < 2**15 else np.int32
    small["feature"] = model["feature"].astype(column)
    small["left"] = model["left"].astype(np.int32)
    save_state(small, folder)


def load_trees(folder: Path) -> dict[str, Any]:
    """Read back what `save_trees` wrote."""
    return ready_trees(load_state(folder))


def walk_trees(model: dict[str, Any], x: np.ndarray, first: int, last: int) -> np.ndarray:
    """Return the leaf that each row reaches in the trees first … last - 1, (trees, n)."""
    n, d = x.shape
    flat = np.ascontiguousarray(x, dtype=np.float32).ravel()
    holes = bool(np.isnan(flat).any())
    left, feature = model["left"], model["feature"]
    node = np.repeat(model["roots"][first:last].astype(np.int64), n)
    start = np.tile(np.arange(n, dtype=np.int64) * d, last - first)
    going = np.arange(len(node))
    at = node
    for level in range(int(model["depths"][first:last].max(initial=0))):
        if level % 4 == 3:
            # Most rows reach a leaf long before the deepest one; the rest walk on alone.
            node[going] = at
            inner = left.take(at) != at
            going, at, start = going[inner], at[inner], start[inner]
        value = flat.take(start + feature.take(at))
        right = value > model["threshold"].take(at)
        if holes:
            right |= np.isnan(value) & ~model["missing_left"].take(at)
        at = left.take(at) + right
    node[going] = at
    return node.reshape(last - first, n)


def predict_trees(model: dict[str, Any], x: np.ndarray) -> np.ndarray:
    """Return the mean of the trees' leaves: numbers (n,) or probabilities (n, n_classes).

    Trees are added one after the other, whatever the blocks, so a row's sum is always the same.
    """
    n_trees, width = len(model["roots"]), model["values"].shape[1]
    row_of, values = model["leaf_row"], model["values"]
    mean = np.empty((len(x), width))
    size = min(max(1, len(x)), max(64, BLOCK // 8))
    trees = max(1, BLOCK // (size * width))
    for start in range(0, len(x), size):
        block = x[start : start + size]
        total = np.zeros((len(block), width))
        for first in range(0, n_trees, trees):
            leaves = walk_trees(model, block, first, min(n_trees, first + trees))
            shares = values[row_of[leaves]].astype(np.float64)
            shares[0] += total
            total = np.add.accumulate(shares, axis=0)[-1]
        mean[start : start + size] = total / n_trees
    if model["n_classes"]:
        mean /= mean.sum(axis=1, keepdims=True)
        return mean
    return mean[:, 0]
