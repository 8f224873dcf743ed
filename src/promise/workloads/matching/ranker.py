"""The ranker: how likely the chooser says yes to a candidate, and the candidate to the chooser."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from promise.data.answer import Class
from promise.data.columns import Array, Columns, FloatArray, IntArray
from promise.job import Job
from promise.models.base import MATRIX, Examples, Fitted
from promise.models.blend import load_fitted
from promise.models.boosting import LightGBM
from promise.models.linear import FittedLinear, Linear

BACK = f"{MATRIX}:back"
"""The column of the same features seen from the candidate's side: float32 (n, d)."""
YES = Class(("no", "yes"))
STRENGTHS = (0.0003, 0.003, 0.03, 1.0)
"""Inverse penalties of the logistic regression that are tried."""
_TUNED_ROWS = 20_000
_NOWHERE = 1e-6


@dataclass(frozen=True)
class Ranker:
    """Scores candidates from both sides; a Score stage.

    Parameters
    ----------
    fitted
        Of two classes, on the columns of `names`.
    names
        The features it reads, in the order of the matrix.
    places
        Which columns of the whole matrix those are.
    slope, offset
        What makes its log-odds the chance of a yes by those who are shown the candidate.
    mutual
        Whether the candidate's side is scored as well.
    """

    kind: ClassVar[str] = "people_ranker"
    kind_version: ClassVar[int] = 1
    fitted: Fitted
    names: tuple[str, ...]
    places: tuple[int, ...]
    slope: float = 1.0
    offset: float = 0.0
    mutual: bool = False

    @property
    def reads(self) -> tuple[str, ...]:
        """Which features a score depends on."""
        return self.names

    def many(self, columns: Columns) -> Array:
        """Return the chances of both yeses: float64 (n, 2); NaN where a side is not scored."""
        there = self.chances(columns[MATRIX])
        if self.mutual and BACK in columns:
            return np.column_stack([there, self.chances(columns[BACK])])
        return np.column_stack([there, np.full(len(there), np.nan)])

    def chances(self, matrix: FloatArray) -> FloatArray:
        """Return the chance of a yes for rows of features: float64 (n,).

        Parameters
        ----------
        matrix
            All features of the featurizer, or exactly those of `names`.
        """
        if not len(matrix):
            return np.empty(0)
        if matrix.shape[1] != len(self.places) or self.places != tuple(range(len(self.places))):
            matrix = np.ascontiguousarray(matrix[:, list(self.places)])
        raw = self.fitted.predict(Columns({MATRIX: matrix}))[:, 1]
        return calibrated(raw, self.slope, self.offset)

    def with_calibration(self, matrix: FloatArray, yes: Array) -> Ranker:
        """Return it with chances that hold for these decisions; the order stays as it is."""
        slope, offset = platt(replace(self, slope=1.0, offset=0.0).chances(matrix), yes)
        return replace(self, slope=slope, offset=offset)

    def importance(self) -> list[dict[str, Any]]:
        """Return how much each feature counts, most first: coefficients, or gains of trees.

        A coefficient is per standard deviation of its feature, on the scale of log-odds.
        """
        if isinstance(self.fitted, FittedLinear):
            values = np.asarray(self.fitted.model["coef"]).reshape(-1)[: len(self.names)]
            what = "coefficient"
        else:
            values, what = _gains(self.fitted, len(self.names)), "gain"
        order = np.argsort(-np.abs(values), kind="stable")
        return [{"feature": self.names[i], what: float(values[i])} for i in order.tolist()]

    def save(self, folder: Path) -> None:
        """Write the model and what it reads."""
        (folder / "model").mkdir()
        self.fitted.save(folder / "model")
        told = {
            "kind": self.fitted.kind,
            "names": list(self.names),
            "places": list(self.places),
            "slope": self.slope,
            "offset": self.offset,
            "mutual": self.mutual,
        }
        (folder / "ranker.json").write_text(json.dumps(told, indent=2), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote."""
        told = json.loads((folder / "ranker.json").read_text(encoding="utf-8"))
        return cls(
            fitted=load_fitted(told["kind"], folder / "model"),
            names=tuple(told["names"]),
            places=tuple(told["places"]),
            slope=told["slope"],
            offset=told["offset"],
            mutual=told["mutual"],
        )


@dataclass(frozen=True)
class Rows:
    """Pairs to learn from.

    Parameters
    ----------
    matrix
        Features of each pair: float32 (n, d).
    yes
        1 where the chooser said yes: int64 (n,).
    request
        Whose list a pair is of; rows of one request are learned from together: int64 (n,).
    """

    matrix: FloatArray
    yes: IntArray
    request: IntArray

    def take(self, rows: Array) -> Rows:
        """Return some of the pairs."""
        return Rows(self.matrix[rows], self.yes[rows], self.request[rows])


def fit_ranker(
    estimator: Linear | LightGBM,
    rows: Rows,
    names: tuple[str, ...],
    read: tuple[str, ...],
    job: Job,
) -> Ranker:
    """Learn who says yes from pairs.

    Parameters
    ----------
    estimator
        A linear one without its `c` has it chosen by the likelihood of requests left out in turn.
    names
        Of the matrix's columns.
    read
        Those that the ranker reads.
    """
    places = tuple(names.index(name) for name in read)
    matrix = np.ascontiguousarray(rows.matrix[:, list(places)])
    if isinstance(estimator, Linear) and estimator.c is None:
        estimator = replace(estimator, c=_best_strength(matrix, rows, job))
    valid_part = np.unique(rows.request, return_inverse=True)[1] % 5 == 0
    stops = isinstance(estimator, LightGBM) and valid_part.any() and not valid_part.all()
    train = ~valid_part if stops else np.ones(len(matrix), dtype=bool)
    valid = _examples(matrix[valid_part], rows.yes[valid_part]) if stops else None
    fitted = estimator.fit(_examples(matrix[train], rows.yes[train]), valid, job)
    return Ranker(fitted, read, places)


def _examples(matrix: FloatArray, yes: IntArray) -> Examples:
    return Examples(Columns({MATRIX: matrix}), yes, YES)


def _best_strength(matrix: FloatArray, rows: Rows, job: Job) -> float:
    """Return the inverse penalty under which requests left out in turn are the least surprising."""
    request = np.unique(rows.request, return_inverse=True)[1]
    few = np.flatnonzero(request % (len(matrix) // _TUNED_ROWS + 1) == 0)
    x, yes, fold = matrix[few], rows.yes[few], request[few] // 7 % 3
    losses = []
    for c in STRENGTHS:
        chance = np.full(len(x), yes.mean() if len(yes) else 0.5)
        for part in range(3):
            here = fold == part
            if here.any() and len(np.unique(yes[~here])) == 2:
                fitted = Linear(c=c).fit(_examples(x[~here], yes[~here]), None, job)
                chance[here] = fitted.predict(Columns({MATRIX: x[here]}))[:, 1]
        p = np.clip(chance, _NOWHERE, 1 - _NOWHERE)
        losses.append(-float(np.mean(yes * np.log(p) + (1 - yes) * np.log(1 - p))))
    return STRENGTHS[int(np.argmin(losses))]


def logistic() -> Linear:
    """Return the logistic regression of the first design: standardised, C = 1."""
    return Linear(c=1.0)


def tuned_logistic() -> Linear:
    """Return a logistic regression whose penalty is chosen from the pairs themselves."""
    return Linear()


def boosted() -> LightGBM:
    """Return boosted trees, small enough to rank a hundred candidates within half a millisecond."""
    return LightGBM(rounds=100, early_stopping=12, learning_rate=0.12, leaves=15, min_leaf=30)


def calibrated(chance: FloatArray, slope: float, offset: float) -> FloatArray:
    """Return chances whose log-odds are stretched and moved.

    Examples
    --------
    >>> calibrated(np.array([0.5, 0.9]), 1.0, 0.0).round(3)
    array([0.5, 0.9])
    """
    if slope == 1.0 and offset == 0.0:
        return np.asarray(chance, dtype=np.float64)
    odds = slope * _log_odds(chance) + offset
    return np.asarray(1.0 / (1.0 + np.exp(-odds)))


def platt(chance: FloatArray, yes: Array, rounds: int = 50) -> tuple[float, float]:
    """Return slope and offset that make chances hold, by Newton's method (Platt 1999, eq. 1).

    We differ by a slope that is never below a hundredth, so that the order stays as it is.

    Examples
    --------
    >>> slope, offset = platt(np.full(100, 0.5), np.arange(100) < 20)
    >>> calibrated(np.array([0.5]), slope, offset).round(2)
    array([0.2])
    """
    n_yes, n_no = int((yes > 0).sum()), int((yes <= 0).sum())
    if not n_yes or not n_no:
        return 1.0, 0.0
    x = np.column_stack([_log_odds(chance), np.ones(len(chance))])
    target = np.where(yes > 0, (n_yes + 1) / (n_yes + 2), 1 / (n_no + 2))
    w = np.array([1.0, 0.0])
    for _ in range(rounds):
        p = 1.0 / (1.0 + np.exp(-np.clip(x @ w, -30, 30)))
        gradient = x.T @ (p - target) + 1e-3 * (w - [1.0, 0.0])
        curve = (x * (p * (1 - p))[:, None]).T @ x + 1e-3 * np.eye(2)
        step = np.linalg.solve(curve, gradient)
        w -= np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-9:
            break
    if w[0] < 0.01:
        return 0.01, float(w[1])
    return float(w[0]), float(w[1])


def _log_odds(chance: FloatArray) -> FloatArray:
    p = np.clip(np.asarray(chance, dtype=np.float64), _NOWHERE, 1 - _NOWHERE)
    return np.log(p / (1 - p))


def _gains(fitted: Any, width: int) -> FloatArray:
    """Return the share of each column in the trees' splits, by what the splits gained."""
    booster = fitted.model["booster"]
    if booster is None:
        return np.zeros(width)
    found = np.asarray(booster.feature_importance("gain"), dtype=np.float64)
    return found / found.sum() if found.sum() else found
