"""XGBoost's trees walked for one row by LightGBM's compiled code.

XGBoost prepares every call for a table of any size, which for one row costs many times what its
trees do. Its trees are read once; LightGBM says which leaf of each the row reaches, and the leaves
are added as XGBoost adds them: float32, tree by tree, then its own objective.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from ctypes import CDLL, c_float
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt

from promise.kernels.tree_arrays import join_trees, pack_tree, ready_trees

LOGISTIC, SQUARED = "binary:logistic", "reg:squarederror"
_ONE, _TINY = np.float32(1.0), np.float32(1e-16)
_LARGEST = 88.7
"""Beyond, XGBoost takes no powers: they would be infinite in float32."""

Array = npt.NDArray[Any]


def xgboost_arrays(booster: Any) -> dict[str, Any] | None:
    """Return the trees of one output as `kernels/tree_arrays` keeps them; None of other models.

    Returns
    -------
    dict or None
        Also `base`, the float32 margin that the leaves are added to, and `objective`.
    """
    learner = json.loads(bytes(booster.save_raw("json")))["learner"]
    grown, objective = learner["gradient_booster"], learner["objective"]["name"]
    if grown["name"] != "gbtree" or objective not in (LOGISTIC, SQUARED):
        return None
    trees = grown["model"]["trees"]
    if any(any(tree["split_type"]) for tree in trees):  # categories split as sets
        return None
    base = np.array(json.loads(learner["learner_model_param"]["base_score"]), dtype=np.float32)
    if base.size != 1 or not trees:
        return None
    packed = [pack_tree(_as_scikit(tree), np.zeros(0), 0) for tree in trees]
    margin = _logit(base.reshape(-1)[0]) if objective == LOGISTIC else base.reshape(-1)[0]
    return ready_trees({"n_classes": 0, **join_trees(packed)}) | {
        "base": margin, "objective": objective,
    }  # fmt: skip


def xgboost_sum(
    trees: dict[str, Any], leaves: Callable[[], list[float]]
) -> Callable[[], list[float]]:
    """Return what XGBoost's own call returns for the row, from the leaves that it reaches."""
    roots = trees["roots"]
    first = trees["leaf_row"][roots] + 1  # a root above leaves counts none before it
    first = np.where(trees["left"][roots] == roots, first - 1, first)
    values = trees["values"][:, 0]
    summed = np.empty(len(roots) + 1, dtype=np.float32)
    logistic, exp = trees["objective"] == LOGISTIC, _of_c("expf")

    def answer() -> list[float]:
        summed[0] = trees["base"]
        summed[1:] = values[first + np.array(leaves(), dtype=np.int64)]
        margin = np.add.accumulate(summed)[-1]
        if not logistic:
            return [float(margin)]
        power = np.float32(exp(min(float(-margin), _LARGEST)))
        return [float(_ONE / (power + _ONE + _TINY))]

    return answer


def _as_scikit(tree: dict[str, Any]) -> Any:
    """Return a tree under the names that packing reads, where equals of a threshold go left."""
    conditions = np.array(tree["split_conditions"], dtype=np.float32)
    return SimpleNamespace(
        children_left=np.array(tree["left_children"], dtype=np.int64),
        children_right=np.array(tree["right_children"], dtype=np.int64),
        threshold=np.nextafter(conditions, np.float32(-np.inf)).astype(np.float64),
        feature=np.array(tree["split_indices"], dtype=np.int64),
        value=conditions.reshape(-1, 1, 1),  # of a leaf its weight
        missing_go_to_left=np.array(tree["default_left"], dtype=np.bool_),
    )


@cache
def _of_c(name: str) -> Callable[[float], float]:
    """Return a float32 function of the C library, by whose digits XGBoost computes."""
    found = getattr(CDLL(None), name)
    found.argtypes, found.restype = (c_float,), c_float
    function: Callable[[float], float] = found
    return function


def _logit(chance: np.float32) -> np.float32:
    return np.float32(-_of_c("logf")(float(_ONE / chance - _ONE)))
