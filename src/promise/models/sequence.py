"""An LSTM for rows that have an order: the last rows of an entity say what comes."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Self

from promise.data.answer import Class, Number
from promise.data.columns import Array, Columns
from promise.errors import MissingExtra
from promise.job import Job
from promise.kernels.lstm import fit_lstm, load_lstm, predict_lstm, rounds_lstm, save_lstm
from promise.models.base import MATRIX, ORDER, Choice, Examples, Range, Space, fit_terms


@dataclass(frozen=True, eq=False)
class FittedLSTM:
    """Weights, predicted in NumPy; PyTorch is needed for training only."""

    kind: ClassVar[str] = "lstm"
    model: dict[str, Any]

    @property
    def rounds(self) -> int:
        """How many epochs the weights have seen."""
        return rounds_lstm(self.model)

    def predict(self, columns: Columns) -> Array:
        """Return numbers (n,) or probabilities (n, n_classes).

        Rows are ordered by the column `ORDER`; without it they are one entity's, as they come.
        """
        return predict_lstm(self.model, columns[MATRIX], columns.arrays.get(ORDER))

    def save(self, folder: Path) -> None:
        """Write the weights."""
        save_lstm(self.model, folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote."""
        return cls(load_lstm(folder))


@dataclass(frozen=True)
class LSTM:
    """One recurrent layer over the last rows of the same entity.

    Rows without an order are windows of length one.

    Parameters
    ----------
    window
        Rows per window, the current one included.
    hidden
        Size of the cell's state.
    epochs
        Length of the cosine schedule.
    rounds
        Epochs after which to stop on that schedule; None: all, or the best on validation rows.
    learning_rate, dropout
        Step size at the start, and noise before the last layer.
    batch
        Rows per step; None: a fortieth of the rows, between 32 and 512.

    Raises
    ------
    MissingExtra
        When PyTorch is not installed.
    """

    kind: ClassVar[str] = "lstm"
    extra: ClassVar[str | None] = "deep"
    answers: ClassVar[frozenset[type]] = frozenset({Number, Class})
    fitted: ClassVar[type[FittedLSTM]] = FittedLSTM
    ordered: ClassVar[bool] = True

    window: int = 12
    hidden: int = 64
    epochs: int = 30
    rounds: int | None = None
    learning_rate: float = 3e-3
    dropout: float = 0.1
    batch: int | None = None

    def fit(self, train: Examples, valid: Examples | None, job: Job) -> FittedLSTM:
        """Train; `valid`, when given, chooses the epoch."""
        if find_spec("torch") is None:
            raise MissingExtra("the LSTM", "deep")
        model = fit_lstm(
            train.matrix,
            train.y,
            train.n_classes,
            asdict(self),
            **fit_terms(train, valid, job),
            order=train.order,
            valid_order=None if valid is None else valid.order,
        )
        return FittedLSTM(model)

    def at_rounds(self, rounds: int) -> Self:
        """Return this network stopped after so many epochs of its schedule."""
        return replace(self, rounds=rounds)

    @classmethod
    def space(cls) -> Space:
        """Return how far back and how much it remembers, and the step size."""
        return {
            "window": Choice((4, 8, 16, 32)),
            "hidden": Choice((32, 64, 128)),
            "learning_rate": Range(1e-3, 1e-2, log=True),
            "dropout": Choice((0.0, 0.1, 0.3)),
        }

    @classmethod
    def memory_mb(cls, rows: int, columns: int, classes: int) -> float:
        """Return the memory of PyTorch itself, the standardised rows, windows and one batch."""
        steps = 512 * 12 * (columns + 12 * 64) * 4
        data = rows * (2 * columns * 4 + 12 * 8 * 3 + 16 + 8 * max(1, classes))
        return 245.0 + (steps * 2 + data + 4 * 12 * 64 * (columns + 64)) / 2**20
