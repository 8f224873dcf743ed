"""Boosted trees by XGBoost and LightGBM, under one spelling of their parameters."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from math import log10
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from promise.data.answer import Class, Number
from promise.data.columns import Array, Columns, FloatArray
from promise.errors import DataError
from promise.job import Job
from promise.kernels.boosting import CLASS_LIMIT
from promise.kernels.boosting_lightgbm import (
    contributions_lightgbm,
    fit_lightgbm,
    load_lightgbm,
    predict_lightgbm,
    rounds_lightgbm,
    save_lightgbm,
)
from promise.kernels.boosting_xgboost import (
    contributions_xgboost,
    fit_xgboost,
    load_xgboost,
    predict_xgboost,
    rounds_xgboost,
    save_xgboost,
)
from promise.models.base import MATRIX, Choice, Examples, Range, Space, fit_terms

Loss = Literal["squared", "absolute", "huber"]


def _terms(train: Examples, valid: Examples | None, job: Job, kind: str) -> dict[str, Any]:
    """Return what both kernels want beside the rows, after refusing what cannot be learned."""
    if train.n_classes > CLASS_LIMIT:
        raise DataError(
            f"{kind} grows one tree per class and round; {train.n_classes:,} classes are more "
            f"than its {CLASS_LIMIT:,}. Merge rare classes, or use --families linear,random_forest."
        )
    return {**fit_terms(train, valid, job), "categorical": train.categorical}


@dataclass(frozen=True, eq=False)
class FittedXGBoost:
    """Trees learned by XGBoost; predicts on one thread, so that many may share it."""

    kind: ClassVar[str] = "xgboost"
    model: dict[str, Any]

    def predict(self, columns: Columns) -> Array:
        """Return numbers (n,) or probabilities (n, n_classes)."""
        return predict_xgboost(self.model, columns[MATRIX])

    def contributions(self, columns: Columns) -> FloatArray:
        """Return what each column adds to the margin, then the base value."""
        return contributions_xgboost(self.model, columns[MATRIX])

    @property
    def rounds(self) -> int:
        """Rounds kept; each grows one tree, or one per class above two."""
        return rounds_xgboost(self.model)

    def save(self, folder: Path) -> None:
        """Write the model as UBJ and JSON."""
        save_xgboost(self.model, folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote."""
        return cls(load_xgboost(folder))


@dataclass(frozen=True)
class XGBoost:
    """Learns boosted trees level by level over quantile bins.

    Parameters
    ----------
    rounds, early_stopping
        At most so many rounds; with validation rows, fewer once `early_stopping` rounds in a
        row have not helped (0: never).
    growth
        `"depth"` grows level by level to `max_depth`; `"leaf"` splits the best leaf first, up to
        `leaves`.
    min_leaf
        Smallest sum of second derivatives in a leaf (rows, for numbers).
    subsample, column_sample, column_sample_node
        Shares of rows per round, of columns per tree and per node.
    l1, l2, min_gain
        Penalties on leaf values; smallest gain worth a split.
    bins
        Into how many values a column is cut.
    loss
        For numbers: `"squared"`, `"absolute"` or `"huber"`.
    native_categories
        Whether category codes are split as sets of categories, rather than as numbers.

    Examples
    --------
    >>> XGBoost(rounds=500).at_rounds(120).rounds
    120
    """

    kind: ClassVar[str] = "xgboost"
    extra: ClassVar[str | None] = None
    answers: ClassVar[frozenset[type]] = frozenset({Number, Class})
    fitted: ClassVar[type[FittedXGBoost]] = FittedXGBoost
    ordered: ClassVar[bool] = False
    most_classes: ClassVar[int] = CLASS_LIMIT

    learning_rate: float = 0.1
    rounds: int = 1000
    early_stopping: int = 40
    growth: Literal["depth", "leaf"] = "depth"
    max_depth: int = 6
    leaves: int = 0
    min_leaf: float = 1.0
    subsample: float = 1.0
    column_sample: float = 1.0
    column_sample_node: float = 1.0
    l1: float = 0.0
    l2: float = 1.0
    min_gain: float = 0.0
    bins: int = 256
    loss: Loss = "squared"
    native_categories: bool = True
    one_hot_limit: int = 4

    def fit(self, train: Examples, valid: Examples | None, job: Job) -> FittedXGBoost:
        """Learn from `train`; `valid` stops early and the deadline keeps what is learned."""
        terms = _terms(train, valid, job, self.kind)
        model = fit_xgboost(train.matrix, train.y, train.n_classes, asdict(self), **terms)
        return FittedXGBoost(model)

    def at_rounds(self, rounds: int) -> XGBoost:
        """Return this configuration fixed to so many rounds."""
        return replace(self, rounds=rounds, early_stopping=0)

    @classmethod
    def space(cls) -> Space:
        """Return the parameters worth tuning and where."""
        return {
            "learning_rate": Range(0.02, 0.2, log=True),
            "max_depth": Range(3, 10, integer=True),
            "min_leaf": Range(0.5, 30, log=True),
            "subsample": Range(0.6, 1.0),
            "column_sample": Range(0.4, 1.0),
            "l2": Range(0.1, 20, log=True),
            "min_gain": Choice((0.0, 0.0, 0.1, 1.0)),
            "native_categories": Choice((True, False)),
        }

    @classmethod
    def memory_mb(cls, rows: int, columns: int, classes: int) -> float:
        """Return the peak memory of a fit, above matrix and imported libraries, in MiB.

        Measured with a quarter more rows for validation, and typical rounds.
        """
        outputs = classes if classes > 2 else 1
        bins = 1.25 * rows * columns / 2**20
        sketch = columns * max(0.1, 0.2 + 0.38 * log10(max(rows, 1) / 1000)) + 20 * rows / 2**20
        rounds = (80 + 15 * outputs) * rows / 2**20 + 0.26 * columns
        return 8 + bins + max(sketch, rounds + 0.005 * _trees(outputs))


@dataclass(frozen=True, eq=False)
class FittedLightGBM:
    """Trees learned by LightGBM; predicts on one thread, so that many may share it."""

    kind: ClassVar[str] = "lightgbm"
    model: dict[str, Any]

    def predict(self, columns: Columns) -> Array:
        """Return numbers (n,) or probabilities (n, n_classes)."""
        return predict_lightgbm(self.model, columns[MATRIX])

    def contributions(self, columns: Columns) -> FloatArray:
        """Return what each column adds to the margin, then the base value."""
        return contributions_lightgbm(self.model, columns[MATRIX])

    @property
    def rounds(self) -> int:
        """Rounds kept; each grows one tree, or one per class above two."""
        return rounds_lightgbm(self.model)

    def save(self, folder: Path) -> None:
        """Write the model as text and JSON."""
        save_lightgbm(self.model, folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote."""
        return cls(load_lightgbm(folder))


@dataclass(frozen=True)
class LightGBM:
    """Learns boosted trees leaf by leaf over histogram bins.

    Parameters are those of `XGBoost`, and:

    Parameters
    ----------
    leaves, max_depth
        Most leaves of a tree; its depth is free at -1.
    min_leaf
        Fewest rows in a leaf.
    extra_trees
        Whether split points are drawn at random, which smooths noisy columns.
    linear_leaves
        Whether leaves hold small linear models, which follow smooth targets with fewer trees.
    path_smooth
        How strongly small leaves lean on their parents.
    category_smooth, category_l2, category_min_rows
        How carefully rare categories are split.

    Examples
    --------
    >>> LightGBM().at_rounds(80).early_stopping
    0
    """

    kind: ClassVar[str] = "lightgbm"
    extra: ClassVar[str | None] = None
    answers: ClassVar[frozenset[type]] = frozenset({Number, Class})
    fitted: ClassVar[type[FittedLightGBM]] = FittedLightGBM
    ordered: ClassVar[bool] = False
    most_classes: ClassVar[int] = CLASS_LIMIT

    learning_rate: float = 0.05
    rounds: int = 2000
    early_stopping: int = 60
    leaves: int = 31
    max_depth: int = -1
    min_leaf: int = 20
    subsample: float = 1.0
    column_sample: float = 1.0
    column_sample_node: float = 1.0
    l1: float = 0.0
    l2: float = 0.0
    min_gain: float = 0.0
    bins: int = 255
    loss: Loss = "squared"
    extra_trees: bool = False
    linear_leaves: bool = False
    path_smooth: float = 0.0
    native_categories: bool = True
    category_smooth: float = 10.0
    category_l2: float = 10.0
    category_min_rows: int = 100

    def fit(self, train: Examples, valid: Examples | None, job: Job) -> FittedLightGBM:
        """Learn from `train`; `valid` stops early and the deadline keeps what is learned."""
        terms = _terms(train, valid, job, self.kind)
        model = fit_lightgbm(train.matrix, train.y, train.n_classes, asdict(self), **terms)
        return FittedLightGBM(model)

    def at_rounds(self, rounds: int) -> LightGBM:
        """Return this configuration fixed to so many rounds."""
        return replace(self, rounds=rounds, early_stopping=0)

    @classmethod
    def space(cls) -> Space:
        """Return the parameters worth tuning and where."""
        return {
            "learning_rate": Range(0.02, 0.2, log=True),
            "leaves": Range(7, 255, log=True, integer=True),
            "min_leaf": Range(2, 60, log=True, integer=True),
            "subsample": Range(0.6, 1.0),
            "column_sample": Range(0.4, 1.0),
            "l2": Range(0.01, 20, log=True),
            "extra_trees": Choice((False, False, True)),
            "native_categories": Choice((True, False)),
        }

    @classmethod
    def memory_mb(cls, rows: int, columns: int, classes: int) -> float:
        """Return the peak memory of a fit, above matrix and imported libraries, in MiB.

        Measured with a quarter more rows for validation, and typical rounds.
        """
        outputs = classes if classes > 2 else 1
        bins = 1.25 * rows * columns / 2**20
        # Bin edges are found on a sample of 200,000 rows that is copied as float64.
        edges = (12 * min(rows, 200_000) * columns + 20 * rows) / 2**20
        rounds = (24 + 22 * outputs) * rows / 2**20 + 0.127 * columns
        return 6 + bins + max(edges, rounds + 0.009 * _trees(outputs))


def _trees(outputs: int) -> float:
    """Return how many trees a fit typically grows: more classes stop after fewer rounds."""
    return float(outputs * (60 + 140 / outputs**0.5))
