"""Sets of shingles as signatures, and the pairs of texts that share enough of them, compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from promise.kernels.compiled import compiled
from promise.kernels.ngrams_names import scrambled

Array = npt.NDArray[Any]

_MOST_TRIED = 8  # earlier texts of a bucket that a text is held against


@compiled
def sign(hashes: Array, ends: Array, factors: Array, terms: Array) -> Array:
    """Return the least value of each hash function over each text's shingles (Broder 1997).

    Parameters
    ----------
    hashes, ends
        Shingles: those of text `i` are `hashes[ends[i]:ends[i + 1]]`.
    factors, terms
        Odd uint64 (n_functions,) and uint64 (n_functions,): h ↦ top half of factor · h + term.

    Returns
    -------
    array
        Uint32 (n_texts, n_functions).
    """
    n, width = len(ends) - 1, len(factors)
    found = np.full((n, width), np.uint32(0xFFFFFFFF), np.uint32)
    for row in range(n):
        least = found[row]
        for i in range(ends[row], ends[row + 1]):
            h = hashes[i]
            for j in range(width):
                value = np.uint32((h * factors[j] + terms[j]) >> np.uint64(32))
                least[j] = min(least[j], value)
    return found


@compiled
def hash_bands(signatures: Array, first: int, last: int) -> Array:
    """Hash the part of each signature between two places, uint64 (n,)."""
    found = np.empty(len(signatures), np.uint64)
    for row in range(len(signatures)):
        h = np.uint64(first + 1)
        for j in range(first, last):
            h = scrambled(h ^ np.uint64(signatures[row, j])) + np.uint64(0x9E3779B97F4A7C15)
        found[row] = h
    return found


@compiled
def alike_pairs(keys: Array, order: Array, signatures: Array, least: float) -> Array:
    """Return pairs of texts of one bucket whose signatures agree in a share of `least` or more.

    A text is held against the first few of its bucket that were unlike each other, and against
    the one before it; so the time is in proportion to the number of texts, however full a bucket.

    Parameters
    ----------
    keys, order
        Bucket of each text, and the texts in order of their buckets.

    Returns
    -------
    array
        Int64 (n_pairs, 2).
    """
    n, width = len(order), signatures.shape[1]
    pairs = np.empty((n, 2), np.int64)
    tried = np.empty(_MOST_TRIED + 1, np.int64)
    n_pairs, n_tried, before = 0, 0, np.int64(-1)
    for place in range(n):
        row = order[place]
        if place == 0 or keys[row] != keys[order[place - 1]]:
            n_tried, before = 0, np.int64(-1)
        found = np.int64(-1)
        tried[n_tried] = before
        for i in range(n_tried + 1):
            other = tried[i]
            if other < 0:
                continue
            same = 0
            for j in range(width):
                same += signatures[row, j] == signatures[other, j]
            if same >= least * width:
                found = other
                break
        if found >= 0:
            pairs[n_pairs, 0], pairs[n_pairs, 1] = found, row
            n_pairs += 1
        elif n_tried < _MOST_TRIED:
            tried[n_tried] = row
            n_tried += 1
        before = row
    return pairs[:n_pairs].copy()


@compiled
def overlaps(hashes: Array, ends: Array, first: Array, second: Array) -> Array:
    """Return the Jaccard similarity of pairs of texts: shared over all different shingles.

    Parameters
    ----------
    hashes, ends
        Shingles of each text, sorted and different.
    first, second
        Int64 (n_pairs,), which texts.
    """
    found = np.zeros(len(first))
    for pair in range(len(first)):
        i, last = ends[first[pair]], ends[first[pair] + 1]
        j, end = ends[second[pair]], ends[second[pair] + 1]
        total, shared = (last - i) + (end - j), 0
        while i < last and j < end:
            if hashes[i] == hashes[j]:
                shared += 1
                i += 1
                j += 1
            elif hashes[i] < hashes[j]:
                i += 1
            else:
                j += 1
        if total > shared:
            found[pair] = shared / (total - shared)
    return found


@compiled
def join(parents: Array, first: Array, second: Array) -> None:
    """Put the two texts of each pair into one group; the smaller number leads it."""
    for pair in range(len(first)):
        a, b = first[pair], second[pair]
        while parents[a] != a:
            parents[a] = parents[parents[a]]
            a = parents[a]
        while parents[b] != b:
            parents[b] = parents[parents[b]]
            b = parents[b]
        if a < b:
            parents[b] = a
        else:
            parents[a] = b


@compiled
def leaders(parents: Array) -> Array:
    """Return the text that leads each text's group, int64 (n,)."""
    found = np.empty(len(parents), np.int64)
    for row in range(len(parents)):
        # A leader has the smallest number of its group and so was already found.
        found[row] = row if parents[row] == row else found[parents[row]]
    return found
