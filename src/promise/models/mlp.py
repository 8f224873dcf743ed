"""A small ensemble of multilayer perceptrons; needs nothing but NumPy."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

from promise.data.answer import Class, Number
from promise.data.columns import Array, Columns
from promise.job import Job
from promise.kernels.mlp import fit_mlp, load_mlp, predict_mlp, rounds_mlp, save_mlp
from promise.models.base import MATRIX, Choice, Examples, Range, Space, fit_terms


@dataclass(frozen=True, eq=False)
class FittedPerceptron:
    """Weights of all members, predicted in NumPy."""

    kind: ClassVar[str] = "mlp"
    model: dict[str, Any]

    @property
    def rounds(self) -> int:
        """How many epochs the weights have seen."""
        return rounds_mlp(self.model)

    def predict(self, columns: Columns) -> Array:
        """Return numbers (n,) or probabilities (n, n_classes)."""
        return predict_mlp(self.model, columns[MATRIX])

    def save(self, folder: Path) -> None:
        """Write the weights."""
        save_mlp(self.model, folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote."""
        return cls(load_mlp(folder))


@dataclass(frozen=True)
class Perceptron:
    """Fully connected layers, several networks averaged.

    Parameters
    ----------
    width, depth
        Size and number of the hidden layers.
    members
        How many networks are trained side by side and averaged.
    epochs
        Length of the cosine schedule.
    rounds
        Epochs after which to stop on that schedule; None: all, or the best on validation rows.
    learning_rate, weight_decay, dropout
        Step size at the peak; shrinkage and noise against overfitting.
    batch
        Rows per step; None: a fortieth of the rows, between 32 and 512.
    """

    kind: ClassVar[str] = "mlp"
    extra: ClassVar[str | None] = None
    answers: ClassVar[frozenset[type]] = frozenset({Number, Class})
    fitted: ClassVar[type[FittedPerceptron]] = FittedPerceptron
    ordered: ClassVar[bool] = False

    width: int = 128
    depth: int = 2
    members: int = 4
    epochs: int = 30
    rounds: int | None = None
    learning_rate: float = 3e-3
    weight_decay: float = 1.0
    dropout: float = 0.1
    batch: int | None = None

    def fit(self, train: Examples, valid: Examples | None, job: Job) -> FittedPerceptron:
        """Train; `valid`, when given, chooses the epoch."""
        terms = fit_terms(train, valid, job)
        model = fit_mlp(train.matrix, train.y, train.n_classes, asdict(self), **terms)
        return FittedPerceptron(model)

    def at_rounds(self, rounds: int) -> Self:
        """Return this network stopped after so many epochs of its schedule."""
        return replace(self, rounds=rounds)

    @classmethod
    def space(cls) -> Space:
        """Return size, step size and regularisation."""
        return {
            "width": Choice((64, 128, 256)),
            "depth": Choice((1, 2, 3)),
            "learning_rate": Range(5e-4, 1e-2, log=True),
            "weight_decay": Range(0.1, 5.0, log=True),
            "dropout": Choice((0.0, 0.1, 0.3)),
        }

    @classmethod
    def memory_mb(cls, rows: int, columns: int, classes: int) -> float:
        """Return the memory of weights, their moments and one batch, at the default size."""
        weights = 4 * (128 * (columns + 128 + max(1, classes)))
        batch = 4 * 512 * (3 * columns + 6 * 128 + 3 * max(1, classes))
        return 2.0 + (weights * 4 * 6 + batch + rows * (40 + 8 * max(1, classes))) / 2**20
