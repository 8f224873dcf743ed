"""What a name looks like, whatever it says: lengths, digits, vowels, patterns, ends, as hashes.

Names of one kind are often built alike: shops have two words and a common suffix, machines make
long labels of consonants and digits. No character n-gram sees that; these terms do.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from promise.kernels.compiled import compiled
from promise.kernels.ngrams_names import hash_bytes, scrambled

Array = npt.NDArray[Any]

SHAPES = 18
"""How many terms `shape_terms` writes at most."""

_LETTER, _DIGIT, _OTHER = 1, 2, 3
_DOT, _DASH, _UNDERSCORE = 46, 45, 95
_LONG, _MANY_DIGITS = 40, 9
_PATTERN_OF_NAME, _PATTERN_OF_LABEL = 24, 16
_BASIS, _PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
_STEP = np.uint64(0x9E3779B97F4A7C15)


@compiled
def is_vowel(c: int) -> bool:
    """Say whether a byte is one of a, e, i, o, u, y."""
    return c in (97, 101, 105, 111, 117, 121)


@compiled
def class_of(c: int) -> int:
    """Return 1 for a letter, 2 for a digit, 3 for a dash, the byte itself for a dot."""
    if 97 <= c <= 122:
        return _LETTER
    if 48 <= c <= 57:
        return _DIGIT
    return _DOT if c == _DOT else _OTHER


@compiled
def pattern_hash(data: Array, first: int, last: int, most: int) -> Any:
    """Return the hash of runs of letters, digits and marks, one byte or several, in order."""
    h, before, written, several = _BASIS, 0, 0, False
    for i in range(first, last):
        found = class_of(data[i])
        if found == before:
            if not several and written < most:
                h = (h ^ np.uint64(7)) * _PRIME
                several, written = True, written + 1
        elif written < most:
            h = (h ^ np.uint64(found)) * _PRIME
            before, several, written = found, False, written + 1
    return h


@compiled
def shape_terms(
    data: Array, first: int, last: int, suffix: int, bits: int, found: Array, n: int
) -> int:
    """Write the buckets of one name's shape behind the `n` of `found`; return how many there are.

    Parameters
    ----------
    data, first, last
        The name is `data[first:last]`.
    suffix
        Where the public suffix begins in it.
    """
    end = max(first, first + suffix - 1)
    label, dots, dashes, digits = first, 0, 0, 0
    for i in range(first, end):
        c = data[i]
        if c == _DOT:
            label, dots = i + 1, dots + 1
        elif c == _DASH:
            dashes += 1
        elif 48 <= c <= 57:
            digits += 1
    letters, vowels, run, longest = 0, 0, 0, 0
    for i in range(label, end):
        c, consonant = data[i], False
        if 97 <= c <= 122:
            letters += 1
            if is_vowel(c):
                vowels += 1
            else:
                consonant = True
        run = run + 1 if consonant else 0
        longest = max(longest, run)
    length, own = min(end - first, _LONG), end - label
    tone = 8 * vowels // max(1, letters)
    under = hash_bytes(data, first + suffix, last)
    anywhere = np.uint64(0)
    values = (
        (np.uint64(length), anywhere),
        (np.uint64(min(own, _LONG)), anywhere),
        (np.uint64(min(digits, _MANY_DIGITS)), anywhere),
        (np.uint64(length // 3), under),
        (np.uint64(dots), under),
        (np.uint64(dashes), under),
        (pattern_hash(data, first, end, _PATTERN_OF_NAME), anywhere),
        (pattern_hash(data, label, end, _PATTERN_OF_LABEL), under),
        (np.uint64(tone), anywhere),
        (np.uint64(tone), under),
        (np.uint64(longest), anywhere),
        (np.uint64(64 * (own // 3) + longest), anywhere),
        (np.uint64(4096 * own + 64 * (tone // 2) + longest), anywhere),
        (np.uint64(own), under),
        (hash_bytes(data, label, min(end, label + 3)), under),
        (hash_bytes(data, label, min(end, label + 4)), under),
        (hash_bytes(data, max(label, end - 3), end), under),
        (hash_bytes(data, max(label, end - 4), end), under),
    )
    shift = np.uint64(64 - bits)
    for number in range(len(values)):
        value, where = values[number]
        h = scrambled(value + np.uint64(number + 1) * _STEP) ^ where
        found[n] = np.int64(scrambled(h) >> shift)
        n += 1
    return n
