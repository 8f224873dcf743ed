"""Made-up rows of rare classes between real ones, in the training part and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial.distance import cdist

from promise.data.answer import Class
from promise.data.columns import Array, Columns, FloatArray, IntArray
from promise.errors import ConfigError, DataError
from promise.job import Job
from promise.kernels.dense import column_moments, standardise
from promise.models.base import MATRIX, Estimator, Examples, Fitted

BLOCK_CELLS = 4_000_000


@dataclass(frozen=True)
class Smote:
    """Synthetic minority oversampling (Chawla et al. 2002), with their SMOTE-NC for categories.

    Parameters
    ----------
    ratio
        Every class grows to this share of the largest class; larger ones stay as they are.
    neighbours
        Among how many of the nearest rows of its class a row's partner is drawn.
    pool
        Of a class with more rows, so many are drawn as bases and partners: distances are searched
        exactly, and their cost grows with the square.

    Notes
    -----
    Probabilities learned on the result belong to its prevalence: calibrate on a later block of
    real rows before any of them means anything.

    Examples
    --------
    >>> matrix = np.array([[0.0], [1.0], [5.0], [6.0], [7.0], [8.0]], dtype=np.float32)
    >>> train = Examples(Columns({MATRIX: matrix}), np.array([1, 1, 0, 0, 0, 0]), Class(("a", "b")))
    >>> grown = Smote().grown(train, Job(seed=7))
    >>> np.bincount(grown.y).tolist(), bool((grown.matrix[6:] <= 1.0).all())
    ([4, 4], True)
    """

    ratio: float = 1.0
    neighbours: int = 5
    pool: int = 20_000

    def __post_init__(self) -> None:
        if not 0 < self.ratio <= 1 or self.neighbours < 1 or self.pool < 2:
            raise ConfigError(
                "SMOTE needs a ratio in (0, 1], at least 1 neighbour and a pool of at least 2; "
                f"got ratio={self.ratio}, neighbours={self.neighbours}, pool={self.pool}."
            )

    def grown(self, train: Examples, job: Job) -> Examples:
        """Return the rows as they are, then made-up ones of each rare class.

        A made-up row carries the number and the weight of the real row that it starts from.
        Between numbers it lies on the line to its partner; where either is missing it takes the
        base's value. Categories are what most of the base's neighbours have.

        Raises
        ------
        ConfigError
            When the answer is not a Class, or rows have an order, which made-up rows would break.
        DataError
            When only one class is present.
        """
        if not isinstance(train.answer, Class) or train.order is not None:
            raise ConfigError(
                "SMOTE makes rows of rare classes, each by itself; it fits neither numbers nor "
                "rows that have an order. Leave it out here."
            )
        counts = np.bincount(train.y, minlength=train.n_classes)
        if (counts > 0).sum() < 2:
            raise DataError("SMOTE needs rows of two classes; the training part has only one.")
        rng = job.child("smote").rng()
        bases, made, codes = [], [], []
        for code, count in enumerate(counts):
            wanted = round(self.ratio * counts.max()) - int(count)
            if count == 0 or wanted <= 0:
                continue
            rows = np.flatnonzero(train.y == code)
            if len(rows) > self.pool:
                rows = np.sort(rng.choice(rows, self.pool, replace=False))
            picked, matrix = self._between(train, rows, wanted, rng)
            bases.append(picked)
            made.append(matrix)
            codes.append(np.full(wanted, code, dtype=train.y.dtype))
        return _joined(train, bases, made, codes) if made else train

    def _between(
        self, train: Examples, rows: IntArray, wanted: int, rng: np.random.Generator
    ) -> tuple[IntArray, FloatArray]:
        """Return the base row of each made-up row, and the made-up rows."""
        matrix = np.asarray(train.matrix[rows], dtype=np.float32)
        near = nearest(matrix, train.categorical, self.neighbours)  # (m, k)
        base = np.concatenate([rng.permutation(len(rows)) for _ in range(-(-wanted // len(rows)))])
        base = base[:wanted]
        partner = near[base, rng.integers(0, near.shape[1], wanted)]
        share = rng.random(wanted).astype(np.float32)[:, None]
        start, step = matrix[base], matrix[partner] - matrix[base]
        between = np.where(np.isfinite(step), start + share * step, start)
        for column in train.categorical:
            between[:, column] = most_common(matrix[:, column], near)[base]
        return rows[base], between


def fit_grown(
    estimator: Estimator, smote: Smote, train: Examples, valid: Examples | None, job: Job
) -> Fitted:
    """Fit on a grown training part; the validation rows stay real, so that stopping is honest."""
    return estimator.fit(smote.grown(train, job), valid, job)


def nearest(matrix: FloatArray, categorical: tuple[int, ...], k: int) -> IntArray:
    """Return each row's k nearest other rows, the nearest first: (m, k); itself where it is alone.

    Numbers are standardised and missing ones count as the mean. A different category counts as
    the median deviation of the numbers, which after standardising is one. Ties go to the earlier
    row.
    """
    m, codes = len(matrix), np.asarray(categorical, dtype=np.int64)
    k = min(k, m - 1)
    if k == 0:
        return np.zeros((m, 1), dtype=np.int64)
    numbers = np.delete(matrix, codes, axis=1)
    scaled = standardise(numbers, *column_moments(numbers))
    words = np.nan_to_num(matrix[:, codes], nan=-1.0)
    found = np.empty((m, k), dtype=np.int64)
    size = max(1, BLOCK_CELLS // m)
    for first in range(0, m, size):
        block = slice(first, first + size)
        distance = cdist(scaled[block], scaled, "sqeuclidean")
        for column in range(len(codes)):
            distance += words[block, column, None] != words[None, :, column]
        here = np.arange(len(distance))
        distance[here, first + here] = np.inf
        found[block] = _smallest(distance, k)
    return found


def _smallest(distance: FloatArray, k: int) -> IntArray:
    """Return the columns of each row's k smallest values, ties by column."""
    bound = np.partition(distance, k - 1, axis=1)[:, k - 1]
    found = np.empty((len(distance), k), dtype=np.int64)
    for row, values in enumerate(distance):
        close = np.flatnonzero(values <= bound[row])
        found[row] = close[np.argsort(values[close], kind="stable")[:k]]
    return found


def most_common(codes: Array, near: IntArray) -> Array:
    """Return for each row the code that most of its neighbours have; its own among equals.

    Examples
    --------
    >>> most_common(np.array([3.0, 1.0, 1.0]), np.array([[1, 2], [0, 2], [0, 1]])).tolist()
    [1.0, 1.0, 1.0]
    """
    chosen = codes.copy()
    # NaN marks a missing category, which is a category like any other here.
    known, place = np.unique(codes, return_inverse=True, equal_nan=True)
    around = place[near]
    best = np.sum(around == place[:, None], axis=1)
    for option, value in enumerate(known):
        votes = np.sum(around == option, axis=1)
        chosen[votes > best] = value
        best = np.maximum(best, votes)
    return chosen


def _joined(
    train: Examples, bases: list[IntArray], made: list[FloatArray], codes: list[Array]
) -> Examples:
    """Return the real rows followed by the made-up ones."""
    base = np.concatenate(bases)
    columns = train.columns.take(base).with_columns({MATRIX: np.concatenate(made)})
    return replace(
        train,
        columns=Columns.concat([train.columns, columns]),
        y=np.concatenate([train.y, *codes]),
        rows=None if train.rows is None else np.concatenate([train.rows, train.rows[base]]),
        weight=None if train.weight is None else np.concatenate([train.weight, train.weight[base]]),
    )
