"""Linear models over text features: support vectors on sparse terms, logistic on dense numbers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np

from promise.data.columns import Array, FloatArray, IntArray
from promise.job import Job
from promise.kernels.dual_svm import fit_one

_EPOCHS = 60
_TOLERANCE = 0.1
_ITERATIONS = 200


@dataclass(frozen=True, eq=False)
class Margins:
    """A linear map from features to one margin for each class.

    Parameters
    ----------
    weights
        Float32 (n_features, n_classes).
    bias
        Float32 (n_classes,).
    """

    weights: FloatArray
    bias: FloatArray

    @property
    def n_classes(self) -> int:
        """How many classes there are."""
        return len(self.bias)

    def of(self, features: Any) -> FloatArray:
        """Return margins, float64 (n, n_classes), of dense or sparse rows.

        Each row's sum is taken in the order of its cells, so that it does not depend on others.
        """
        if isinstance(features, np.ndarray):
            wide = np.asarray(features, dtype=np.float64)
            # rows one by one: a product of matrices sums in another order for other shapes
            found = np.stack([row @ self._wide for row in wide]) if len(wide) else wide[:, :0]
            found = found.reshape(len(wide), self.n_classes)
        else:
            found = np.asarray(features @ self.weights, dtype=np.float64)
        return self.from_sums(found)

    def from_sums(self, sums: FloatArray) -> FloatArray:
        """Return margins, float64, of rows that were multiplied with the weights already."""
        margins: FloatArray = sums + self.bias.astype(np.float64)
        return margins

    @cached_property
    def _wide(self) -> FloatArray:
        return self.weights.astype(np.float64)

    def save(self, folder: Path) -> None:
        """Write both arrays."""
        np.save(folder / "weights.npy", self.weights)
        np.save(folder / "bias.npy", self.bias)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote."""
        weights = np.load(folder / "weights.npy", allow_pickle=False)
        return cls(weights, np.load(folder / "bias.npy", allow_pickle=False))


def class_weights(truth: Array, power: float) -> FloatArray:
    """Return what a positive row of each class weighs, 1 on average over rows.

    Parameters
    ----------
    truth
        Bool (n, n_classes).
    power
        0 for equal weights, 1 for classes that weigh alike.

    Examples
    --------
    >>> class_weights(np.array([[1, 0], [1, 0], [1, 0], [0, 1]], dtype=bool), 1.0).round(2)
    array([0.67, 2.  ])
    """
    counts = np.maximum(truth.sum(axis=0), 1.0)
    weights: FloatArray = (counts.sum() / (len(counts) * counts)) ** power
    return weights


def fit_support(features: Any, truth: Array, *, strength: float, power: float, job: Job) -> Margins:
    """Learn every class against the rest on sparse rows: a linear support vector machine.

    Parameters
    ----------
    features
        Float32 CSR (n, n_features).
    truth
        Bool (n, n_classes); a row may have several classes.
    strength
        C: how much an error costs beside large weights.
    power
        How far rare classes weigh more; see `class_weights`.
    """
    n, k = truth.shape
    rows: IntArray = np.arange(n, dtype=np.int64)
    rng = job.rng()
    orders = np.stack([rng.permutation(n) for _ in range(_EPOCHS)])
    weigh = class_weights(truth, power)

    def one(code: int) -> tuple[FloatArray, float]:
        positive = truth[:, code]
        slack = 1.0 / (2.0 * strength * np.where(positive, weigh[code], 1.0))
        found = np.zeros(features.shape[1])
        target = np.where(positive, 1.0, -1.0)
        bias = fit_one(
            features.indptr.astype(np.int64, copy=False), features.indices, features.data,
            rows, target, slack, orders, _TOLERANCE, found,
        )  # fmt: skip
        return found.astype(np.float32), bias

    # two classes are one question, asked once
    asked = [1] if k == 2 and bool((truth.sum(axis=1) == 1).all()) else list(range(k))
    with ThreadPoolExecutor(max(1, job.threads)) as pool:
        learned = list(pool.map(one, asked))
    if len(asked) < k:
        weights, bias = learned[0]
        return Margins(np.stack([-weights, weights], axis=1), np.array([-bias, bias], np.float32))
    weights = np.stack([found for found, _ in learned], axis=1)
    return Margins(weights, np.array([bias for _, bias in learned], np.float32))


def fit_logistic(
    features: FloatArray, truth: Array, *, strength: float, power: float, several: bool
) -> Margins:
    """Learn a logistic regression on dense rows, scaled column by column.

    Parameters
    ----------
    features
        Float32 (n, n_features).
    several
        Whether rows may have several classes: then each class is learned against the rest.
    """
    from sklearn.linear_model import LogisticRegression

    centre = features.mean(axis=0, dtype=np.float64)
    spread = features.std(axis=0, dtype=np.float64)
    # columns keep their proportions: their lengths tell how much an encoder puts into each
    scale = np.full_like(spread, max(float(np.sqrt(np.mean(spread**2))), 1e-9))
    inputs = (features - centre) / scale
    weigh = class_weights(truth, power)

    def fitted(y: Array, sample: Array | None) -> Any:
        model = LogisticRegression(C=strength / len(scale), max_iter=_ITERATIONS, tol=1e-3)
        return model.fit(inputs, y, sample_weight=sample)

    k = truth.shape[1]
    if several:
        weights, bias = np.zeros((len(scale), k)), np.full(k, -10.0)
        for code in range(k):
            y = truth[:, code]
            if y.any() and not y.all():
                model = fitted(y, np.where(y, weigh[code], 1.0))
                weights[:, code], bias[code] = model.coef_[0], model.intercept_[0]
    else:
        codes = truth.argmax(axis=1)
        model = fitted(codes, weigh[codes])
        weights, bias = np.zeros((len(scale), k)), np.full(k, -30.0)
        known = model.classes_
        if len(known) == 2:
            weights[:, known[1]], bias[known] = model.coef_[0], (0.0, float(model.intercept_[0]))
        else:
            weights[:, known], bias[known] = model.coef_.T, model.intercept_
    weights = weights / scale[:, None]
    bias = bias - centre @ weights
    return Margins(weights.astype(np.float32), bias.astype(np.float32))
