"""What a text is made of, as hashes: its words, its pairs of words, character n-grams of words."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from promise.kernels.compiled import compiled
from promise.kernels.ngrams_names import scrambled

Array = npt.NDArray[Any]

BITS = 21
"""Words and their pairs hash into `2 ** BITS` buckets, character n-grams into as many more."""

SHORTEST, LONGEST = 3, 5
"""Lengths of the n-grams of a word, in characters, the blanks around it counted."""

LONGEST_WORD = 48
"""Of longer words (addresses, encoded data) only so many bytes give n-grams."""

PER_BYTE = 6
"""No text has more terms than so many a byte, and `PER_BYTE` more."""

_BASIS, _PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
_OF_WORD, _OF_PAIR = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD1B54A32D192ED03)
_SHIFT = np.uint64(64 - BITS)
_BLANK = np.uint8(32)


@compiled
def _in_word(byte: np.uint8) -> Any:
    """Say whether a byte belongs to a word: a-z, digits and everything beyond ASCII."""
    return (97 <= byte <= 122) or (48 <= byte <= 57) or byte >= 128


@compiled
def _begins(byte: np.uint8) -> Any:
    """Say whether a byte begins a character of UTF-8."""
    return byte & 0xC0 != 0x80


@compiled
def _grams(data: Array, first: int, last: int, found: Array, n: int) -> int:
    """Append the buckets of a word's n-grams, a blank before and behind it."""
    last = min(last, first + LONGEST_WORD)
    length = last - first
    for i in range(-1, length):
        if i >= 0 and not _begins(data[first + i]):
            continue
        h, characters = _BASIS, 0
        for at in range(i, length + 1):
            c = _BLANK if at < 0 or at == length else data[first + at]
            h = (h ^ np.uint64(c)) * _PRIME
            # a character ends where the next one begins
            if at + 1 < length and not _begins(data[first + at + 1]):
                continue
            characters += 1
            if characters >= SHORTEST:
                found[n] = np.int32(scrambled(h) >> _SHIFT) + np.int32(1 << BITS)
                n += 1
            if characters == LONGEST:
                break
    return n


@compiled
def _terms(data: Array, first: int, last: int, grams: bool, found: Array) -> int:
    """Write the buckets of all terms of `data[first:last]`, each as often as it comes."""
    n, at = 0, first
    before = np.uint64(0)
    while at < last:
        if not _in_word(data[at]):
            at += 1
            continue
        start, h = at, _BASIS
        while at < last and _in_word(data[at]):
            h = (h ^ np.uint64(data[at])) * _PRIME
            at += 1
        word = scrambled(h ^ _OF_WORD)
        found[n] = np.int32(word >> _SHIFT)
        n += 1
        if before:
            pair = scrambled((before * _PRIME) ^ word ^ _OF_PAIR)
            found[n] = np.int32(pair >> _SHIFT)
            n += 1
        before = word | np.uint64(1)
        if grams:
            n = _grams(data, start, at, found, n)
    return n


@compiled
def count_terms(
    data: Array, offsets: Array, grams: bool, buckets: Array, counts: Array, ends: Array
) -> int:
    """Count the terms of several texts; return how many distinct ones there are over all texts.

    Parameters
    ----------
    data, offsets
        Text `i` is the lower-cased UTF-8 bytes `data[offsets[i]:offsets[i + 1]]`.
    grams
        Whether character n-grams are counted, too.
    buckets, counts
        Int32 and float32 with room for `PER_BYTE` terms a byte; text `i` fills them from
        `ends[i - 1]` (0 for the first) to `ends[i]`, in the order in which terms come up.
    """
    widest = 0
    for i in range(len(offsets) - 1):
        widest = max(widest, offsets[i + 1] - offsets[i])
    found = np.empty(PER_BYTE * (widest + 1), np.int32)
    size = 64
    while size < 2 * len(found):
        size *= 2
    slots = np.full(size, -1, np.int32)  # open addressing: where a bucket stands in the output
    total = 0
    for i in range(len(offsets) - 1):
        start = total
        n = _terms(data, offsets[i], offsets[i + 1], grams, found)
        wide = 64
        while wide < 2 * n:
            wide *= 2
        for j in range(n):
            bucket = found[j]
            slot = (bucket * 40503) & (wide - 1)
            while slots[slot] >= 0 and buckets[slots[slot]] != bucket:
                slot = (slot + 1) & (wide - 1)
            if slots[slot] < 0:
                slots[slot] = total
                buckets[total] = bucket
                counts[total] = 1.0
                total += 1
            else:
                counts[slots[slot]] += 1.0
        if n:
            slots[:wide] = -1
        ends[i] = total
        if total == start:
            continue
    return total


@compiled
def document_counts(buckets: Array, ends: Array, starts: Array, rows: Array, found: Array) -> None:
    """Add to `found`, int32 by bucket, in how many of these rows a bucket occurs."""
    for row in rows:
        for j in range(starts[row], ends[row]):
            found[buckets[j]] += 1


@compiled
def weigh(
    buckets: Array,
    counts: Array,
    starts: Array,
    ends: Array,
    rows: Array,
    table: Array,
    worth: Array,
    columns: Array,
    weights: Array,
    offsets: Array,
) -> int:
    """Write the rows of a TF-IDF matrix; return how many cells it has.

    Term frequencies are damped, 1 + log(count); words and n-grams are each scaled to length one,
    and both together once more.

    Parameters
    ----------
    table
        Bucket to column, int32, -1 for terms that are not kept.
    worth
        Inverse document frequency of each column, float32.
    columns, weights, offsets
        The matrix in compressed rows, with room for every term.
    """
    n = 0
    offsets[0] = 0
    edge = np.int32(1 << BITS)
    for i in range(len(rows)):
        first = n
        words, grams = 0.0, 0.0
        for j in range(starts[rows[i]], ends[rows[i]]):
            column = table[buckets[j]]
            if column < 0:
                continue
            value = (1.0 + np.log(counts[j])) * worth[column]
            columns[n] = column
            # the sign carries which block a cell is of until the lengths are known
            weights[n] = value if buckets[j] < edge else -value
            if buckets[j] < edge:
                words += value * value
            else:
                grams += value * value
            n += 1
        blocks = (1.0 if words > 0 else 0.0) + (1.0 if grams > 0 else 0.0)
        for j in range(first, n):
            if weights[j] > 0:
                weights[j] = weights[j] / np.sqrt(words * blocks)
            else:
                weights[j] = -weights[j] / np.sqrt(grams * blocks)
        offsets[i + 1] = n
    return n


@compiled
def text_margins(data: Array, grams: bool, table: Array, worth: Array, weights: Array) -> Array:
    """Return what one text's weighed terms sum up to, float32 (k,), in the order of the terms.

    Parameters
    ----------
    data
        Lower-cased UTF-8 bytes of the text.
    weights
        Float32 (n_columns, k).
    """
    room = PER_BYTE * (len(data) + 1)
    buckets, counts = np.empty(room, np.int32), np.empty(room, np.float32)
    ends, starts = np.zeros(1, np.int64), np.zeros(1, np.int64)
    offsets = np.array([0, len(data)])
    total = count_terms(data, offsets, grams, buckets, counts, ends)
    columns, cells = np.empty(total, np.int32), np.empty(total, np.float32)
    n = weigh(buckets, counts, starts, ends, starts, table, worth, columns, cells, offsets)
    found = np.zeros(weights.shape[1], np.float32)
    for j in range(n):
        for code in range(len(found)):
            found[code] += cells[j] * weights[columns[j], code]
    return found
