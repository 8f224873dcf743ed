"""Hashes of row numbers and texts: one order of all rows, the same on every machine.

Samples, folds and holdouts are cut from these hashes, so a larger sample contains the smaller one
and a row's place depends on nothing but its number and the seed.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt


def mix(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Scramble 64-bit words so that every input bit moves every output bit.

    The finaliser of SplitMix64 (Steele, Lea and Flood, 2014): a bijection, hence no collisions.
    """
    z = words.astype(np.uint64, copy=True)
    z ^= z >> np.uint64(30)
    z *= np.uint64(0xBF58476D1CE4E5B9)
    z ^= z >> np.uint64(27)
    z *= np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return z


def seed_word(seed: int) -> npt.NDArray[np.uint64]:
    """Turn a seed into a scrambled word, as an array of length one."""
    return mix(np.array([(seed + 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF], dtype=np.uint64))


def row_hash(rows: npt.NDArray[np.int64], seed: int) -> npt.NDArray[np.uint64]:
    """Give every row number a place in a random order; distinct rows never collide.

    Examples
    --------
    >>> row_hash(np.array([0, 1]), seed=7) == row_hash(np.array([0, 1, 2]), seed=7)[:2]
    array([ True,  True])
    """
    golden = np.uint64(0x9E3779B97F4A7C15)
    words = np.asarray(rows, dtype=np.int64).astype(np.uint64)
    return mix((words + np.uint64(1)) * golden + seed_word(seed))


def text_hash(values: npt.NDArray[Any], seed: int) -> npt.NDArray[np.uint64]:
    """Hash texts to 64 bits, equal texts alike; a missing text (None) hashes like a value.

    Examples
    --------
    >>> hashes = text_hash(np.array(["a", "b", "a", None], dtype=object), seed=7)
    >>> bool(hashes[0] == hashes[2]), len(set(hashes.tolist()))
    (True, 3)
    """
    known: dict[Any, int] = {}
    words = np.empty(len(values), dtype=np.uint64)
    for at, value in enumerate(values):
        word = known.get(value)
        if word is None:
            raw = b"\xff" if value is None else str(value).encode("utf-8", "surrogatepass")
            word = int.from_bytes(hashlib.blake2b(raw, digest_size=8).digest(), "little")
            known[value] = word
        words[at] = word
    return mix(words ^ seed_word(seed))


def hash_fold(rows: npt.NDArray[np.int64], k: int, seed: int) -> npt.NDArray[np.int64]:
    """Deal row numbers into `k` folds, 0 … k-1, by their hash alone.

    Examples
    --------
    >>> hash_fold(np.arange(6), k=2, seed=1).shape
    (6,)
    """
    high = row_hash(rows, seed) >> np.uint64(32)
    # multiply and shift instead of a remainder: no bias towards low folds
    return ((high * np.uint64(k)) >> np.uint64(32)).astype(np.int64)
