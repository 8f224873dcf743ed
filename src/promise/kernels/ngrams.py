"""What a name is made of, as hashes: its n-grams, its public suffix, its words, its shape."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from promise.kernels.compiled import compiled
from promise.kernels.ngrams_names import hash_bytes, scrambled
from promise.kernels.ngrams_shape import SHAPES, shape_terms

Array = npt.NDArray[Any]

SHORTEST, LONGEST = 2, 6
"""Lengths of the n-grams, in characters, the marks of beginning and end counted."""

ROOM = (LONGEST - SHORTEST + 1) * 256 + 256 + SHAPES
"""No name has more terms: 253 characters and two marks, each the start of five n-grams."""

_BEGIN, _END, _DOT, _DASH = 60, 62, 46, 45
_BASIS, _PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
_OF_SUFFIX, _OF_WORD = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD1B54A32D192ED03)


@compiled
def terms(data: Array, first: int, last: int, suffix: int, bits: int, found: Array) -> int:
    """Write the buckets of one name's terms into `found` and return how many there are.

    N-grams are of the whole name with marks of its beginning and end; the public suffix is one
    term, each word between dots and dashes another. Equal terms count each time.

    Parameters
    ----------
    data, first, last
        The name is `data[first:last]`.
    suffix
        Where the public suffix begins in it.
    bits
        There are `2 ** bits` buckets.
    found
        Int64 (ROOM,).
    """
    shift, n = np.uint64(64 - bits), 0
    length_of = last - first
    for i in range(-1, length_of + 1):
        h = _BASIS
        for length in range(1, LONGEST + 1):
            at = i + length - 1
            if at > length_of:
                break
            c = np.uint8(_END)
            if at < length_of:
                c = data[first + at] if at >= 0 else np.uint8(_BEGIN)
            h = (h ^ np.uint64(c)) * _PRIME
            if length >= SHORTEST:
                found[n] = np.int64(scrambled(h) >> shift)
                n += 1
    h = hash_bytes(data, first + suffix, last) ^ _OF_SUFFIX
    found[n] = np.int64(scrambled(h) >> shift)
    n += 1
    start = first
    for i in range(first, last + 1):
        if i == last or data[i] == _DOT or data[i] == _DASH:
            if i > start:
                h = hash_bytes(data, start, i) ^ _OF_WORD
                found[n] = np.int64(scrambled(h) >> shift)
                n += 1
            start = i + 1
    return n


@compiled
def terms_and_shape(
    data: Array, first: int, last: int, suffix: int, bits: int, shaped: bool, found: Array
) -> int:
    """Write the buckets of one name's terms, those of its shape behind them where it counts."""
    n = terms(data, first, last, suffix, bits, found)
    if shaped:
        n = shape_terms(data, first, last, suffix, bits, found, n)
    return int(n)


@compiled
def count_terms(
    data: Array, offsets: Array, cuts: Array, rows: Array, bits: int, counts: Array
) -> None:
    """Add to `counts`, int64 (2 ** bits,), how often each bucket occurs, shapes included."""
    found = np.empty(ROOM, np.int64)
    for row in rows:
        first, last = offsets[row], offsets[row + 1]
        n = terms_and_shape(data, first, last, cuts[row, 1], bits, True, found)
        for j in range(n):
            counts[found[j]] += 1
