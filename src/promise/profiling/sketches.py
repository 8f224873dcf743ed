"""Small summaries of endless columns: each merges, so that any batch order gives one result."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from promise.kernels.rows import mix

Words = npt.NDArray[np.uint64]

_LONG_TEXT = 512
"""Texts of more bytes than this are hashed one by one: the word loop would crawl."""

_BLOCK = 16384
"""Rows hashed at a time: the work arrays of a block stay in the processor's cache."""


def hash_array(values: Any) -> Words:
    """Hash the values of an Arrow array without missing ones to 64 bits, equal values alike.

    Numbers are hashed by their float64 bits unless they are integers, which keep all 64 bits.

    Examples
    --------
    >>> a, b, c = hash_array(pa.array(["x", "yy", "x"])).tolist()
    >>> a == c, a == b
    (True, False)
    """
    kind = values.type
    if len(values) > _BLOCK:
        blocks = (values.slice(at, _BLOCK) for at in range(0, len(values), _BLOCK))
        return np.concatenate([hash_array(block) for block in blocks])
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _hash_text(values)
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return mix(values.to_numpy(zero_copy_only=False).astype(np.int64).view(np.uint64))
    if pa.types.is_floating(kind):
        return hash_numbers(values.to_numpy(zero_copy_only=False))
    if pa.types.is_timestamp(kind):
        return mix(values.cast(pa.int64()).to_numpy(zero_copy_only=False).view(np.uint64))
    return _hash_text(values.cast(pa.large_string()))


def hash_cells(values: Any) -> Words:
    """Hash the values of an Arrow array; null and NaN hash alike.

    Examples
    --------
    >>> a, b, c = hash_cells(pa.array([1, None, None])).tolist()
    >>> a == b, b == c
    (False, True)
    """
    missing = pc.is_null(values, nan_is_null=True)
    if not pc.any(missing).as_py():
        return hash_array(values)
    hashes = np.full(len(values), 0x9E3779B97F4A7C15, dtype=np.uint64)
    hashes[~missing.to_numpy(zero_copy_only=False)] = hash_array(values.filter(pc.invert(missing)))
    return hashes


def hash_numbers(values: npt.NDArray[Any]) -> Words:
    """Hash numbers by their float64 bits; 0.0 and -0.0 alike."""
    # adding zero turns -0.0 into 0.0
    return mix((values.astype(np.float64, copy=False) + 0.0).view(np.uint64))


def _hash_text(values: Any) -> Words:
    if len(values) == 0:
        return np.empty(0, dtype=np.uint64)
    wide = pa.types.is_large_string(values.type)
    _, offset_buffer, data_buffer = values.buffers()
    offsets = np.frombuffer(offset_buffer, dtype=np.int64 if wide else np.int32)
    offsets = offsets[values.offset : values.offset + len(values) + 1].astype(np.int64)
    start, lengths = offsets[:-1] - offsets[0], np.diff(offsets)
    raw = np.frombuffer(data_buffer, dtype=np.uint8) if data_buffer is not None else np.empty(0)
    n_bytes = int(offsets[-1] - offsets[0])
    # whole words, and one more that reading past the last byte may touch
    padded = np.zeros((n_bytes // 8 + 2) * 8, dtype=np.uint8)
    padded[:n_bytes] = raw[offsets[0] : offsets[-1]]
    return _hash_spans(padded, start, lengths)


def _hash_spans(
    padded: npt.NDArray[np.uint8], start: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]
) -> Words:
    """Hash byte spans eight bytes at a time: all first words, then all second words, …"""
    words = padded.view(np.dtype("<u8"))
    hashes = mix(lengths.astype(np.uint64))
    active = np.flatnonzero((lengths > 0) & (lengths <= _LONG_TEXT))
    at = 0
    while len(active):
        left = lengths[active] - at
        unused_bits = (8 * (8 - np.minimum(left, 8))).astype(np.uint64)
        word = _words_at(words, start[active] + at) << unused_bits
        hashes[active] = mix(hashes[active] * np.uint64(0x9E3779B97F4A7C15) ^ word)
        active = active[left > 8]
        at += 8
    for row in np.flatnonzero(lengths > _LONG_TEXT):
        span = padded[start[row] : start[row] + lengths[row]]
        digest = hashlib.blake2b(span.tobytes(), digest_size=8).digest()
        hashes[row] = int.from_bytes(digest, "little")
    return hashes


def _words_at(words: Words, at: npt.NDArray[np.int64]) -> Words:
    """Read the eight bytes that begin at each byte position, from two aligned words."""
    index = at >> 3
    shift = ((at & 7) << 3).astype(np.uint64)
    # in two steps, because a shift by 64 is undefined
    high: Words = words[index + 1] << np.uint64(1) << (np.uint64(63) - shift)
    low: Words = words[index] >> shift
    return low | high


@dataclass(frozen=True)
class Distinct:
    """How many different values there are, from the `k` smallest hashes (KMV sketch).

    Exact while fewer than `k` values were seen; then the relative error is about `1 / sqrt(k)`
    (Bar-Yossef et al., 2002; the unbiased estimator of Beyer et al., 2007).

    Examples
    --------
    >>> sketch = Distinct(k=64).merge(hash_numbers(np.array([1.0, 2.0, 2.0])))
    >>> sketch.count, sketch.exact
    (2, True)
    """

    k: int = 16384
    hashes: Words = field(default_factory=lambda: np.empty(0, dtype=np.uint64))

    def merge(self, hashes: Words) -> Distinct:
        """Return the sketch of these values too; pass another sketch's `hashes` to join both."""
        if len(self.hashes) >= self.k:
            hashes = hashes[hashes < self.hashes[-1]]
            if len(hashes) == 0:
                return self
        # sorting is faster here than `np.unique`, which builds a hash table
        merged = np.sort(np.concatenate([self.hashes, hashes]))
        first = np.ones(len(merged), dtype=bool)
        first[1:] = merged[1:] != merged[:-1]
        return Distinct(self.k, merged[first][: self.k])

    @property
    def exact(self) -> bool:
        """Whether `count` is a count, not an estimate."""
        return len(self.hashes) < self.k

    @property
    def count(self) -> int:
        """Return the number of different values, or its estimate."""
        if self.exact:
            return len(self.hashes)
        return round((self.k - 1) / (float(self.hashes[-1]) / 2.0**64))


@dataclass(frozen=True)
class Moments:
    """Count, mean, spread and extremes of numbers; merged by Chan, Golub and LeVeque (1979).

    Examples
    --------
    >>> both = Moments.of(np.array([1.0, 2.0])).merge(Moments.of(np.array([6.0])))
    >>> both.n, both.mean, both.high
    (3, 3.0, 6.0)
    """

    n: int = 0
    mean: float = 0.0
    squares: float = 0.0
    low: float = np.inf
    high: float = -np.inf

    @classmethod
    def of(
        cls, values: npt.NDArray[np.float64], counts: npt.NDArray[np.int64] | None = None
    ) -> Moments:
        """Summarise finite values, each seen once or `counts` times."""
        if len(values) == 0:
            return cls()
        n = len(values) if counts is None else int(counts.sum())
        mean = float(np.average(values, weights=counts)) if counts is not None else values.mean()
        gaps = values - mean
        squares = np.dot(gaps, gaps) if counts is None else np.dot(gaps * gaps, counts)
        return cls(n, float(mean), float(squares), float(values.min()), float(values.max()))

    def merge(self, other: Moments) -> Moments:
        """Return the summary of both sets of values."""
        n = self.n + other.n
        if n == 0 or other.n == 0:
            return self
        gap = other.mean - self.mean
        return Moments(
            n,
            self.mean + gap * other.n / n,
            self.squares + other.squares + gap * gap * self.n * other.n / n,
            min(self.low, other.low),
            max(self.high, other.high),
        )

    @property
    def std(self) -> float:
        """Return the sample standard deviation; 0 for a single value."""
        return float(np.sqrt(self.squares / (self.n - 1))) if self.n > 1 else 0.0


@dataclass(frozen=True)
class Repeats:
    """How large a share of rows repeats an earlier row, from the rows in a slice of hash space.

    Rows are kept by the hash of a few columns: equal rows are then kept or left out together, so
    the share among the kept rows is an unbiased estimate of the share among all.

    Parameters
    ----------
    limit
        How many different rows to keep at most; the slice narrows when there are more.
    below
        Upper end of the slice: a row is kept if its key is smaller.
    keys, rows, counts
        Of each different kept row the hash of the chosen columns, the hash of the whole row and
        how often it came.
    """

    limit: int = 100_000
    below: int = 2**64
    keys: Words = field(default_factory=lambda: np.empty(0, dtype=np.uint64))
    rows: Words = field(default_factory=lambda: np.empty(0, dtype=np.uint64))
    counts: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    def wants(self, keys: Words) -> npt.NDArray[np.int64]:
        """Return the positions of rows whose whole hash is worth computing."""
        if self.below == 2**64:
            return np.arange(len(keys))
        return np.flatnonzero(keys < np.uint64(self.below))

    def merge(self, keys: Words, rows: Words, counts: npt.NDArray[np.int64]) -> Repeats:
        """Return the sketch with these rows too, narrowed to the limit."""
        keys, rows = np.concatenate([self.keys, keys]), np.concatenate([self.rows, rows])
        rows, first, which = np.unique(rows, return_index=True, return_inverse=True)
        counts = np.bincount(
            which, weights=np.concatenate([self.counts, counts]), minlength=len(rows)
        ).astype(np.int64)
        keys, below = keys[first], self.below
        if len(keys) > self.limit:
            # half the limit, so that narrowing is rare; a crowded key falls out as a whole
            below = int(np.partition(keys, self.limit // 2)[self.limit // 2])
            kept = keys < np.uint64(below)
            keys, rows, counts = keys[kept], rows[kept], counts[kept]
        return Repeats(self.limit, below, keys, rows, counts)

    @property
    def n_rows(self) -> int:
        """How many rows the share is computed from."""
        return int(self.counts.sum())

    @property
    def share(self) -> float:
        """Return the share of rows that repeat an earlier one."""
        return 1.0 - len(self.rows) / self.n_rows if self.n_rows else 0.0
