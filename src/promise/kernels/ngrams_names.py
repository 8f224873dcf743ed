"""Domain names as bytes: plain ones cleaned, split at their public suffix, hashed, compiled.

A batch of names is one array of bytes and `offsets`: name `i` is `data[offsets[i]:offsets[i + 1]]`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from promise.kernels.compiled import compiled

Array = npt.NDArray[Any]

RULE, WILDCARD, EXCEPTION = 1, 2, 4
"""What the suffix table says of a suffix; a wildcard stands at the suffix that it extends."""

PLAIN, OTHER = 0, 1
"""What `clean` found: a name, or something to be read with care."""

LONGEST_LABEL, LONGEST_NAME = 63, 253
_DOT, _DASH, _UNDERSCORE = 46, 45, 95
_BASIS, _PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


@compiled
def scrambled(word: np.uint64) -> Any:
    """Return a 64-bit word whose every bit depends on every bit of `word` (SplitMix64)."""
    z = word
    z = (z ^ (z >> np.uint64(30))) * _FIRST
    z = (z ^ (z >> np.uint64(27))) * _SECOND
    return z ^ (z >> np.uint64(31))


@compiled
def hash_bytes(data: Array, first: int, last: int) -> Any:
    """Return the hash of `data[first:last]` read backwards (FNV-1a, 64 bits), never 0."""
    h = _BASIS
    for i in range(last - 1, first - 1, -1):
        h = (h ^ np.uint64(data[i])) * _PRIME
    return scrambled(h) | np.uint64(1)


@compiled
def hash_names(data: Array, offsets: Array, starts: Array) -> Array:
    """Return the hash of each name from `starts[i]` (a place in the name) to its end."""
    n = len(offsets) - 1
    found = np.empty(n, np.uint64)
    for i in range(n):
        found[i] = hash_bytes(data, offsets[i] + starts[i], offsets[i + 1])
    return found


@compiled
def hash_parts(data: Array, offsets: Array, starts: Array, ends: Array) -> Array:
    """Return the hash of each name between two places in it."""
    n = len(offsets) - 1
    found = np.empty(n, np.uint64)
    for i in range(n):
        found[i] = hash_bytes(data, offsets[i] + starts[i], offsets[i] + ends[i])
    return found


@compiled
def clean(data: Array, offsets: Array) -> tuple[Array, Array, Array]:
    """Copy plain names, lower-cased and without a final dot; flag what needs more care.

    Returns
    -------
    data, offsets, kinds
        Uint8, int64 (n + 1,) and int8 (n,): what is `OTHER` has no bytes.
    """
    n = len(offsets) - 1
    out = np.empty(len(data), np.uint8)
    ends = np.zeros(n + 1, np.int64)
    kinds = np.zeros(n, np.int8)
    at = 0
    for i in range(n):
        first, last = offsets[i], offsets[i + 1]
        if last - first > 1 and data[last - 1] == _DOT:
            last -= 1
        start, label, digits, fine = at, 0, True, 0 < last - first <= LONGEST_NAME
        for j in range(first, last):
            c = data[j]
            if 65 <= c <= 90:
                c += 32
            if c == _DOT:
                fine = fine and 0 < label <= LONGEST_LABEL
                label, digits = 0, True
            elif 97 <= c <= 122 or c in (_DASH, _UNDERSCORE):
                label, digits = label + 1, False
            elif 48 <= c <= 57:
                label += 1
            else:
                fine = False
            if not fine:
                break
            out[at] = c
            at += 1
        if not fine or digits or not 0 < label <= LONGEST_LABEL:
            kinds[i], at = OTHER, start
        ends[i + 1] = at
    return out[:at].copy(), ends, kinds


@compiled
def looked_up(keys: Array, flags: Array, key: np.uint64) -> Any:
    """Return what an open-addressed table of a power-of-two size says of a key, 0 for nothing."""
    mask = np.uint64(len(keys) - 1)
    place = key & mask
    while keys[place] != np.uint64(0):
        if keys[place] == key:
            return flags[place]
        place = (place + np.uint64(1)) & mask
    return flags.dtype.type(0)


@compiled
def filled(keys: Array, flags: Array) -> tuple[Array, Array]:
    """Return an open-addressed table of these keys (uint64, none 0); equal keys join their bits."""
    size = 16
    while size < 3 * len(keys):
        size *= 2
    table, kept = np.zeros(size, np.uint64), np.zeros(size, flags.dtype)
    mask = np.uint64(size - 1)
    for i in range(len(keys)):
        place = keys[i] & mask
        while table[place] != np.uint64(0) and table[place] != keys[i]:
            place = (place + np.uint64(1)) & mask
        table[place] = keys[i]
        kept[place] |= flags[i]
    return table, kept


@compiled
def split_one(data: Array, first: int, last: int, keys: Array, flags: Array) -> tuple[int, int]:
    """Return where the registrable domain and the public suffix of one name begin.

    The algorithm of publicsuffix.org: the longest matching rule, exceptions before all, and the
    last label where none matches. A name that is itself a suffix has both at its beginning.
    """
    h = _BASIS
    suffix, parent, below = -1, last, -1
    wild = False
    for i in range(last - 1, first - 2, -1):
        if i >= first and data[i] != _DOT:
            h = (h ^ np.uint64(data[i])) * _PRIME
            continue
        start = i + 1
        found = int(looked_up(keys, flags, scrambled(h) | np.uint64(1)))
        if found & EXCEPTION:
            suffix, below = parent, start
            break
        if suffix == -1 or found & RULE or wild:
            suffix, below = start, -1
        elif below == -1:
            below = start
        wild = bool(found & WILDCARD)
        parent = start
        if i >= first:
            h = (h ^ np.uint64(_DOT)) * _PRIME
    if below == -1:
        below = suffix
    return below - first, suffix - first


@compiled
def split_names(data: Array, offsets: Array, keys: Array, flags: Array) -> Array:
    """Return `split_one` of every name: int32 (n, 2)."""
    n = len(offsets) - 1
    found = np.empty((n, 2), np.int32)
    for i in range(n):
        below, suffix = split_one(data, offsets[i], offsets[i + 1], keys, flags)
        found[i, 0], found[i, 1] = below, suffix
    return found


@compiled
def match_one(data: Array, first: int, last: int, keys: Array, numbers: Array) -> tuple[int, int]:
    """Return the number of the longest rule that ends one name at a label, and where it begins.

    Parameters
    ----------
    keys, numbers
        A table of `filled`: hash of a rule to its number, counted from 1.
    """
    h, rule, start = _BASIS, 0, 0
    for i in range(last - 1, first - 2, -1):
        if i < first or data[i] == _DOT:
            found = looked_up(keys, numbers, scrambled(h) | np.uint64(1))
            if found:
                rule, start = found, i + 1 - first
        if i >= first:
            h = (h ^ np.uint64(data[i])) * _PRIME
    return rule, start


@compiled
def match_names(data: Array, offsets: Array, keys: Array, numbers: Array) -> Array:
    """Return `match_one` of every name: int32 (n, 2)."""
    n = len(offsets) - 1
    found = np.empty((n, 2), np.int32)
    for i in range(n):
        rule, start = match_one(data, offsets[i], offsets[i + 1], keys, numbers)
        found[i, 0], found[i, 1] = rule, start
    return found


@compiled
def suffix_hashes(data: Array, offsets: Array, cuts: Array, rows: Array) -> tuple[Array, Array]:
    """Return the hash of every ending of these names at a label, from the registrable domain on.

    A name that is itself a public suffix has none: what ends in it is others'.

    Returns
    -------
    hashes, owners
        Uint64 and int64 (m,): `owners` are places in `rows`.
    """
    hashes, owners = [np.uint64(0) for _ in range(0)], [0 for _ in range(0)]
    for place in range(len(rows)):
        row = rows[place]
        first, last = offsets[row], offsets[row + 1]
        if cuts[row, 0] == cuts[row, 1]:
            continue
        h = _BASIS
        for i in range(last - 1, first - 2, -1):
            if (i < first or data[i] == _DOT) and i + 1 - first <= cuts[row, 0]:
                hashes.append(scrambled(h) | np.uint64(1))
                owners.append(place)
            if i >= first:
                h = (h ^ np.uint64(data[i])) * _PRIME
    return np.array(hashes), np.array(owners)
