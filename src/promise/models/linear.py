"""Ridge and logistic regression; with a basis they bend where the data asks."""
# ruff: noqa: ARG002 — all families share one signature

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from promise.data.answer import Class, Number
from promise.data.columns import Array, Columns, FloatArray
from promise.job import Job
from promise.kernels.linear import (
    CACHE_VALUES,
    LOO_ROWS,
    PATH_ROWS,
    contributions_linear,
    fit_linear,
    load_linear,
    predict_linear,
    save_linear,
)
from promise.models.base import MATRIX, Choice, Examples, Range, Space, fit_terms

FEW_COLUMNS = 600
"""Up to so many columns the leave-one-out search takes five times the rows, as in the kernel."""


@dataclass(frozen=True, eq=False)
class FittedLinear:
    """Coefficients, predicted in NumPy."""

    kind: ClassVar[str] = "linear"
    model: dict[str, Any]

    def predict(self, columns: Columns) -> Array:
        """Return numbers (n,) or probabilities (n, n_classes)."""
        return predict_linear(self.model, columns[MATRIX])

    def contributions(self, columns: Columns) -> FloatArray:
        """Return each column's part of the margin, the base value last; exact without a basis."""
        parts = contributions_linear(self.model, columns[MATRIX])
        return parts[:, 0] if self.model["n_classes"] <= 2 else parts

    def save(self, folder: Path) -> None:
        """Write the coefficients."""
        save_linear(self.model, folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote."""
        return cls(load_linear(folder))


@dataclass(frozen=True)
class Linear:
    """Ridge for a Number, logistic regression for a Class.

    Parameters
    ----------
    alpha
        Ridge penalty on standardised columns; None: the least leave-one-out error.
    c
        Inverse logistic penalty; None: the least log-loss on validation rows.
    basis
        `"none"`; `"quadratic"`: products of all pairs, for up to 60 columns; `"rbf"`: random
        Fourier features beside the columns, a smooth function of any shape.
    components
        How many Fourier features.
    gamma_scale
        Their sharpness: the kernel's gamma times the number of columns.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.linspace(-1, 1, 50, dtype=np.float32)[:, None]
    >>> train = Examples(Columns({MATRIX: x}), 3.0 * x[:, 0] + 1.0, Number())
    >>> fitted = Linear(alpha=1e-6).fit(train, None, Job())
    >>> fitted.predict(Columns({MATRIX: np.ones((1, 1), dtype=np.float32)})).round(3)
    array([4.])
    """

    kind: ClassVar[str] = "linear"
    extra: ClassVar[str | None] = None
    answers: ClassVar[frozenset[type]] = frozenset({Number, Class})
    fitted: ClassVar[type[FittedLinear]] = FittedLinear
    ordered: ClassVar[bool] = False

    alpha: float | None = None
    c: float | None = None
    basis: Literal["none", "quadratic", "rbf"] = "none"
    components: int = 500
    gamma_scale: float = 0.5

    def fit(self, train: Examples, valid: Examples | None, job: Job) -> FittedLinear:
        """Learn; `valid`, when given, chooses the logistic penalty."""
        terms = fit_terms(train, valid, job)
        model = fit_linear(train.matrix, train.y, train.n_classes, asdict(self), **terms)
        return FittedLinear(model)

    def at_rounds(self, rounds: int) -> Self:
        """Return itself: there are no rounds."""
        return self

    @classmethod
    def space(cls) -> Space:
        """Return the shape of the function; its penalty is chosen at each fit."""
        return {
            "basis": Choice(("none", "quadratic", "rbf", "rbf")),
            "components": Range(200, 1500, log=True, integer=True),
            "gamma_scale": Range(0.03, 2.0, log=True),
        }

    @classmethod
    def memory_mb(cls, rows: int, columns: int, classes: int) -> float:
        """Return the memory of the widest basis that races by default: random features.

        Quantities hold rows and products of the leave-one-out search and the normal equations,
        classes the blocks that every step of their optimiser passes over, and the shares of the
        rows by which a penalty is chosen.
        """
        width = columns + cls.components
        blocks = 12 * min(rows * width, 2**21)
        coefficients = 25 * 8 * width * max(1, classes)
        judged = 8 * min(rows // 2, PATH_ROWS) * max(2, classes)
        if classes:
            learned = min(rows * width * 4, CACHE_VALUES * 4)
        else:
            apart = min(rows, LOO_ROWS if width > FEW_COLUMNS else 5 * LOO_ROWS)
            learned = 8 * (4 * apart * width + 3 * min(width, rows) ** 2)
        return 3.0 + (blocks + learned + coefficients + judged) / 2**20
