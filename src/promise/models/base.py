"""Estimator → Fitted: a configuration learns and returns another type, safe to share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

import numpy as np

from promise.data.answer import Answer, Class
from promise.data.columns import Array, Columns, FloatArray, IntArray
from promise.errors import ConfigError, near
from promise.job import Job

MATRIX = "features"
"""The column in which featurized rows arrive: float32 of shape (n, d)."""

ORDER = "\0order"
"""The column in which the order of rows travels, int64 (n, 2): entity code, rank in time.

No file has such a column name, so that a user's own column `order` stays a column."""


@dataclass(frozen=True)
class Examples:
    """Rows to learn from, with their labels.

    Parameters
    ----------
    columns
        The inputs; for score estimators the matrix under `MATRIX`.
    y
        Float64 quantities for a Number; int64 class codes for a Class. Never missing.
    answer
        What is to be answered.
    rows
        Row numbers in the source: what hashes (out-of-fold encodings, samples) are taken of.
    weight
        Row weights, or None for equal ones.
    names
        Names of the matrix's columns.
    categorical
        Which matrix columns hold category codes (0 … k-1; NaN for missing or unseen).
    order
        For rows that have an order, int64 of shape (n, 2): entity code, rank in time. Else None.
    """

    columns: Columns
    y: Array
    answer: Answer
    rows: IntArray | None = None
    weight: FloatArray | None = None
    names: tuple[str, ...] = ()
    categorical: tuple[int, ...] = ()
    order: IntArray | None = None

    @property
    def n_rows(self) -> int:
        """How many rows there are."""
        return len(self.y)

    @property
    def matrix(self) -> FloatArray:
        """The featurized rows, float32 of shape (n, d)."""
        return self.columns[MATRIX]

    @property
    def n_classes(self) -> int:
        """How many classes are asked for; 0 for a Number."""
        return self.answer.n_classes if isinstance(self.answer, Class) else 0

    def take(self, rows: Array) -> Examples:
        """Return the examples at these positions."""
        return Examples(
            columns=self.columns.take(rows),
            y=self.y[rows],
            answer=self.answer,
            rows=None if self.rows is None else self.rows[rows],
            weight=None if self.weight is None else self.weight[rows],
            names=self.names,
            categorical=self.categorical,
            order=None if self.order is None else self.order[rows],
        )


def fit_terms(train: Examples, valid: Examples | None, job: Job) -> dict[str, Any]:
    """Return what kernels learn from beside the matrix, its labels and their parameters."""
    return {
        "valid": None if valid is None or not valid.n_rows else (valid.matrix, valid.y),
        "weight": train.weight,
        "seed": job.seed,
        "threads": job.threads,
        "deadline_s": job.deadline_s,
    }


@dataclass(frozen=True)
class Choice:
    """A parameter that takes one of a few values."""

    values: tuple[Any, ...]

    def draw(self, rng: np.random.Generator) -> Any:
        """Draw one value, all equally likely."""
        return self.values[int(rng.integers(len(self.values)))]


@dataclass(frozen=True)
class Range:
    """A parameter between two bounds, both included.

    Examples
    --------
    >>> Range(8, 256, log=True, integer=True).draw(np.random.default_rng(1)) in range(8, 257)
    True
    """

    low: float
    high: float
    log: bool = False
    integer: bool = False

    def draw(self, rng: np.random.Generator) -> float | int:
        """Draw one value, uniform on the (log) scale."""
        if self.log:
            value = float(np.exp(rng.uniform(np.log(self.low), np.log(self.high))))
        else:
            value = float(rng.uniform(self.low, self.high))
        return round(value) if self.integer else value


Space = Mapping[str, Choice | Range]


@runtime_checkable
class Fitted(Protocol):
    """What fitting returns: immutable, safe to share between threads, saved in native formats."""

    kind: ClassVar[str]

    def predict(self, columns: Columns) -> Array:
        """Return float64 of shape (n,) for a Number, probabilities (n, n_classes) for a Class."""
        ...

    def save(self, folder: Path) -> None:
        """Write everything `load` needs into an existing empty folder; nothing executable."""
        ...

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote; predictions are identical to the last bit."""
        ...


class Estimator(Protocol):
    """A frozen configuration; a dataclass whose fields are its parameters, all JSON values.

    The race, the preflight and the doctor read only the class attributes and class methods.
    """

    kind: ClassVar[str]
    """Entry-point name, also the family that leaderboards show."""
    extra: ClassVar[str | None]
    """The optional dependency it needs, or None."""
    answers: ClassVar[frozenset[type]]
    """The answer kinds it can learn."""
    fitted: ClassVar[type[Fitted]]
    """What `fit` returns, and what loads it again."""
    ordered: ClassVar[bool]
    """Whether it reads rows in order, so that a row's answer depends on the rows before it."""

    def fit(self, train: Examples, valid: Examples | None, job: Job) -> Fitted:
        """Learn from `train`; `valid`, when given, may stop the learning early."""
        ...

    def at_rounds(self, rounds: int) -> Estimator:
        """Return this configuration fixed to the rounds an earlier fit recorded."""
        ...

    @classmethod
    def space(cls) -> Space:
        """Return the parameters worth tuning and where."""
        ...

    @classmethod
    def memory_mb(cls, rows: int, columns: int, classes: int) -> float:
        """Return the peak memory of a fit, above the matrix itself, in MiB."""
        ...


@runtime_checkable
class Iterative(Protocol):
    """A Fitted that knows how many rounds it took, so that a refit can repeat them."""

    @property
    def rounds(self) -> int:
        """Rounds (trees, epochs) actually used."""
        ...


@runtime_checkable
class Explainable(Protocol):
    """A Fitted that splits one answer into additive contributions of its inputs."""

    def contributions(self, columns: Columns) -> FloatArray:
        """Return (n, d + 1): per matrix column, then the base value, on the margin scale.

        With more than two classes the shape is (n, n_classes, d + 1).
        """
        ...


@dataclass(frozen=True)
class Registry:
    """Resolves kinds to types through entry points, the door a third party would use too."""

    group: str
    _found: dict[str, type[Any]] = field(default_factory=dict)

    def names(self) -> tuple[str, ...]:
        """Every kind that is installed."""
        return tuple(sorted({point.name for point in entry_points(group=self.group)}))

    def resolve(self, kind: str) -> type[Any]:
        """Return the type registered under this name."""
        if kind not in self._found:
            points = [p for p in entry_points(group=self.group) if p.name == kind]
            if not points:
                raise ConfigError(
                    f"{kind!r} is not an installed {self.group.removeprefix('promise.')[:-1]}; "
                    + near(kind, self.names())
                )
            self._found[kind] = points[0].load()
        return self._found[kind]


ESTIMATORS = Registry("promise.estimators")
"""Every estimator that is installed, Promise's own and third parties'."""
