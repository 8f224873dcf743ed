"""What ranks people before anything was learned, and by a collaborative source alone."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from promise.data.columns import Array, Columns, FloatArray
from promise.features.pairs import day_one
from promise.models.base import MATRIX
from promise.models.linear import FittedLinear
from promise.workloads.matching.ranker import Ranker

_READ = ("completeness", "recent_activity_30d", "account_age_days")
AFFINITY = "affinity"


@dataclass(frozen=True)
class DayOne:
    """Complete and active profiles first, newer ones a bit up; a Score stage.

    Parameters
    ----------
    names
        The features of the matrix that it is given, in order.
    """

    kind: ClassVar[str] = "day_one"
    kind_version: ClassVar[int] = 1
    names: tuple[str, ...]
    mutual: ClassVar[bool] = False
    reads: ClassVar[tuple[str, ...]] = _READ

    def many(self, columns: Columns) -> Array:
        """Return scores between 0 and 1 as the chance of the chooser's yes: float64 (n, 2)."""
        there = self.chances(columns[MATRIX])
        return np.column_stack([there, np.full(len(there), np.nan)])

    def chances(self, matrix: FloatArray) -> FloatArray:
        """Return the score of each row of features: float64 (n,)."""
        filled, recent, days = (matrix[:, self.names.index(name)] for name in _READ)
        return day_one(filled, recent, days).astype(np.float64)

    def save(self, folder: Path) -> None:
        """Write which features it is given."""
        told = json.dumps({"names": list(self.names)})
        (folder / "day_one.json").write_text(told, encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote."""
        told = json.loads((folder / "day_one.json").read_text(encoding="utf-8"))
        return cls(tuple(told["names"]))


def by_affinity(names: tuple[str, ...]) -> Ranker:
    """Return the ranker that keeps the order of the collaborative source, to be calibrated."""
    model = {
        "n_classes": 2,
        "basis": "none",
        "mean": np.zeros(1),
        "scale": np.ones(1),
        "coef": np.ones((1, 1)),
        "intercept": np.zeros(1),
    }
    return Ranker(FittedLinear(model), (AFFINITY,), (names.index(AFFINITY),))
