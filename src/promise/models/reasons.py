"""Why a score is high, in a few codes: exact for a small model, and honest about how near it is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from promise.data.answer import Number
from promise.data.columns import Array, Columns, FloatArray
from promise.errors import ConfigError, DataError
from promise.job import Job
from promise.models.base import MATRIX, Examples, Explainable, Fitted
from promise.models.blend import load_fitted
from promise.models.boosting import LightGBM, XGBoost

SURROGATE = XGBoost(rounds=200, early_stopping=0, max_depth=4, learning_rate=0.1)
"""Small enough that its exact contributions take about a millisecond a row."""


@dataclass(frozen=True)
class Reason:
    """One code and how much it raised the score, on the log-odds."""

    code: str
    contribution: float


@dataclass(frozen=True)
class Fidelity:
    """How near reasons are to the model that answers; goes beside them wherever they are shown.

    Parameters
    ----------
    exact
        Whether the reasons are the answering model's own.
    r2
        Share of the variance of the answering model's log-odds that the explained model follows;
        None where they do not vary.
    top_overlap
        Mean share of the true top codes that were named; None where nobody compared.
    rows
        How many rows, learned from by neither, the numbers are taken of.
    """

    exact: bool
    r2: float | None
    rows: int
    top_overlap: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary."""
        return dict(vars(self))


@dataclass(frozen=True)
class Reasons:
    """Names the codes that raised a score, for scores that somebody will ask about.

    Parameters
    ----------
    fitted
        Gives contributions per matrix column: a surrogate, or the answering model itself.
    codes
        A code for each matrix column; columns that share one are summed.
    fidelity
        Measured on held-out rows by `Surrogate.fit`, or `Fidelity(exact=True, …)`.
    least_score
        Rows below get no reasons.
    top
        Most codes per row.
    """

    kind: ClassVar[str] = "reasons"
    fitted: Fitted
    codes: tuple[str, ...]
    fidelity: Fidelity
    least_score: float = 0.2
    top: int = 3
    _distinct: tuple[str, ...] = field(init=False, repr=False, compare=False)
    _places: Array = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.fitted, Explainable):
            raise ConfigError(
                f"{self.fitted.kind} splits no answer into contributions; explain it by a "
                "surrogate: Surrogate().fit(…)."
            )
        distinct = tuple(dict.fromkeys(self.codes))
        places = np.array([distinct.index(code) for code in self.codes], dtype=np.int64)
        object.__setattr__(self, "_distinct", distinct)
        object.__setattr__(self, "_places", places)

    def many(self, matrix: FloatArray, score: Array) -> list[tuple[Reason, ...]]:
        """Return each row's reasons, the strongest first; none below `least_score`.

        Parameters
        ----------
        matrix
            Float32 (n, d), as the models read it.
        score
            Calibrated chances (n,).
        """
        found: list[tuple[Reason, ...]] = [()] * len(score)
        asked = np.flatnonzero(score >= self.least_score)
        if len(asked):
            for row, parts in zip(asked, self.contributions(matrix[asked]), strict=True):
                found[row] = self.named(parts)
        return found

    def contributions(self, matrix: FloatArray) -> FloatArray:
        """Return what each matrix column adds to the log-odds, then the base: (n, d + 1)."""
        fitted: Any = self.fitted
        parts: FloatArray = fitted.contributions(Columns({MATRIX: matrix}))
        if parts.shape[1:] != (len(self.codes) + 1,):
            raise DataError(
                f"contributions have shape {parts.shape}, expected (n, {len(self.codes) + 1}): "
                "one code for each matrix column, of a number or two classes."
            )
        return parts

    def named(self, parts: Array) -> tuple[Reason, ...]:
        """Return the codes that raise one row's score, from its contributions (d + 1,)."""
        sums = np.bincount(self._places, weights=parts[:-1], minlength=len(self._distinct))
        order = np.argsort(-sums, kind="stable")[: self.top].tolist()
        return tuple(Reason(self._distinct[i], float(sums[i])) for i in order if sums[i] > 0)

    def reconciled(self, matrix: FloatArray, exact: FloatArray) -> Self:
        """Return these reasons with their fidelity compared to exact contributions.

        Parameters
        ----------
        matrix, exact
            Rows (n, d) that were scored, and the answering model's contributions (n, d + 1).
        """
        ours = [self.named(parts) for parts in self.contributions(matrix)]
        theirs = [self.named(parts) for parts in exact]
        overlap = top_overlap(ours, theirs)
        r2 = r_squared(exact.sum(axis=1), self.contributions(matrix).sum(axis=1))
        fidelity = Fidelity(self.fidelity.exact, r2, len(exact), overlap)
        return replace(self, fidelity=fidelity)

    def save(self, folder: Path) -> None:
        """Write the explained model into a folder of its own, and the codes beside it."""
        home = folder / "explained"
        home.mkdir()
        self.fitted.save(home)
        data = {
            "kind": self.fitted.kind,
            "codes": list(self.codes),
            "fidelity": self.fidelity.to_json(),
            "least_score": self.least_score,
            "top": self.top,
        }
        (folder / "reasons.json").write_text(json.dumps(data, indent=2), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote."""
        data = json.loads((folder / "reasons.json").read_text(encoding="utf-8"))
        return cls(
            fitted=load_fitted(data["kind"], folder / "explained"),
            codes=tuple(data["codes"]),
            fidelity=Fidelity(**data["fidelity"]),
            least_score=data["least_score"],
            top=data["top"],
        )


@dataclass(frozen=True)
class Surrogate:
    """Learns a small model of a large model's log-odds, whose reasons are quick and exact for it.

    Parameters
    ----------
    estimator
        What to learn; its contributions are what will be shown.
    codes
        Matrix column to code; columns without one are their own code.
    least_score, top
        As in `Reasons`.
    """

    estimator: XGBoost | LightGBM = SURROGATE
    codes: tuple[tuple[str, str], ...] = ()
    least_score: float = 0.2
    top: int = 3

    def fit(
        self, train: Examples, margins: Array, held: Examples, held_margins: Array, job: Job
    ) -> Reasons:
        """Learn from the log-odds that the large model gave, and measure on held-out rows.

        Parameters
        ----------
        train, held
            Rows with `names`; their labels are not read.
        margins, held_margins
            Calibrated log-odds (n,) of the model to explain.
        """
        if len(train.names) != train.matrix.shape[1]:
            raise ConfigError(
                f"reasons need a name for each of {train.matrix.shape[1]} matrix columns; "
                f"got {len(train.names)}."
            )
        goal = replace(train, y=np.asarray(margins, dtype=np.float64), answer=Number())
        fitted = self.estimator.fit(goal, None, job.child("surrogate"))
        told = fitted.predict(Columns({MATRIX: held.matrix}))
        named = dict(self.codes)
        return Reasons(
            fitted=fitted,
            codes=tuple(named.get(name, name) for name in train.names),
            fidelity=Fidelity(False, r_squared(held_margins, told), held.n_rows),
            least_score=self.least_score,
            top=self.top,
        )


def r_squared(truth: Array, told: Array) -> float | None:
    """Return the share of variance followed; None where the truth does not vary."""
    spread = float(np.square(truth - truth.mean()).sum()) if len(truth) else 0.0
    return 1.0 - float(np.square(truth - told).sum()) / spread if spread > 0 else None


def top_overlap(
    found: Sequence[Sequence[Reason]], exact: Sequence[Sequence[Reason]]
) -> float | None:
    """Return the mean share of exact codes that were found; None where there are none at all.

    Examples
    --------
    >>> a, b, c = (Reason(code, 1.0) for code in "abc")
    >>> top_overlap([(a, b), (c,)], [(a, c), (c,)])
    0.75
    """
    shares = [
        len({r.code for r in ours} & {r.code for r in theirs}) / len(theirs)
        for ours, theirs in zip(found, exact, strict=True)
        if theirs
    ]
    return float(np.mean(shares)) if shares else None
