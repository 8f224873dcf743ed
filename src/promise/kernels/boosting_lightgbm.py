"""LightGBM: boosted trees grown leaf by leaf, saved as text."""

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


def fit_lightgbm(
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
    import lightgbm

    labels, meta = boosting_target(y, n_classes)
    if len(meta["present"]) == 1:
        return {**meta, "rounds": 0, "booster": None}
    native = lightgbm_params(params, meta, seed, threads)
    train = lightgbm.Dataset(
        np.asarray(x),
        labels,
        weight=weight,
        categorical_feature=lightgbm_categories(categorical, params),
        params=native,
    )
    booster = lightgbm.Booster(native, train)
    held = lightgbm_valid(valid, meta, train, native)
    if held is not None:
        booster.add_valid(held, "valid")
    return lightgbm_boost(booster, meta, params, held is not None, deadline_s)


def lightgbm_boost(
    booster: Any,
    meta: dict[str, Any],
    params: dict[str, Any],
    watched: bool,
    deadline_s: float | None,
) -> dict[str, Any]:
    """Run the rounds and keep the best of them."""

    def update(_: int) -> bool:
        return bool(booster.update())

    def evaluate() -> float:
        return float(booster.eval_valid()[0][2])

    kept = boost(update, evaluate if watched else None, params, deadline_s=deadline_s)
    return lightgbm_model(booster, meta, kept)


def lightgbm_params(
    params: dict[str, Any], meta: dict[str, Any], seed: int, threads: int
) -> dict[str, Any]:
    """Translate Promise's parameter names into LightGBM's."""
    k, loss = len(meta["present"]), params.get("loss", "squared")
    numbers = {"squared": ("l2", "l2"), "absolute": ("l1", "l1"), "huber": ("huber", "huber")}
    classes = ("binary", "binary_logloss") if k <= 2 else ("multiclass", "multi_logloss")
    objective, metric = numbers[loss] if meta["n_classes"] == 0 else classes
    subsample = params.get("subsample", 1.0)
    native = {
        "objective": objective,
        "metric": metric,
        "learning_rate": params.get("learning_rate", 0.1),
        "num_leaves": params.get("leaves", 31),
        "max_depth": params.get("max_depth", -1),
        "min_data_in_leaf": params.get("min_leaf", 20),
        "bagging_fraction": subsample,
        "bagging_freq": 1 if subsample < 1 else 0,
        "feature_fraction": params.get("column_sample", 1.0),
        "feature_fraction_bynode": params.get("column_sample_node", 1.0),
        "lambda_l1": params.get("l1", 0.0),
        "lambda_l2": params.get("l2", 0.0),
        "min_gain_to_split": params.get("min_gain", 0.0),
        "max_bin": params.get("bins", 255),
        "extra_trees": params.get("extra_trees", False),
        "linear_tree": params.get("linear_leaves", False),
        "path_smooth": params.get("path_smooth", 0.0),
        "cat_smooth": params.get("category_smooth", 10.0),
        "cat_l2": params.get("category_l2", 10.0),
        "min_data_per_group": params.get("category_min_rows", 100),
        "feature_pre_filter": False,
        "deterministic": True,
        "force_col_wise": True,
        "seed": seed,
        "num_threads": threads,
        "verbosity": -1,
    }
    if k > 2:
        native["num_class"] = k
    return native


def lightgbm_categories(categorical: tuple[int, ...], params: dict[str, Any]) -> list[int] | str:
    """Say which columns hold category codes, when they are to be split as sets."""
    if not categorical or not params.get("native_categories", True):
        return "auto"
    return [int(i) for i in categorical]


def lightgbm_valid(
    valid: tuple[Array, Array] | None, meta: dict[str, Any], train: Any, native: dict[str, Any]
) -> Any:
    """Return the validation rows in the training's bins, without classes never trained on."""
    if valid is None:
        return None
    x, labels = np.asarray(valid[0]), boosting_labels(valid[1], meta)
    if meta["n_classes"] and (labels < 0).any():
        x, labels = x[labels >= 0], labels[labels >= 0]
    return train.create_valid(x, labels, params=native) if len(labels) else None


def lightgbm_model(booster: Any, meta: dict[str, Any], kept: int) -> dict[str, Any]:
    """Keep the first rounds and nothing of the training's memory."""
    kept = min(kept, booster.current_iteration())
    text = booster.model_to_string(num_iteration=kept)
    return {**meta, "rounds": kept, "booster": lightgbm_booster(text)}


def lightgbm_booster(text: str) -> Any:
    """Return a booster that predicts."""
    import lightgbm

    return lightgbm.Booster(model_str=text)


def predict_lightgbm(model: dict[str, Any], x: Array) -> Array:
    """Return numbers (n,) or probabilities (n, n_classes), float64."""
    if model["booster"] is None:
        return constant_answer(len(x), model)
    if len(x) == 0:
        return np.zeros((0, model["n_classes"]) if model["n_classes"] else 0)
    x = np.ascontiguousarray(x, dtype=np.float32)
    return boosting_answer(model["booster"].predict(x, num_threads=1), model)


def contributions_lightgbm(model: dict[str, Any], x: Array) -> Array:
    """Return what each column adds to the margin, then the base (TreeSHAP)."""
    booster, n_classes = model["booster"], model["n_classes"]
    width = x.shape[1] + 1
    if booster is None:
        return np.zeros((len(x), n_classes, width) if n_classes > 2 else (len(x), width))
    x = np.ascontiguousarray(x, dtype=np.float32)
    raw = np.asarray(booster.predict(x, pred_contrib=True, num_threads=1))
    if raw.shape[1] > width:
        raw = raw.reshape(len(x), -1, width)
    return boosting_contributions(raw, model)


def rounds_lightgbm(model: dict[str, Any]) -> int:
    """Return how many rounds are kept."""
    return int(model["rounds"])


def save_lightgbm(model: dict[str, Any], folder: Path) -> None:
    """Write `model.txt` and `model.json`."""
    meta = {key: value for key, value in model.items() if key != "booster"}
    (folder / "model.json").write_text(json.dumps(meta), encoding="utf-8")
    if model["booster"] is not None:
        model["booster"].save_model(folder / "model.txt", num_iteration=-1)


def load_lightgbm(folder: Path) -> dict[str, Any]:
    """Read back what `save_lightgbm` wrote."""
    meta: dict[str, Any] = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    path = folder / "model.txt"
    text = path.read_text(encoding="utf-8") if path.exists() else None
    return {**meta, "booster": None if text is None else lightgbm_booster(text)}
