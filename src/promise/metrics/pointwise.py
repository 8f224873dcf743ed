"""Metrics that score each answer against its truth, by name and fitted to the answer's kind."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from promise.data.answer import Answer, Class, Decision, Labels, Number, Ranking
from promise.data.columns import Array
from promise.errors import ConfigError, near
from promise.kernels import multilabel, scores

MetricKind = Literal["decision", "probability", "number", "labels", "ranking"]


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
        What is scored: decided classes, probabilities, numbers, answers of several labels, whose
        truths are texts of codes as `kernels.multilabel.coded` writes them, or lists, of which each
        row holds the scores in the order of `OF_RANKINGS`.

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
        if self.kind == "ranking":
            values = request_scores(self.name, output)
            return float(values.mean()) if len(values) else math.nan
        if self.kind == "labels":
            return multilabel.labels_score(self.name, y, output, multipliers)
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

OF_LABELS: tuple[Metric, ...] = (
    Metric("f1_macro", True, "labels"),
    Metric("f1_micro", True, "labels"),
    Metric("subset_accuracy", True, "labels"),
    Metric("average_precision", True, "labels"),
)
"""Metrics of several labels, in the order in which they are shown."""

OF_RANKINGS: tuple[Metric, ...] = (
    Metric("recall_at_20", True, "ranking"),
    Metric("ndcg_at_20", True, "ranking"),
    Metric("ndcg_at_10", True, "ranking"),
    Metric("map_at_20", True, "ranking"),
    Metric("hit_rate_at_20", True, "ranking"),
)
"""Metrics of lists, in the order of the columns in which each request's scores are kept."""

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


def request_scores(name: str, output: Array) -> Array:
    """Return a metric's score of each request, from rows that hold all of them: (n,).

    Examples
    --------
    >>> import numpy as np
    >>> request_scores("ndcg_at_20", np.array([[0.5, 0.4, 0.3, 0.2, 1.0]]))
    array([0.4])
    """
    place = [metric.name for metric in OF_RANKINGS].index(name)
    return output[:, place]


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
    if isinstance(answer, Labels):
        return OF_LABELS
    if isinstance(answer, Ranking):
        return OF_RANKINGS
    # of a Decision, what was decided is the policy's, told by its costs
    return tuple(m for m in METRICS if m.kind == "probability")


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
    if any(m.name == wanted for m in (*METRICS, *OF_LABELS, *OF_RANKINGS)):
        asked = f"{answer.n_classes} classes" if isinstance(answer, Class) else "a number"
        asked = "several labels" if isinstance(answer, Labels) else asked
        asked = "lists" if isinstance(answer, Ranking) else asked
        raise ConfigError(
            f"the metric {name!r} does not fit an answer of {asked}; use one of: "
            + ", ".join(fitting)
            + "."
        )
    raise ConfigError(f"there is no metric {name!r}; {near(wanted, fitting)}")


def default_metric(answer: Answer) -> Metric:
    """Return R² for a Number, accuracy for a Class, average precision for a Decision.

    Of several labels it is macro-F1, of lists the recall at 20.
    """
    if isinstance(answer, Labels):
        return metric_named("f1_macro", answer)
    if isinstance(answer, Ranking):
        return metric_named("recall_at_20", answer)
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
