"""Dense algebra whose rows do not feel their neighbours, to the last bit."""

from __future__ import annotations

import numpy as np


def dot_rows(x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Multiply rows (…, n, d) by weights (…, k, d) into (…, n, k).

    A matrix product may sum one row in another order than a thousand, or with two threads in
    another order than with one. `einsum` sums each pair of rows by itself, always alike; about
    ten times slower than a matrix product, so training does not use it.
    """
    product: np.ndarray = np.einsum("...nd,...kd->...nk", x, weights)
    return product


def softmax(margins: np.ndarray) -> np.ndarray:
    """Turn margins (…, k) into probabilities that sum to one along the last axis."""
    powers = np.exp(margins - margins.max(axis=-1, keepdims=True))
    shares: np.ndarray = powers / powers.sum(axis=-1, keepdims=True)
    return shares


def sigmoid(margins: np.ndarray) -> np.ndarray:
    """Turn margins into probabilities, without overflow at either end."""
    small = np.exp(-np.abs(margins))
    shares: np.ndarray = np.where(margins >= 0, 1.0, small) / (1.0 + small)
    return shares


def margin_probabilities(margins: np.ndarray) -> np.ndarray:
    """Turn one margin (n, 1) into two probabilities, or k margins into k."""
    if margins.shape[1] > 1:
        return softmax(margins)
    positive = sigmoid(margins)
    return np.hstack([1.0 - positive, positive])


def column_moments(
    x: np.ndarray, weight: np.ndarray | None = None, block_rows: int = 8192
) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and deviation of each column, missing values left out; 1 where it is constant."""
    d = x.shape[1]
    n, total, square = np.zeros(d), np.zeros(d), np.zeros(d)
    # Sums are taken around the first rows' mean: squares of large, close numbers would cancel.
    first = np.asarray(x[:block_rows], dtype=np.float64)
    seen = np.isfinite(first)
    centre = np.where(seen, first, 0.0).sum(axis=0) / np.maximum(seen.sum(axis=0), 1)
    for start in range(0, len(x), block_rows):
        block = np.asarray(x[start : start + block_rows], dtype=np.float64) - centre
        w = np.ones(len(block)) if weight is None else weight[start : start + block_rows]
        seen = np.isfinite(block)
        block[~seen] = 0.0
        n += w @ seen
        total += w @ block
        square += w @ block**2
    shift = total / np.maximum(n, 1e-300)
    scale = np.sqrt(np.maximum(square / np.maximum(n, 1e-300) - shift**2, 0.0))
    return centre + shift, np.where(scale > 1e-9 * np.maximum(np.abs(centre), 1e-6), scale, 1.0)


def standardise(x: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Centre and scale columns; what is missing or infinite becomes the mean, 0."""
    z: np.ndarray = (np.asarray(x, dtype=np.float64) - mean) / scale
    z[~np.isfinite(z)] = 0.0
    return z


def squash(x: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Standardise in float32 and pull outliers in smoothly, to ±4 at most; missing becomes 0."""
    z: np.ndarray = (np.asarray(x, dtype=np.float32) - mean) / scale
    z[~np.isfinite(z)] = 0.0
    z /= np.sqrt(1.0 + np.square(z / np.float32(4.0)))
    return z
