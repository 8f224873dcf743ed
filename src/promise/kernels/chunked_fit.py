"""Which function learns a family from chunks, what it does instead where it cannot, and its memory.

An export takes the one function that its model needs, not this file.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from promise.kernels.chunked import Chunks
from promise.kernels.chunked_lightgbm import fit_lightgbm_chunked
from promise.kernels.chunked_linear import fit_linear_chunked
from promise.kernels.chunked_samples import (
    SAMPLE_ROWS,
    fit_baseline_chunked,
    fit_decision_tree_chunked,
    fit_mlp_chunked,
    fit_random_forest_chunked,
)
from promise.kernels.chunked_xgboost import fit_xgboost_chunked

Array = npt.NDArray[Any]


def substitute(family: str) -> tuple[str, str]:
    """Return the function that learns this family from chunks, and in one sentence how.

    Examples
    --------
    >>> substitute("mlp")[0]
    'fit_mlp_chunked'
    """
    match family:
        case "baseline":
            how = "Counts or averages all rows in one pass: the same answer as in memory."
        case "linear":
            how = (
                "Starts from a hashed sample and goes on with sums over all rows, pass by pass: "
                "the same optimum as in memory, in whatever order the rows come."
            )
        case "xgboost":
            how = "Cuts all rows into shared quantile bins, in memory or on disk: uses every row."
        case "lightgbm":
            how = (
                "Bins all rows to one byte per value with edges from a hashed sample: uses every "
                "row; where even the bins do not fit, XGBoost learns in its place, bins on disk."
            )
        case "random_forest":
            how = "Grows each tree on one hashed part of the rows and averages all trees."
        case "decision_tree":
            how = "Grows one tree on the largest hashed sample that fits, not on all rows."
        case "mlp":
            how = "Trains on the largest hashed sample that fits, not on all rows."
        case "lstm":
            how = "Trains on the entities of a hashed sample, histories whole, not on all rows."
        case _:
            raise ValueError(f"there is no way to learn {family!r} from chunks.")
    return f"fit_{family}_chunked", how


def fit_chunked(
    family: str,
    chunks: Chunks,
    n_classes: int,
    params: dict[str, Any],
    *,
    valid: tuple[Array, Array] | None = None,
    categorical: tuple[int, ...] = (),
    seed: int = 7,
    threads: int = 1,
    checkpoint: Path | None = None,
    external: Path | None = None,
    sample_rows: int = SAMPLE_ROWS,
    deadline_s: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[str, dict[str, Any]]:
    """Learn from chunks; returns the family that was learned, and its model.

    The family differs from the one asked for in one case: with `external` (a folder for bins
    that do not fit in memory) LightGBM is replaced by XGBoost.
    """
    run: dict[str, Any] = {"seed": seed, "threads": threads, "deadline_s": deadline_s}
    kept: dict[str, Any] = {"checkpoint": checkpoint, "progress": progress}
    boosting: dict[str, Any] = {**run, **kept, "valid": valid, "categorical": categorical}
    match family:
        case "baseline":
            return family, fit_baseline_chunked(chunks, n_classes, params, seed=seed)
        case "linear":
            return family, fit_linear_chunked(chunks, n_classes, params, **run, **kept)
        case "lightgbm" if external is None:
            return family, fit_lightgbm_chunked(chunks, n_classes, params, **boosting)
        case "xgboost" | "lightgbm":
            same = params if family == "xgboost" else xgboost_instead(params)
            model = fit_xgboost_chunked(chunks, n_classes, same, external=external, **boosting)
            return "xgboost", model
        case "random_forest":
            return family, fit_random_forest_chunked(
                chunks, n_classes, params, sample_rows=sample_rows, **run, **kept
            )
        case "decision_tree":
            return family, fit_decision_tree_chunked(
                chunks, n_classes, params, sample_rows=sample_rows, **run
            )
        case "mlp":
            return family, fit_mlp_chunked(
                chunks, n_classes, params, sample_rows=sample_rows, **run
            )
        case "lstm":
            from promise.kernels.chunked_lstm import fit_lstm_chunked

            return family, fit_lstm_chunked(
                chunks, n_classes, params, sample_rows=sample_rows, **run
            )
        case _:
            raise ValueError(f"there is no way to learn {family!r} from chunks.")


def xgboost_instead(params: dict[str, Any]) -> dict[str, Any]:
    """Return XGBoost's parameters nearest to LightGBM's; level by level, as pages on disk want."""
    shared = (
        "learning_rate", "rounds", "early_stopping", "subsample", "column_sample",
        "column_sample_node", "l1", "min_gain", "bins", "loss", "native_categories",
    )  # fmt: skip
    depth = int(np.ceil(np.log2(max(2, params.get("leaves", 31))))) + 1
    limit = params.get("max_depth", -1)
    return {
        **{name: params[name] for name in shared if name in params},
        "max_depth": min(depth, limit) if limit > 0 else depth,
        "min_leaf": max(1.0, params.get("min_leaf", 20) / 4),
        "l2": max(1.0, params.get("l2", 0.0)),
    }
