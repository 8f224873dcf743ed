"""Known-good configurations in the order in which they earn their time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from importlib.util import find_spec
from typing import Any

from promise.data.answer import Answer, Class
from promise.data.schema import Schema
from promise.errors import ConfigError, near
from promise.features.table import view
from promise.metrics.pointwise import Metric
from promise.models.base import ESTIMATORS
from promise.selection.candidates import Candidate, with_params

Listed = tuple[str, str, Mapping[str, Any]]
"""Family, view, and the parameters that differ from the family's defaults."""

MODULES = {"deep": "torch"}
"""The module that shows whether an extra is installed."""

SMALL_STEPS = {"leaves": 15, "min_leaf": 10, "column_sample": 0.7, "l2": 1.0}
GENTLE = {"max_depth": 7, "learning_rate": 0.06, "min_leaf": 3, "subsample": 0.8,
          "column_sample": 0.6}  # fmt: skip
SMOOTH_TREES = {"variant": "extra", "min_leaf": 2, "max_features": 0.7}

DEFAULT: tuple[Listed, ...] = (
    ("baseline", "plain", {}),
    ("lightgbm", "plain", {}),
    ("linear", "linear", {}),
    ("lightgbm", "rich", SMALL_STEPS),
    ("random_forest", "encoded", SMOOTH_TREES),
    ("xgboost", "plain", {}),
    ("decision_tree", "plain", {}),
    ("mlp", "linear", {"members": 2}),
    ("lstm", "linear", {}),
    ("linear", "linear", {"basis": "rbf"}),
    ("xgboost", "rich", GENTLE),
    ("lightgbm", "rich", {"extra_trees": True, "column_sample": 0.7, "min_leaf": 10}),
    ("random_forest", "plain", {"variant": "random"}),
    ("lightgbm", "plain", {**SMALL_STEPS, "leaves": 8, "learning_rate": 0.08}),
    ("linear", "linear", {"basis": "quadratic"}),
    ("random_forest", "plain", {"variant": "extra"}),
    ("xgboost", "plain", {**GENTLE, "max_depth": 9}),
    ("lightgbm", "plain", {"linear_leaves": True, "leaves": 15}),
    ("random_forest", "rich", SMOOTH_TREES),
    ("lightgbm", "encoded", {"leaves": 127, "learning_rate": 0.04, "min_leaf": 5,
                             "column_sample": 0.5, "subsample": 0.8}),
    ("xgboost", "encoded", {"max_depth": 4, "learning_rate": 0.08, "subsample": 0.8,
                            "column_sample": 0.7}),
    ("linear", "linear", {"basis": "rbf", "gamma_scale": 0.1}),
)  # fmt: skip
"""Strong and diverse first: each family once, then what most often joined the best blends.

Ordered on eight small tables by the holdout score of each candidate alone and in blends.
"""

ABSOLUTE = ("mae", "mape", "median_absolute_error")
"""Metrics that the median answers best."""

REFERENCE: tuple[Listed, ...] = (
    ("baseline", "reference", {}),
    ("linear", "reference", {}),
    ("decision_tree", "reference", {}),
    ("random_forest", "reference", {"variant": "random"}),
    ("xgboost", "reference", {}),
    ("lstm", "reference", {}),
)

PRESETS: Mapping[str, tuple[Listed, ...]] = {"default": DEFAULT, "reference": REFERENCE}
"""The candidates of each preset, in order."""

BLENDED = frozenset({"default"})
"""Presets whose best models are also tried together."""


def portfolio(
    preset: str,
    *,
    schema: Schema,
    answer: Answer,
    n_rows: int,
    n_columns: int,
    ordered: bool,
    families: Sequence[str] | None = None,
) -> list[Candidate]:
    """Return the candidates of a preset that can learn from this table, in order.

    Parameters
    ----------
    schema
        Of the table; its inputs feed the views, and the calendar of its time column.
    ordered
        Whether rows have an order in time, which sequence models need.
    families
        Only these, which are then tried even where they do not fit well.

    Raises
    ------
    ConfigError
        When the preset or a family does not exist.
    """
    if preset not in PRESETS:
        raise ConfigError(f"there is no preset {preset!r}; {near(preset, PRESETS)}")
    absent = skipped_families(preset, answer=answer, ordered=ordered, families=families)
    counts: dict[str, int] = {}
    chosen = []
    for family, view_name, params in with_families(PRESETS[preset], families):
        if family in absent or not suits(view_name, params, n_rows, n_columns):
            continue
        found = ESTIMATORS.resolve(family)
        known = {f.name for f in fields(found)}
        counts[family] = counts.get(family, 0) + 1
        chosen.append(
            Candidate(
                name=f"{family}-{counts[family]:02d}",
                view=view_name,
                features=view(view_name, schema),
                estimator=found(**{k: v for k, v in params.items() if k in known}),
            )
        )
    return chosen


def families_of(preset: str) -> tuple[str, ...]:
    """Return the families that a preset tries, in order of first appearance.

    Raises
    ------
    ConfigError
        When there is no such preset.
    """
    if preset not in PRESETS:
        raise ConfigError(f"there is no preset {preset!r}; {near(preset, PRESETS)}")
    return tuple(dict.fromkeys(family for family, _, _ in PRESETS[preset]))


def with_families(listed: Sequence[Listed], families: Sequence[str] | None) -> list[Listed]:
    """Keep the families asked for and the baseline; add those the list does not have."""
    if families is None:
        return list(listed)
    for family in families:
        if family not in ESTIMATORS.names():
            raise ConfigError(
                f"there is no model family {family!r}; {near(family, ESTIMATORS.names())}"
            )
    known = {family for family, _, _ in listed}
    extra: list[Listed] = [(f, listed[0][1], {}) for f in families if f not in known]
    return [item for item in listed if item[0] in (*families, "baseline")] + extra


def suits(view_name: str, params: Mapping[str, Any], n_rows: int, n_columns: int) -> bool:
    """Whether a configuration is worth its time on a table of this size.

    Examples
    --------
    >>> suits("rich", {}, n_rows=1000, n_columns=500)
    False
    """
    if view_name == "rich" and (n_columns > 100 or n_rows < 200):
        return False
    return not (params.get("basis") == "quadratic" and n_columns > 60)


def skipped_families(
    preset: str, *, answer: Answer, ordered: bool, families: Sequence[str] | None = None
) -> dict[str, str]:
    """Say which families of a preset cannot race here, and why."""
    skipped = {}
    for family in dict.fromkeys(f for f, _, _ in with_families(PRESETS[preset], families)):
        try:
            found = ESTIMATORS.resolve(family)
        except ImportError as error:
            skipped[family] = f"cannot be loaded: {error}"
            continue
        module = MODULES.get(found.extra or "")
        reasons = []
        if module is not None and find_spec(module) is None:
            reasons.append(f"needs the `{found.extra}` extra")
        if type(answer) not in found.answers:
            reasons.append(f"cannot answer a {type(answer).__name__.lower()}")
        if found.ordered and not ordered and family not in (families or ()):
            reasons.append("no order among rows (no time column)")
        if reasons:
            skipped[family] = "; ".join(reasons)
    return skipped


def for_metric(candidate: Candidate, metric: Metric) -> Candidate:
    """Let a candidate learn the loss that a metric asks for, where it knows several."""
    params = candidate.params
    if metric.name in ABSOLUTE and params.get("loss") == "squared":
        estimator = with_params(candidate.estimator, {"loss": "absolute"})
        return replace(candidate, estimator=estimator)
    return candidate


def n_classes(answer: Answer) -> int:
    """Return how many classes are asked for; 0 for a number."""
    return answer.n_classes if isinstance(answer, Class) else 0
