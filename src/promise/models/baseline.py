"""The trivial model that every score stands beside."""
# ruff: noqa: ARG002, ARG003 — all families share one signature

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from promise.data.answer import Class, Number
from promise.data.columns import Array, Columns
from promise.job import Job
from promise.kernels.baseline import fit_baseline, load_baseline, predict_baseline, save_baseline
from promise.models.base import MATRIX, Examples, Space


@dataclass(frozen=True, eq=False)
class FittedBaseline:
    """Answers every row alike."""

    kind: ClassVar[str] = "baseline"
    model: dict[str, Any]

    def predict(self, columns: Columns) -> Array:
        """Return the mean (n,), or the class shares (n, n_classes)."""
        return predict_baseline(self.model, columns[MATRIX])

    def save(self, folder: Path) -> None:
        """Write the one answer."""
        save_baseline(self.model, folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote."""
        return cls(load_baseline(folder))


@dataclass(frozen=True)
class Baseline:
    """Learns the mean of a number, or how often each class occurs.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.zeros((4, 1), dtype=np.float32)
    >>> train = Examples(Columns({MATRIX: x}), np.array([0, 1, 1, 1]), Class(("no", "yes")))
    >>> Baseline().fit(train, None, Job()).predict(train.columns)[0]
    array([0.25, 0.75])
    """

    kind: ClassVar[str] = "baseline"
    extra: ClassVar[str | None] = None
    answers: ClassVar[frozenset[type]] = frozenset({Number, Class})
    fitted: ClassVar[type[FittedBaseline]] = FittedBaseline
    ordered: ClassVar[bool] = False

    def fit(self, train: Examples, valid: Examples | None, job: Job) -> FittedBaseline:
        """Learn from the labels alone."""
        model = fit_baseline(
            train.matrix, train.y, train.n_classes, asdict(self), weight=train.weight
        )
        return FittedBaseline(model)

    def at_rounds(self, rounds: int) -> Self:
        """Return itself: there are no rounds."""
        return self

    @classmethod
    def space(cls) -> Space:
        """Return no parameters: there is nothing to tune."""
        return {}

    @classmethod
    def memory_mb(cls, rows: int, columns: int, classes: int) -> float:
        """Return the memory of one pass over the labels and of the answers."""
        return 1.0 + rows * (8 + 2 * max(1, classes)) / 2**20  # a quarter is answered
