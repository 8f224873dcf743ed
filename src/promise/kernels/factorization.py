"""Loops over vectors of choosers and of chosen: descent pair by pair, and products row by row."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from promise.kernels.compiled import widened

Array = npt.NDArray[Any]


@widened
def step(left: Array, right: Array, target: float, rate: float, decay: float) -> None:
    """Move two vectors so that their product comes nearer to the target; both shrink a little.

    This is one step down `(target - left · right)² / 2 + decay (|left|² + |right|²) / 2`.
    """
    size = len(left)
    product = np.float32(0)
    for f in range(size):
        product += left[f] * right[f]
    error = np.float32(rate) * (np.float32(target) - product)
    kept = np.float32(1) - np.float32(rate * decay)
    for f in range(size):
        before = left[f]
        left[f] = kept * before + error * right[f]
        right[f] = kept * right[f] + error * before


@widened
def descend(
    rows: Array,
    others: Array,
    weights: Array,
    order: Array,
    drawn: Array,
    choosers: Array,
    chosen: Array,
    rate: float,
    decay: float,
) -> None:
    """Pass once over pairs of choosers and chosen, and over strangers drawn for each yes.

    Parameters
    ----------
    rows, others, weights
        The pairs: int32, int32 and float32 (nnz,). A positive weight is a yes, whose target is 1;
        a negative one a no, whose target is 0; its size is how far the step goes.
    order
        In which order the pairs come, (nnz,).
    drawn
        For each place in the order, whom the chooser is held not to choose: int32 (nnz, negatives).
    choosers, chosen
        Float32 (n, d) and (m, d); both are changed.
    """
    for place in range(len(order)):
        pair = order[place]
        left, weight = choosers[rows[pair]], weights[pair]
        if weight > 0:
            step(left, chosen[others[pair]], 1.0, min(rate * weight, 0.5), decay)
            for j in range(drawn.shape[1]):
                step(left, chosen[drawn[place, j]], 0.0, rate, decay)
        else:
            step(left, chosen[others[pair]], 0.0, min(-rate * weight, 0.5), decay)


@widened
def confide(
    starts: Array,
    others: Array,
    sizes: Array,
    vectors: Array,
    directions: Array,
    first: int,
    last: int,
    out: Array,
) -> None:
    """Add `Σ size · h (h · p)` over the entries of each row: how sure they make of direction p.

    Parameters
    ----------
    starts, others, sizes
        Rows of entries: int64 (n + 1,), int32 (nnz,) and float32 (nnz,).
    vectors
        `h` of each of the others, float32 (m, d).
    directions
        `p` of each row, float32 (n, d).
    first, last
        Which rows.
    out
        Float32 (n, d), added to.
    """
    size = vectors.shape[1]
    for row in range(first, last):
        direction, into = directions[row], out[row]
        for entry in range(starts[row], starts[row + 1]):
            vector = vectors[others[entry]]
            product = np.float32(0)
            for f in range(size):
                product += vector[f] * direction[f]
            product *= sizes[entry]
            for f in range(size):
                into[f] += product * vector[f]
