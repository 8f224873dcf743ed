"""K-means over directions: to which of some thousand centres a vector points, block by block."""

from __future__ import annotations

import numpy as np

from promise.data.columns import FloatArray, IntArray
from promise.kernels.vector_lists import summed_members
from promise.models.short_vectors import Vectors

_ROUNDS = 8
_CELLS = 1 << 21
"""So many inner products are held at a time."""
_PLAIN = 1_024
"""Up to so many centres, all are compared with."""
_SHARE, _LEAST = 10, 64
"""Above, one in ten of the centres and no fewer than 64: those around a coarser centre."""


def unit(vectors: FloatArray) -> FloatArray:
    """Return vectors of length one; what has no length keeps none.

    Examples
    --------
    >>> unit(np.array([[3.0, 4.0], [0.0, 0.0]], np.float32))
    array([[0.6, 0.8],
           [0. , 0. ]], dtype=float32)
    """
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))[:, None]
    found: FloatArray = (vectors / np.maximum(lengths, np.float32(1e-30))).astype(np.float32)
    return found


def directions(vectors: FloatArray, n: int, rng: np.random.Generator) -> FloatArray:
    """Return `n` centres of length one, float32 (n, d): spherical k-means.

    Parameters
    ----------
    vectors
        Of length one, float32 (m, d); at least `n`.
    """
    centres = vectors[rng.permutation(len(vectors))[:n]]
    for _ in range(_ROUNDS):
        sums, counts = summed_members(vectors, nearest_direction(vectors, centres), n)
        empty = np.flatnonzero(counts == 0)
        if len(empty):  # each takes about half of one of the largest
            largest = np.argsort(-counts, kind="stable")[: len(empty)]
            apart = 1e-3 * rng.standard_normal((len(empty), vectors.shape[1]))
            sums[empty] = unit(sums[largest]) + apart.astype(np.float32)
        centres = unit(sums)
    return centres


def nearest_direction(vectors: Vectors, centres: FloatArray) -> IntArray:
    """Return the centre with the largest inner product for each vector: int32 (m,).

    Many centres are grouped first, and a vector is compared with those around its group's middle:
    a tenth of the work, and for few vectors the second nearest instead of the nearest.
    """
    if len(centres) <= _PLAIN:
        return _nearest_of_all(vectors, centres)
    middles = directions(centres, int(np.sqrt(len(centres))), np.random.default_rng(0))
    n_near = max(_LEAST, len(centres) // _SHARE)
    near = np.argpartition(-(middles @ centres.T), n_near - 1, axis=1)[:, :n_near]
    group = _nearest_of_all(vectors, middles)
    order = np.argsort(group, kind="stable")
    edges = np.searchsorted(group[order], np.arange(len(middles) + 1))
    found = np.empty(len(vectors), np.int32)
    for number, around in enumerate(near):
        mine = order[edges[number] : edges[number + 1]]
        found[mine] = around[_nearest_of_all(vectors[mine], centres[around])]
    return found


def _nearest_of_all(vectors: Vectors, centres: FloatArray) -> IntArray:
    block, columns = max(64, _CELLS // len(centres)), np.ascontiguousarray(centres.T)
    found = np.empty(len(vectors), np.int32)
    for first in range(0, len(vectors), block):
        found[first : first + block] = (vectors[first : first + block] @ columns).argmax(axis=1)
    return found
