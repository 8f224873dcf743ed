"""XGBoost: boosted trees over quantile bins, saved as UBJ."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from promise.kernels.boosting import (
    boost,
    boosting_answer,
    boosting_contributions,
    boosting_labels,
    boosting_target,
    constant_answer,
)

Array = npt.NDArray[Any]


def fit_xgboost(
    x: Array,
    y: Array,
    n_classes: int,
    params: dict[str, Any],
    *,
    valid: tuple[Array, Array] | None = None,
    weight: Array | None = None,
    categorical: tuple[int, ...] = (),
    seed: int = 7,
    threads: int = 1,
    deadline_s: float | None = None,
) -> dict[str, Any]:
    """Learn boosted trees; `valid` stops the learning once it no longer helps.

    `x` is float32 (n, d), NaN where missing; `y` float64 numbers or int64 codes.
    """
    import xgboost

    labels, meta = boosting_target(y, n_classes)
    if len(meta["present"]) == 1:
        return {**meta, "rounds": 0, "booster": None}
    native = xgboost_params(params, meta, seed, threads)
    types = xgboost_types(x.shape[1], categorical, params)
    bins = int(native["max_bin"])
    train = xgboost.QuantileDMatrix(
        x, labels, weight=weight, feature_types=types, max_bin=bins, nthread=threads,
        enable_categorical=True,
    )  # fmt: skip
    booster = xgboost.Booster(native, [train])
    held = xgboost_valid(valid, meta, train, threads)

    def update(i: int) -> bool:
        booster.update(train, i)
        return False

    def evaluate() -> float:
        return float(booster.eval_set([(held, "valid")]).rsplit(":", 1)[1])

    kept = boost(update, None if held is None else evaluate, params, deadline_s=deadline_s)
    return xgboost_model(booster, meta, kept)


def xgboost_params(
    params: dict[str, Any], meta: dict[str, Any], seed: int, threads: int
) -> dict[str, Any]:
    """Translate Promise's parameter names into XGBoost's."""
    k, loss = len(meta["present"]), params.get("loss", "squared")
    numbers = {
        "squared": ("reg:squarederror", "rmse"),
        "absolute": ("reg:absoluteerror", "mae"),
        "huber": ("reg:pseudohubererror", "mphe"),
    }
    classes = ("binary:logistic", "logloss") if k <= 2 else ("multi:softprob", "mlogloss")
    objective, metric = numbers[loss] if meta["n_classes"] == 0 else classes
    native = {
        "objective": objective,
        "eval_metric": metric,
        "tree_method": "hist",
        "eta": params.get("learning_rate", 0.1),
        "grow_policy": "lossguide" if params.get("growth") == "leaf" else "depthwise",
        "max_depth": params.get("max_depth", 6),
        "max_leaves": params.get("leaves", 0),
        "min_child_weight": params.get("min_leaf", 1.0),
        "subsample": params.get("subsample", 1.0),
        "colsample_bytree": params.get("column_sample", 1.0),
        "colsample_bynode": params.get("column_sample_node", 1.0),
        "alpha": params.get("l1", 0.0),
        "lambda": params.get("l2", 1.0),
        "gamma": params.get("min_gain", 0.0),
        "max_bin": params.get("bins", 256),
        "max_cat_to_onehot": params.get("one_hot_limit", 4),
        # Every round seeds its own sampling, so that a resumed run draws what it would have drawn.
        "seed_per_iteration": True,
        "seed": seed,
        "nthread": threads,
        "verbosity": 0,
    }
    if k > 2:
        native["num_class"] = k
    if meta["n_classes"] == 0:
        native["base_score"] = 0.0
    return native


def xgboost_types(
    width: int, categorical: tuple[int, ...], params: dict[str, Any]
) -> list[str] | None:
    """Say which columns hold category codes, when they are to be split as sets."""
    if not categorical or not params.get("native_categories", True):
        return None
    codes = set(categorical)
    return ["c" if i in codes else "q" for i in range(width)]


def xgboost_valid(
    valid: tuple[Array, Array] | None, meta: dict[str, Any], train: Any, threads: int
) -> Any:
    """Return the validation rows in the training's bins, without classes never trained on."""
    import xgboost

    if valid is None:
        return None
    x, labels = valid[0], boosting_labels(valid[1], meta)
    if meta["n_classes"] and (labels < 0).any():
        x, labels = x[labels >= 0], labels[labels >= 0]
    if len(labels) == 0:
        return None
    return xgboost.QuantileDMatrix(
        x, labels, ref=train, feature_types=train.feature_types, nthread=threads,
        enable_categorical=True,
    )  # fmt: skip


def xgboost_model(booster: Any, meta: dict[str, Any], kept: int) -> dict[str, Any]:
    """Keep the first rounds and nothing of the training's memory."""
    short = booster[:kept] if kept < booster.num_boosted_rounds() else booster
    return {**meta, "rounds": kept, "booster": xgboost_booster(short.save_raw("ubj"))}


def xgboost_booster(raw: bytearray | Path) -> Any:
    """Return a booster that predicts on one thread."""
    import xgboost

    booster = xgboost.Booster()
    booster.load_model(raw)
    booster.set_param({"nthread": 1, "verbosity": 0})
    return booster


def predict_xgboost(model: dict[str, Any], x: Array) -> Array:
    """Return numbers (n,) or probabilities (n, n_classes), float64."""
    if model["booster"] is None:
        return constant_answer(len(x), model)
    if len(x) == 0:
        return np.zeros((0, model["n_classes"]) if model["n_classes"] else 0)
    x = np.ascontiguousarray(x, dtype=np.float32)
    raw = model["booster"].inplace_predict(x, validate_features=False)
    return boosting_answer(raw, model)


def contributions_xgboost(model: dict[str, Any], x: Array) -> Array:
    """Return what each column adds to the margin, then the base (TreeSHAP)."""
    import xgboost

    booster = model["booster"]
    if booster is None:
        shape = (len(x), model["n_classes"], x.shape[1] + 1)
        return np.zeros(shape if model["n_classes"] > 2 else shape[::2])
    data = xgboost.DMatrix(
        np.asarray(x, dtype=np.float32), feature_types=booster.feature_types, nthread=1,
        enable_categorical=True,
    )  # fmt: skip
    raw = booster.predict(data, pred_contribs=True, validate_features=False)
    return boosting_contributions(raw, model)


def rounds_xgboost(model: dict[str, Any]) -> int:
    """Return how many rounds are kept."""
    return int(model["rounds"])


def save_xgboost(model: dict[str, Any], folder: Path) -> None:
    """Write `model.ubj` and `model.json`."""
    meta = {key: value for key, value in model.items() if key != "booster"}
    (folder / "model.json").write_text(json.dumps(meta), encoding="utf-8")
    if model["booster"] is not None:
        model["booster"].save_model(folder / "model.ubj")


def load_xgboost(folder: Path) -> dict[str, Any]:
    """Read back what `save_xgboost` wrote."""
    meta: dict[str, Any] = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    path = folder / "model.ubj"
    return {**meta, "booster": xgboost_booster(path) if path.exists() else None}
