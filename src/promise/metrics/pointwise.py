"""Metrics that score each answer against its truth, by name and fitted to the answer's kind."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from promise.data.answer import Answer, Class, Decision, Number
from promise.data.columns import Array
from promise.errors import ConfigError, near
from promise.kernels import scores

MetricKind = Literal["decision", "probability", "number"]


@dataclass(frozen=True)
class Metric:
    """A named score of raw model output.

    Parameters
    ----------
    name
        The name it is asked for and shown by.
    greater_is_better
        Whether a larger score is a better one.
    kind
        What is scored: decided classes, probabilities, or numbers.

    Examples
    --------
    >>> import numpy as np
    >>> rmse = Metric("rmse", greater_is_better=False, kind="number")
    >>> rmse.score(np.array([1.0, 2.0]), np.array([1.0, 4.0]))
    1.4142135623730951
    >>> rmse.utility(np.array([1.0, 2.0]), np.array([1.0, 4.0]))
    -1.4142135623730951
    """

    name: str
    greater_is_better: bool
    kind: MetricKind

    def score(self, y: Array, output: Array, multipliers: Array | None = None) -> float:
        """Score raw output: (n,) numbers or (n, k) probabilities; NaN where undefined.

        `multipliers` (k,) move the decisions of decision metrics and nothing else.
        """
        return scores.score(self.name, y, output, multipliers)

    def utility(self, y: Array, output: Array, multipliers: Array | None = None) -> float:
        """Return the score with the sign that makes larger better."""
        return self.sign * self.score(y, output, multipliers)

    @property
    def sign(self) -> int:
        """1 where a larger score is better, else -1."""
        return 1 if self.greater_is_better else -1


METRICS: tuple[Metric, ...] = (
    Metric("accuracy", True, "decision"),
    Metric("balanced_accuracy", True, "decision"),
    Metric("f1_macro", True, "decision"),
    Metric("f1", True, "decision"),
    Metric("matthews", True, "decision"),
    Metric("roc_auc", True, "probability"),
    Metric("average_precision", True, "probability"),
    Metric("log_loss", False, "probability"),
    Metric("brier", False, "probability"),
    Metric("ece", False, "probability"),
    Metric("positive_calibration_error", False, "probability"),
    Metric("r2", True, "number"),
    Metric("rmse", False, "number"),
    Metric("mae", False, "number"),
    Metric("mape", False, "number"),
    Metric("rmsle", False, "number"),
    Metric("median_absolute_error", False, "number"),
)
"""Every metric, in the order in which they are shown."""

_OF_DECISIONS = ("positive_calibration_error",)
"""Of rare outcomes, whose chances are acted upon as they are."""

_ALIASES = {
    "auc": "roc_auc",
    "matthews_corrcoef": "matthews",
    "mcc": "matthews",
    "neg_log_loss": "log_loss",
    "brier_score_loss": "brier",
    "root_mean_squared_error": "rmse",
    "mean_absolute_error": "mae",
    "mean_absolute_percentage_error": "mape",
    "root_mean_squared_log_error": "rmsle",
}


def metrics_for(answer: Answer) -> tuple[Metric, ...]:
    """Return the metrics that fit an answer, in the order in which they are shown.

    Examples
    --------
    >>> [metric.name for metric in metrics_for(Number())][:2]
    ['r2', 'rmse']
    """
    if isinstance(answer, Number):
        return tuple(m for m in METRICS if m.kind == "number")
    if isinstance(answer, Class):
        binary = answer.n_classes == 2
        known = (m for m in METRICS if m.kind != "number" and m.name not in _OF_DECISIONS)
        return tuple(m for m in known if binary or m.name != "f1")
    if isinstance(answer, Decision):  # what was decided is the policy's, told by its costs
        return tuple(m for m in METRICS if m.kind == "probability")
    raise ConfigError(f"{type(answer).__name__} answers have no pointwise metrics.")


def metric_named(name: str, answer: Answer) -> Metric:
    """Return the metric of this name; scikit-learn's longer names are understood too.

    Raises
    ------
    ConfigError
        When no metric has the name (near matches named) or it does not fit the answer.

    Examples
    --------
    >>> metric_named("auc", Class(("no", "yes"))).name
    'roc_auc'
    """
    fitting = {m.name: m for m in metrics_for(answer)}
    wanted = name.strip().lower().replace("-", "_")
    wanted = _ALIASES.get(wanted, wanted)
    if wanted in fitting:
        return fitting[wanted]
    if any(m.name == wanted for m in METRICS):
        asked = f"{answer.n_classes} classes" if isinstance(answer, Class) else "a number"
        raise ConfigError(
            f"the metric {name!r} does not fit an answer of {asked}; use one of: "
            + ", ".join(fitting)
            + "."
        )
    raise ConfigError(f"there is no metric {name!r}; {near(wanted, fitting)}")


def default_metric(answer: Answer) -> Metric:
    """Return R² for a Number, accuracy for a Class and average precision for a Decision."""
    name = "average_precision" if isinstance(answer, Decision) else "accuracy"
    return metric_named("r2" if isinstance(answer, Number) else name, answer)


def all_metrics(
    answer: Answer, y: Array, output: Array, multipliers: Array | None = None
) -> dict[str, float]:
    """Return every metric that fits the answer and is defined on these rows.

    Examples
    --------
    >>> import numpy as np
    >>> shown = all_metrics(Number(), np.array([1.0, 3.0]), np.array([1.0, 2.0]))
    >>> shown["r2"], shown["mae"]
    (0.5, 0.5)
    """
    found = {m.name: m.score(y, output, multipliers) for m in metrics_for(answer)}
    return {name: value for name, value in found.items() if math.isfinite(value)}
