"""By what an event is known again: who, to whom, what and when, as one number of 64 bits.

A version that was trained on files keeps the numbers of their events, so that the same events count
once where they are imported too. Two different events share a number about once in 10^19 pairs.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

import numpy as np

from promise.data.columns import Array, IntArray

_STEP = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def id_numbers(ids: Iterable[str]) -> Array:
    """Return a number for each id: uint64 (n,)."""
    found = (int.from_bytes(blake2b(id.encode(), digest_size=8).digest(), "big") for id in ids)
    return np.fromiter(found, np.uint64)


def event_numbers(chooser: Array, chosen: Array, kind: IntArray, at_us: IntArray) -> Array:
    """Return a number for each event: uint64 (n,).

    Parameters
    ----------
    chooser, chosen
        Numbers of ids: uint64 (n,).
    kind
        Codes of `KINDS`.

    Examples
    --------
    >>> ann, bob = id_numbers(["ann"]), id_numbers(["bob"])
    >>> there = event_numbers(ann, bob, np.array([1]), np.array([7]))
    >>> back = event_numbers(bob, ann, np.array([1]), np.array([7]))
    >>> bool(there == back), bool(there == event_numbers(ann, bob, np.array([1]), np.array([7])))
    (False, True)
    """
    found = np.zeros(len(kind), np.uint64)
    for part in (chooser, chosen, kind.astype(np.int64), at_us.astype(np.int64)):
        found = _mixed(found + part.astype(np.uint64) + _STEP)
    return found


def _mixed(value: Array) -> Array:
    """Return SplitMix64's finaliser (Steele, Lea, Flood 2014)."""
    value = (value ^ (value >> np.uint64(30))) * _FIRST
    value = (value ^ (value >> np.uint64(27))) * _SECOND
    return np.asarray(value ^ (value >> np.uint64(31)))


def holds(known: Array, numbers: Array) -> Array:
    """Say which numbers are among known ones, which are ascending: bool (n,)."""
    if not len(known):
        return np.zeros(len(numbers), dtype=bool)
    place = np.minimum(np.searchsorted(known, numbers), len(known) - 1)
    return np.asarray(known[place] == numbers)
