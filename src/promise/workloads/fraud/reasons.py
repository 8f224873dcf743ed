"""Reasons beside a decision: a small model that follows the score, and words for its features."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from promise.data.answer import Number
from promise.data.columns import Columns, FloatArray
from promise.features.declare import (
    Count,
    Distinct,
    Feature,
    Hour,
    IsNight,
    Last,
    Log,
    Max,
    Mean,
    NeighbourRate,
    PositiveStreak,
    Rate,
    Ratio,
    Recency,
    Streak,
    Sum,
    Value,
    Weekday,
)
from promise.features.keyed import VIEW, Keyed
from promise.features.view import FeatureView
from promise.job import Job
from promise.models.base import MATRIX, Examples
from promise.models.blend import matrix_column
from promise.models.calibrate import Calibrated
from promise.models.reasons import Surrogate
from promise.pipeline.decision import DecisionPolicy

LEARNED_ROWS, HELD_ROWS = 50_000, 20_000
"""So many rows are enough for a small model to follow a large one."""


def with_reasons(
    policy: DecisionPolicy,
    score: Calibrated,
    keyed: Keyed,
    train: FloatArray,
    held: FloatArray,
    job: Job,
) -> DecisionPolicy:
    """Return the policy with reasons for scores that somebody will ask about.

    Parameters
    ----------
    score
        The calibrated blend that is explained.
    train, held
        Float32 (n, n_features): rows to learn from, and later ones on which it is measured how
        near the small model is. Evenly taken parts are enough.
    """
    names = keyed.features.columns
    learned, later = _part(train, LEARNED_ROWS), _part(held, HELD_ROWS)
    reasons = Surrogate().fit(
        _examples(learned, names), _log_odds(score, learned),
        _examples(later, names), _log_odds(score, later), job.child("reasons"),
    )  # fmt: skip
    return replace(policy, reasons=reasons, words=words_of(keyed))


def words_of(keyed: Keyed) -> dict[str, str]:
    """Return what each feature means, in words.

    Examples
    --------
    >>> from promise.features.sets import FeatureSet
    >>> card = FeatureView("card", ("entity",), (Count("1d"), Ratio(Value("amount"),
    ...                                                             Mean("amount", "7d"))))
    >>> for words in words_of(Keyed(FeatureSet((card,)), {"entity": "card_no"})).values():
    ...     print(words)
    events of this card_no in 1d
    its amount over the mean amount of this card_no in 7d
    """
    return {
        name: _words(feature, _whose(view, keyed))
        for kernel in keyed.features.kernels
        for view in kernel.views
        for name, feature in zip(view.columns, view.features, strict=True)
    }


def _whose(view: FeatureView, keyed: Keyed) -> str:
    named = [keyed.columns.get(role, role) for role in view.entity]
    return f" of this {' and '.join(named)}" if named else ""


def _words(feature: Feature, whose: str) -> str:
    match feature:
        case Ratio(top=top, bottom=bottom):
            return (
                f"{_words(top, whose if _of_entity(top) else '')} over the {_words(bottom, whose)}"
            )
        case Value(field=name):
            return f"its {name}"
        case Log(field=name):
            return f"the logarithm of its {name}"
        case Hour():
            return "the hour of the day"
        case Weekday():
            return "the day of the week"
        case IsNight():
            return "whether it is night"
        case Count(window=window):
            return f"events{whose} in {window}"
        case Sum(field=name, window=window):
            return f"sum of {name}{whose} in {window}"
        case Mean(field=name, window=window):
            return f"mean {name}{whose} in {window}"
        case Max(field=name, window=window):
            return f"largest {name}{whose} in {window}"
        case Distinct(field=name, window=window):
            return f"different values of {name}{whose} in {window}"
        case Recency():
            return f"seconds since the last event{whose}"
        case Last(field=name):
            return f"the last {name}{whose}"
        case Streak(field=name):
            return f"events in a row{whose} with an unusual {name}"
        case Rate(field=name, window=window):
            share = "frauds" if name == "label" else name
            return f"share of {share}{whose} in {window}, as far as known by then"
        case PositiveStreak():
            return f"known frauds in a row{whose}"
        case NeighbourRate(field=name, window=window):
            return f"share of {name} with fraud{whose} in {window}, as far as known by then"
    raise TypeError(f"no words for {feature!r}")


def _of_entity(feature: Feature) -> bool:
    return not isinstance(feature, Value | Log | Hour | Weekday | IsNight)


def _part(matrix: FloatArray, rows: int) -> FloatArray:
    if len(matrix) <= rows:
        return matrix
    return matrix[np.linspace(0, len(matrix) - 1, rows).astype(np.int64)]


def _examples(matrix: FloatArray, names: tuple[str, ...]) -> Examples:
    return Examples(Columns({MATRIX: matrix}), np.zeros(len(matrix)), Number(), names=names)


def _log_odds(score: Calibrated, matrix: FloatArray) -> FloatArray:
    return score.platt.apply(score.margins(Columns({matrix_column(VIEW): matrix})))
