"""Scans of an inverted file: lists of vectors in eight bits a number, opened by their nearness."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from promise.kernels.compiled import compiled, widened

Array = npt.NDArray[Any]
_BLOCK = 256


@compiled
def kept_best(scores: Array, rows: Array, n: int, score: float, row: int) -> Any:
    """Put a row into a heap whose least score is on top, and return how many rows it holds.

    A heap that is full loses its least; whoever calls has seen that the new score is above it.
    """
    place = n
    if n == len(scores):
        n, place = n - 1, 0
        while True:
            child = 2 * place + 1
            if child > n:
                break
            if child < n and scores[child + 1] < scores[child]:
                child += 1
            if scores[child] >= score:
                break
            scores[place], rows[place] = scores[child], rows[child]
            place = child
    else:
        while place > 0:
            parent = (place - 1) >> 1
            if scores[parent] <= score:
                break
            scores[place], rows[place] = scores[parent], rows[parent]
            place = parent
    scores[place], rows[place] = score, row
    return n + 1


@widened
def nearest_lists(query: Array, centres: Array, opened: int) -> Any:
    """Return the lists whose centres have the largest inner products, in no order: int32."""
    scores, lists = np.empty(opened, np.float32), np.empty(opened, np.int32)
    n = 0
    for number in range(len(centres)):
        score = np.float32(0.0)
        for j in range(len(query)):
            score += query[j] * centres[number, j]
        if n < opened or score > scores[0]:
            n = kept_best(scores, lists, n, score, number)
    return lists[:n]


@widened
def best_listed(
    query: Array, lists: Array, starts: Array, rows: Array, codes: Array, scales: Array,
    gone: Array, k: int,
) -> Any:  # fmt: skip
    """Return the `k` rows of some lists with the largest products, in no order: int32.

    Parameters
    ----------
    starts
        Where each list starts: int64 (n_lists + 1,).
    rows, codes, scales
        List by list: the row, its vector as int8 (n, d), and what one step of it is worth.
    gone
        By row: who is passed over, bool.
    """
    scores, found = np.empty(k, np.float32), np.empty(k, np.int32)
    block = np.empty(_BLOCK, np.float32)
    n = 0
    for number in lists:
        for first in range(starts[number], starts[number + 1], _BLOCK):
            end = min(first + _BLOCK, starts[number + 1])
            for place in range(first, end):  # all scores first: such a loop stays wide
                score = np.float32(0.0)
                for j in range(len(query)):
                    score += query[j] * np.float32(codes[place, j])
                block[place - first] = score * scales[place]
            for i in range(end - first):
                worth = block[i]
                if (n < k or worth > scores[0]) and not gone[rows[first + i]]:
                    n = kept_best(scores, found, n, worth, rows[first + i])
    return found[:n]


@compiled
def summed_members(vectors: Array, members: Array, n: int) -> Any:
    """Return the sum of each cluster's vectors, float32 (n, d), and how many there are."""
    sums = np.zeros((n, vectors.shape[1]), np.float32)
    counts = np.zeros(n, np.int64)
    for row in range(len(vectors)):
        cluster = members[row]
        counts[cluster] += 1
        for j in range(vectors.shape[1]):
            sums[cluster, j] += vectors[row, j]
    return sums, counts
