"""What a folder of MLflow holds: a model whose native files can be read without running them."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from promise.errors import ArtifactError, DataError, PromiseError
from promise.models.foreign import (
    Foreign,
    ForeignLightGBM,
    ForeignLinear,
    ForeignTrees,
    ForeignXGBoost,
)
from promise.registry.mlflow.skops import Described, read_skops

_LINEAR = (
    "LinearRegression", "Ridge", "RidgeCV", "Lasso", "LassoCV", "ElasticNet", "ElasticNetCV",
    "BayesianRidge", "HuberRegressor",
)  # fmt: skip
_LOGISTIC = ("LogisticRegression", "LogisticRegressionCV")
_TREES = (
    "DecisionTreeRegressor", "DecisionTreeClassifier", "ExtraTreeRegressor", "ExtraTreeClassifier",
)  # fmt: skip
_FORESTS = (
    "RandomForestRegressor", "RandomForestClassifier", "ExtraTreesRegressor",
    "ExtraTreesClassifier",
)  # fmt: skip
_LIGHTGBM_NUMBERS = (
    "regression", "regression_l1", "huber", "fair", "poisson", "quantile", "mape", "gamma",
    "tweedie",
)  # fmt: skip


@dataclass(frozen=True)
class Held:
    """A model that was read, and what it says of itself.

    Parameters
    ----------
    classes
        The classes that it answers, in its order; None for a number.
    names
        Its columns, where it knows them.
    categories
        Column number to the categories of that column, in the order of their codes.
    ranges
        Column number to smallest and largest value that it was trained on, where it knows them.
    knows_missing
        Whether it has an answer for rows with missing values.
    """

    flavor: str
    file: Path
    model: Foreign
    classes: tuple[str, ...] | None
    n_inputs: int
    names: tuple[str, ...] = ()
    categories: Mapping[int, tuple[str, ...]] | None = None
    ranges: Mapping[int, tuple[float, float]] | None = None
    knows_missing: bool = True


def read_foreign(folder: Path, flavors: Mapping[str, Mapping[str, Any]], what: str) -> Held:
    """Read the native files of a logged model.

    Parameters
    ----------
    folder, flavors
        The downloaded model and what its `MLmodel` says of it.
    what
        How the user named it, for errors.

    Raises
    ------
    DataError
        For a flavor or a class that cannot be held, with the way out.
    ArtifactError
        For a file that is damaged or not what it claims to be.
    """
    flavor = next((f for f in ("lightgbm", "xgboost", "sklearn") if f in flavors), None)
    if flavor is None:
        known = ", ".join(sorted(set(flavors) - {"python_function"})) or "python_function alone"
        raise DataError(
            f"{what} is of the flavor {known}; models of lightgbm, xgboost and sklearn can be "
            f"imported. {_WAY_OUT}"
        )
    said = flavors[flavor]
    name = str(said.get("data") or said.get("pickled_model") or "")
    file = (folder / name).resolve()
    if not name or not file.is_relative_to(folder.resolve()) or not file.is_file():
        raise ArtifactError(f"{what}: its MLmodel names no file that is there ({name!r}).")
    try:
        with contextlib.redirect_stdout(sys.stderr):  # LightGBM prints what it dislikes
            if flavor == "xgboost":
                return _xgboost(file, str(said.get("model_class", "")), what)
            return _lightgbm(file, what) if flavor == "lightgbm" else _sklearn(file, what)
    except PromiseError:
        raise
    except Exception as error:  # each library has errors of its own for a damaged file
        raise ArtifactError(
            f"{what}: {file.name} is no model that {flavor} wrote "
            f"({type(error).__name__}: {error}); log it again."
        ) from error


_WAY_OUT = (
    "Train it here with `promise train tabular DATA --name NAME`, or log it again in a native "
    "format."
)


def _refuse_pickle(file: Path, what: str) -> NoReturn:
    raise DataError(
        f"{what} is kept as a pickle ({file.name}), and loading a pickle runs whatever it holds, "
        'so it is refused. Log the model again: with serialization_format="skops", or a '
        "LightGBM or XGBoost Booster by its own flavor; or train it here with "
        "`promise train tabular DATA --name NAME`."
    )


def _lightgbm(file: Path, what: str) -> Held:
    if file.suffix == ".skops":
        found = read_skops(file)
        trees = found.attributes["_Booster"].attributes["_handle"]
        best = int(found.attributes.get("_best_iteration") or 0)
        classes = found.attributes.get("_classes")
        names = None if classes is None else _texts(classes)
        return _lightgbm_text(trees, file, what, names, best)
    if not file.read_bytes()[:5].startswith(b"tree"):
        _refuse_pickle(file, what)
    return _lightgbm_text(file.read_text(encoding="utf-8"), file, what, None, 0)


def _lightgbm_text(
    text: str, file: Path, what: str, classes: tuple[str, ...] | None, best: int
) -> Held:
    head = dict(line.split("=", 1) for line in text.split("\n\n", 1)[0].splitlines() if "=" in line)
    objective = head.get("objective", "").split(" ")[0]
    if objective == "binary":
        n_classes = 2
    elif objective in ("multiclass", "multiclassova"):
        n_classes = int(head["num_class"])
    elif objective in _LIGHTGBM_NUMBERS:
        n_classes = 0
    else:
        _refuse_objective(objective or "a function of its own", what)
    infos = enumerate(head.get("feature_infos", "").split(" "))
    ranges = {i: _range(info) for i, info in infos if info.startswith("[")}
    return Held(
        "lightgbm",
        file,
        ForeignLightGBM.of(text, best if best > 0 else -1),
        _named_classes(n_classes, classes, what),
        int(head["max_feature_idx"]) + 1,
        tuple(head.get("feature_names", "").split(" ")),
        _lightgbm_categories(text, head.get("feature_infos", "").split(" "), what),
        ranges,
    )


def _range(info: str) -> tuple[float, float]:
    low, _, high = info.strip("[]").partition(":")
    return float(low), float(high)


def _lightgbm_categories(text: str, infos: list[str], what: str) -> dict[int, tuple[str, ...]]:
    """Return categories of a data frame: they stand at the end, in the order of the columns."""
    last = text.rsplit("pandas_categorical:", 1)
    listed = json.loads(last[1].strip() or "null") if len(last) == 2 else None
    # a column of codes has its codes listed, a number its range, an unused column nothing
    coded = [i for i, info in enumerate(infos) if not info.startswith("[") and info != "none"]
    if not listed:
        return {}
    if len(listed) != len(coded):
        raise DataError(
            f"{what} has {len(listed)} category columns of which {len(coded)} are used, so it "
            f"cannot be told which they are. {_WAY_OUT}"
        )
    return {i: tuple(str(v) for v in values) for i, values in zip(coded, listed, strict=True)}


def _refuse_objective(objective: str, what: str) -> NoReturn:
    raise DataError(
        f"{what} was trained for {objective!r}, whose answer is neither a number nor the "
        f"probability of a class. {_WAY_OUT}"
    )


def _named_classes(
    n_classes: int, classes: tuple[str, ...] | None, what: str
) -> tuple[str, ...] | None:
    if n_classes == 0:
        return None
    if classes is None:
        return tuple(str(code) for code in range(n_classes))
    if len(classes) != n_classes:
        raise DataError(
            f"{what} answers {n_classes} classes, and {len(classes)} are named: "
            f"{', '.join(classes[:6])}."
        )
    return classes


def _texts(values: Any) -> tuple[str, ...]:
    return tuple(str(value) for value in np.asarray(values).tolist())


def _xgboost(file: Path, model_class: str, what: str) -> Held:
    raw = file.read_bytes()
    if raw[:1] != b"{":  # both UBJ and JSON begin with an object
        _refuse_pickle(file, what)
    model = ForeignXGBoost.of(raw)
    booster = model.booster
    learner = json.loads(booster.save_config())["learner"]
    objective = str(learner["objective"]["name"])
    if objective == "binary:logistic":
        n_classes = 2
    elif objective in ("multi:softprob", "multi:softmax"):
        n_classes = int(learner["learner_model_param"]["num_class"])
    elif objective.startswith(("reg:", "count:")):
        n_classes = 0
    else:
        _refuse_objective(objective, what)
    if "c" in (booster.feature_types or ()):
        raise DataError(
            f"{what} reads category columns, whose codes XGBoost takes from the data frame. "
            + _WAY_OUT
        )
    best = booster.attr("best_iteration")
    if best is not None and not model_class.endswith("Booster"):
        model = ForeignXGBoost.of(raw, int(best) + 1)
    return Held(
        "xgboost",
        file,
        model,
        _named_classes(n_classes, None, what),
        int(booster.num_features()),
        tuple(booster.feature_names or ()),
    )


def _sklearn(file: Path, what: str) -> Held:
    if file.suffix != ".skops":
        _refuse_pickle(file, what)
    found = read_skops(file)
    state, kind = found.attributes, found.name
    names = _texts(state["feature_names_in_"]) if "feature_names_in_" in state else ()
    n_inputs = int(state.get("n_features_in_", len(names)))
    held = (*_LINEAR, *_LOGISTIC, *_TREES, *_FORESTS)
    if not found.kind.startswith("sklearn.") or kind not in held:
        raise DataError(
            f"{what} is a {found.kind}; of scikit-learn these are held: {', '.join(held)}. "
            f"{_WAY_OUT}"
        )
    if int(state.get("n_outputs_", 1)) != 1:
        raise DataError(f"{what} answers {state['n_outputs_']} outputs at once. {_WAY_OUT}")
    classes = _texts(state["classes_"]) if "classes_" in state else None
    if kind in _LINEAR or kind in _LOGISTIC:
        model: Foreign = _linear(state, kind, what)
        return Held("sklearn", file, model, classes, n_inputs, names, knows_missing=False)
    grown = state["estimators_"] if kind in _FORESTS else [found]
    model = _trees([tree.attributes["tree_"] for tree in grown], classes is not None)
    return Held("sklearn", file, model, classes, n_inputs, names)


def _linear(state: Mapping[str, Any], kind: str, what: str) -> ForeignLinear:
    if kind in _LOGISTIC and state.get("solver") == "liblinear" and len(state["classes_"]) > 2:
        raise DataError(f"{what} judges each class by itself (liblinear). {_WAY_OUT}")
    coef = np.atleast_2d(np.asarray(state["coef_"], dtype=np.float64))
    intercept = np.atleast_1d(np.asarray(state["intercept_"], dtype=np.float64))
    if kind in _LINEAR and len(coef) > 1:
        raise DataError(f"{what} answers {len(coef)} outputs at once. {_WAY_OUT}")
    return ForeignLinear(coef, intercept, logistic=kind in _LOGISTIC)


def _trees(trees: list[Described], classes: bool) -> ForeignTrees:
    parts: dict[str, list[Any]] = {}
    start = 0
    for tree in trees:
        nodes, values = tree.attributes["nodes"], tree.attributes["values"]
        own = start + np.arange(len(nodes))
        leaf = nodes["left_child"] < 0
        made = {
            "roots": np.array([start]),
            "left": np.where(leaf, own, start + nodes["left_child"]),
            "right": np.where(leaf, own, start + nodes["right_child"]),
            "feature": np.where(leaf, 0, nodes["feature"]),
            "threshold": np.where(leaf, np.inf, nodes["threshold"]),
            "missing_left": nodes["missing_go_to_left"].astype(bool),
            "values": np.asarray(values[:, 0, :], dtype=np.float64),
        }
        for key, array in made.items():
            parts.setdefault(key, []).append(array)
        start += len(nodes)
    joined = {key: np.concatenate(arrays) for key, arrays in parts.items()}
    if classes:
        joined["values"] = joined["values"] / joined["values"].sum(axis=1, keepdims=True)
    return ForeignTrees(**joined, classes=classes)
