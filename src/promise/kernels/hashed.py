"""A multinomial linear model over hashed terms of names: learning and scoring, compiled.

A name's terms are those of its buckets that carry weights. Term `t` counts with `worth[t]` (the
rarer, the more), all of a name scaled to unit length. Rows are learned from one after
the other, so that the same rows in the same order give the same bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from promise.kernels.compiled import compiled
from promise.kernels.ngrams import ROOM, terms_and_shape

Array = npt.NDArray[Any]

BIAS_STEP = np.float32(0.02)
"""The bias learns slower than the weights: every row moves it."""

_LEAST = np.float32(1e-9)


@compiled
def weighed(
    data: Array,
    first: int,
    last: int,
    suffix: int,
    bits: int,
    shaped: bool,
    places: Array,
    found: Array,
) -> int:
    """Write the places of one name's weighted terms into `found`; return how many there are."""
    n, kept = terms_and_shape(data, first, last, suffix, bits, shaped, found), 0
    for j in range(n):
        place = places[found[j]]
        if place >= 0:
            found[kept] = place
            kept += 1
    return kept


@compiled
def margins(found: Array, n: int, weights: Array, worth: Array, bias: Array, out: Array) -> Any:
    """Write the margin of each class into `out`, float32 (k,); return the scale of the terms."""
    k, length = weights.shape[1], _LEAST
    for c in range(k):
        out[c] = np.float32(0)
    for j in range(n):
        place = found[j]
        value = worth[place]
        length += value * value
        for c in range(k):
            out[c] += value * weights[place, c]
    scale = np.float32(1) / np.sqrt(length)
    for c in range(k):
        out[c] = out[c] * scale + bias[c]
    return scale


@compiled
def to_shares(out: Array) -> None:
    """Turn margins into probabilities in place."""
    top = out[0]
    for c in range(1, len(out)):
        top = max(top, out[c])
    total = out.dtype.type(0)
    for c in range(len(out)):
        out[c] = np.exp(out[c] - top)
        total += out[c]
    for c in range(len(out)):
        out[c] /= total


@compiled
def learn(
    data: Array,
    offsets: Array,
    cuts: Array,
    rows: Array,
    codes: Array,
    steps: Array,
    bits: int,
    shaped: bool,
    places: Array,
    weights: Array,
    worth: Array,
    bias: Array,
    stress: Array,
) -> float:
    """Take a step down the squared hinge loss for each row in turn; return the sum of the losses.

    Each class is told from all others: its margin shall be 1 for its own names, -1 for others.

    Parameters
    ----------
    rows, codes, steps
        Which names, in this order; the class of each name; the length of each row's step.
    shaped
        Whether the shape of a name counts beside its n-grams.
    places
        Bucket to row of `weights`, -1 for a bucket without weights.
    weights, worth, bias
        Float32 (m, k), (m,) and (k,); weights and bias are changed.
    stress
        How much longer a step a name takes towards its own class, float32 (k,).
    """
    k = weights.shape[1]
    found, out = np.empty(ROOM, np.int64), np.empty(k, np.float32)
    one, loss = np.float32(1), 0.0
    for i in range(len(rows)):
        row = rows[i]
        first, last = offsets[row], offsets[row + 1]
        n = weighed(data, first, last, cuts[row, 1], bits, shaped, places, found)
        scale = margins(found, n, weights, worth, bias, out)
        step = np.float32(steps[i])
        for c in range(k):
            side = one if c == codes[row] else -one
            short = max(one - side * out[c], np.float32(0))
            loss += short * short
            if c == codes[row]:
                short *= stress[c]
            out[c] = -side * short
            bias[c] -= step * BIAS_STEP * out[c]
        for j in range(n):
            place = found[j]
            length = step * scale * worth[place]
            for c in range(k):
                weights[place, c] -= length * out[c]
    return loss


@compiled
def score(
    data: Array,
    offsets: Array,
    cuts: Array,
    rows: Array,
    bits: int,
    shaped: bool,
    places: Array,
    weights: Array,
    worth: Array,
    bias: Array,
    temperature: float,
    shares: Array,
) -> None:
    """Write the calibrated probabilities of these rows into `shares`, float64 (n, k)."""
    k = weights.shape[1]
    found, out = np.empty(ROOM, np.int64), np.empty(k, np.float32)
    for i in range(len(rows)):
        row = rows[i]
        first, last = offsets[row], offsets[row + 1]
        n = weighed(data, first, last, cuts[row, 1], bits, shaped, places, found)
        margins(found, n, weights, worth, bias, out)
        for c in range(k):
            shares[row, c] = np.float64(out[c]) / temperature
        to_shares(shares[row])


@compiled
def leading(shares: Array, n: int) -> Array:
    """Return the places of the `n` largest values of each row, the first of equal ones before.

    Parameters
    ----------
    shares
        Float64 (rows, k), with k at least n.

    Returns
    -------
    Int32 (rows, n).
    """
    found = np.empty((len(shares), n), np.int32)
    for row in range(len(shares)):
        kept = 0
        for c in range(shares.shape[1]):
            place = kept
            while place > 0 and shares[row, c] > shares[row, found[row, place - 1]]:
                place -= 1
            if place < n:
                kept = min(kept + 1, n)
                for j in range(kept - 1, place, -1):
                    found[row, j] = found[row, j - 1]
                found[row, place] = c
    return found


@compiled
def likeliest_above(shares: Array, of: Array, n: int) -> tuple[Array, Array]:
    """Return the likeliest of `n` groups of classes for each row, and its probability.

    Parameters
    ----------
    shares
        Float64 (rows, k).
    of
        Group of each class, int32 (k,); -1 for none.

    Returns
    -------
    Int64 and float64 (rows,).
    """
    best, sure = np.zeros(len(shares), np.int64), np.zeros(len(shares))
    total = np.empty(n)
    for row in range(len(shares)):
        total[:] = 0.0
        for c in range(len(of)):
            if of[c] >= 0:
                total[of[c]] += shares[row, c]
        for group in range(n):
            if total[group] > sure[row]:
                best[row], sure[row] = group, total[group]
    return best, sure
