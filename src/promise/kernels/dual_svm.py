"""A linear support vector machine on sparse rows, by dual coordinate descent."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from promise.kernels.compiled import compiled

Array = npt.NDArray[Any]


@compiled
def fit_one(
    offsets: Array,
    columns: Array,
    weights: Array,
    rows: Array,
    target: Array,
    slack: Array,
    orders: Array,
    tolerance: float,
    found: Array,
) -> float:
    """Learn one class against the rest (Hsieh et al. 2008, algorithm 1, squared hinge loss).

    The bias is one more input that is always one.

    Parameters
    ----------
    offsets, columns, weights
        The rows compressed; `columns` int32, `weights` float32.
    rows
        Which rows are learned from, int64 (n,).
    target
        1.0 or -1.0 of each of these rows.
    slack
        1 / (2 C) of each row.
    orders
        In which order rows are gone through, int64 (n_epochs, n).
    tolerance
        Where the largest violation falls below it, learning ends.
    found
        The weights, float64 (n_columns,), all 0 at first; the answer is written into it.

    Returns
    -------
    The bias.
    """
    n = len(rows)
    alpha, square = np.zeros(n), np.empty(n)
    for i in range(n):
        total = 1.0 + slack[i]
        for j in range(offsets[rows[i]], offsets[rows[i] + 1]):
            total += weights[j] * weights[j]
        square[i] = total
    bias = 0.0
    for order in orders:
        worst = 0.0
        for i in order:
            first, last = offsets[rows[i]], offsets[rows[i] + 1]
            margin = bias
            for j in range(first, last):
                margin += found[columns[j]] * weights[j]
            gradient = target[i] * margin - 1.0 + slack[i] * alpha[i]
            if alpha[i] == 0.0 and gradient >= 0.0:
                continue
            worst = max(worst, abs(gradient))
            before = alpha[i]
            alpha[i] = max(before - gradient / square[i], 0.0)
            step = (alpha[i] - before) * target[i]
            if step != 0.0:
                bias += step
                for j in range(first, last):
                    found[columns[j]] += step * weights[j]
        if worst < tolerance:
            break
    return bias
