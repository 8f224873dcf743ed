"""What a name looks like, whatever its words: seven numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import log2

import numpy as np

from promise.data.columns import FloatArray

SHAPE = ("length", "labels", "longest_label", "digit_share", "hyphens", "vowel_share", "entropy")
"""The numbers of `shapes`, in order; `entropy` is that of its characters, in bits."""

_VOWELS = frozenset("aeiouy")


def shape(name: str) -> tuple[float, ...]:
    """Return the seven numbers of one name; zeros where there is none.

    Examples
    --------
    >>> dict(zip(SHAPE, shape("ab-1.org"), strict=True))["digit_share"]
    0.125
    """
    if not name:
        return (0.0,) * len(SHAPE)
    length = len(name)
    counts = Counter(name)
    labels = name.split(".")
    return (
        float(length),
        float(len(labels)),
        float(max(map(len, labels))),
        sum(counts[digit] for digit in "0123456789") / length,
        float(counts["-"]),
        sum(counts[vowel] for vowel in _VOWELS) / length,
        log2(length) - sum(n * log2(n) for n in counts.values()) / length,
    )


def shapes(names: Sequence[str]) -> FloatArray:
    """Return the seven numbers of each name, float32 (n, 7)."""
    return np.array([shape(name) for name in names], np.float32).reshape(-1, len(SHAPE))


def telling(values: FloatArray, codes: np.ndarray, n_classes: int, keep: int) -> tuple[int, ...]:
    """Return the columns that tell classes apart best, by the F ratio of one-way ANOVA.

    Examples
    --------
    >>> values = np.array([[0.0, 1.0], [1.0, 1.0], [0.0, 5.0], [1.0, 5.1]])
    >>> telling(values, np.array([0, 0, 1, 1]), 2, keep=1)
    (1,)
    """
    x = np.asarray(values, dtype=np.float64)
    counts = np.bincount(codes, minlength=n_classes).astype(np.float64)
    sums = np.array([np.bincount(codes, column, minlength=n_classes) for column in x.T]).T
    means = sums / np.maximum(counts, 1.0)[:, None]
    between = (counts[:, None] * (means - x.mean(axis=0)) ** 2).sum(axis=0)
    within = ((x - means[codes]) ** 2).sum(axis=0)
    ratio = between / np.maximum(within, 1e-12 * np.maximum(between, 1.0))
    best = np.argsort(-ratio, kind="stable")[:keep]
    return tuple(sorted(best.tolist()))
