"""Samples of rows by hash: deterministic, nested, and the same on any number of workers.

Every row has a place in a random order that depends on its number and the seed only. A random
sample is the first `k` rows of that order. A stratified one ranks each stratum by that order and
takes the rows of lowest (rank + 1/2) / stratum size: Webster's apportionment, which, unlike the
largest remainder, never takes a row away when the sample grows, so that samples nest.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from promise.data.columns import Array, IntArray
from promise.errors import ConfigError
from promise.kernels.rows import row_hash

Strategy = Literal["random", "stratified", "time"]
AUTO_ROWS = 100_000
TIME_BINS = 100
KEPT_PER_STRATUM = 2
"""So many rows of each stratum come before all others, so that no class is lost."""


def sample_size(n_rows: int, how: str | int) -> int:
    """Return how many rows to use: `"auto"`, `"full"` or a number.

    `auto` takes everything up to 100,000 rows; above, the smaller of 100,000 and 10 %.

    Examples
    --------
    >>> sample_size(80_000, "auto"), sample_size(500_000, "auto"), sample_size(10**7, "auto")
    (80000, 50000, 100000)
    """
    if how == "full":
        return n_rows
    if how == "auto":
        return n_rows if n_rows <= AUTO_ROWS else min(AUTO_ROWS, n_rows // 10)
    try:
        wanted = int(how)
    except ValueError:
        wanted = 0
    if wanted < 1:
        raise ConfigError(f"sample {how!r} is unknown; expected 'auto', 'full' or rows, above 0.")
    return min(wanted, n_rows)


def time_numbers(time: Array) -> npt.NDArray[np.float64]:
    """Return times as numbers (dates: microseconds), NaN where missing."""
    if time.dtype.kind != "M":
        return time.astype(np.float64)
    numbers = time.astype("M8[us]").astype(np.int64).astype(np.float64)
    numbers[np.isnat(time)] = np.nan
    return numbers


def quantile_bins(values: Array, bins: int = 10) -> npt.NDArray[np.int64]:
    """Return the quantile bin of each number or date, -1 where missing.

    Examples
    --------
    >>> quantile_bins(np.array([1.0, 2.0, 3.0, 4.0, np.nan]), bins=2)
    array([ 0,  0,  1,  1, -1])
    """
    numbers = time_numbers(values)
    known = np.isfinite(numbers)
    codes = np.full(len(numbers), -1, dtype=np.int64)
    if known.any():
        edges = np.unique(np.quantile(numbers[known], np.arange(1, bins) / bins, method="higher"))
        codes[known] = np.searchsorted(edges, numbers[known], side="right")
        codes[known] = np.unique(codes[known], return_inverse=True)[1]
    return codes


def strata_codes(values: Array, bins: int = 10) -> npt.NDArray[np.int64]:
    """Return a stratum per row: classes as they are, many-valued numbers by quantile.

    Examples
    --------
    >>> strata_codes(np.array(["b", "a", None, "b"], dtype=object))
    array([1, 0, 2, 1])
    """
    if values.dtype.kind in "iub":
        return values.astype(np.int64)
    if values.dtype.kind == "f":
        distinct, codes = np.unique(values, return_inverse=True)
        return codes.astype(np.int64) if len(distinct) <= 20 else quantile_bins(values, bins)
    if values.dtype.kind == "M":
        return quantile_bins(values, bins)
    seen = {value: i for i, value in enumerate(sorted({v for v in values if v is not None}))}
    return np.array([seen.get(value, len(seen)) for value in values], dtype=np.int64)


def sample_rows(
    n_rows: int,
    k: int,
    *,
    strategy: Strategy = "random",
    seed: int,
    strata: Array | None = None,
    time: Array | None = None,
) -> IntArray:
    """Return `k` of the rows 0 … n_rows - 1, sorted.

    Parameters
    ----------
    strategy
        `"stratified"` keeps the shares of `strata` (classes, or a number's quantiles), and two
        rows of each stratum where it has them; `"time"` covers the time evenly: as many rows of
        each hundredth of the history as its share is, so that no period is left out.
    strata, time
        One value per row, as the strategy needs them.

    Examples
    --------
    >>> small, large = sample_rows(1000, 10, seed=7), sample_rows(1000, 20, seed=7)
    >>> len(small), bool(np.isin(small, large).all())
    (10, True)
    """
    if k >= n_rows:
        return np.arange(n_rows, dtype=np.int64)
    if strategy == "random":
        codes = None
    elif strategy == "stratified":
        if strata is None:
            raise ConfigError("a stratified sample needs the label of each row.")
        codes = strata_codes(strata)
    elif strategy == "time":
        if time is None:
            raise ConfigError("a sample over time needs a time column; name it with --time.")
        codes = quantile_bins(time, TIME_BINS)
    else:
        raise ConfigError(f"strategy {strategy!r} is unknown: random, stratified or time.")
    sampler = Sampler(k, seed)
    for start in range(0, n_rows, 1 << 20):
        stop = min(n_rows, start + (1 << 20))
        rows = np.arange(start, stop, dtype=np.int64)
        sampler.add(rows, None if codes is None else codes[start:stop])
    return sampler.rows()


@dataclass
class Sampler:
    """Samples a stream of rows; the parts of several workers merge to the same sample.

    Holds at most `k` rows per stratum, whatever the length of the stream.

    Examples
    --------
    >>> left, right = Sampler(3, seed=7), Sampler(3, seed=7)
    >>> left.add(np.arange(50))
    >>> right.add(np.arange(50, 100))
    >>> left.merge(right)
    >>> bool((left.rows() == sample_rows(100, 3, seed=7)).all())
    True
    """

    k: int
    seed: int
    _kept: dict[int, tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]] = field(
        default_factory=dict
    )
    _counts: dict[int, int] = field(default_factory=dict)

    def add(self, rows: IntArray, strata: IntArray | None = None) -> None:
        """Take notice of a batch of rows, with a stratum code each."""
        numbers = np.asarray(rows, dtype=np.int64)
        hashes = row_hash(numbers, self.seed)
        if strata is None:
            self._join(0, hashes, numbers, len(numbers))
            return
        order = np.argsort(strata, kind="stable")
        codes, starts = np.unique(strata[order], return_index=True)
        for code, part in zip(codes, np.split(order, starts[1:]), strict=True):
            self._join(int(code), hashes[part], numbers[part], len(part))

    def merge(self, other: Sampler) -> None:
        """Take over what another worker's sampler of the same size and seed has kept."""
        if (self.k, self.seed) != (other.k, other.seed):
            raise ConfigError("only samplers of the same size and seed merge.")
        for code, (hashes, rows) in other._kept.items():
            self._join(code, hashes, rows, other._counts[code])

    def rows(self) -> IntArray:
        """Return the sample so far, sorted."""
        if not self._kept:
            return np.empty(0, dtype=np.int64)
        priorities, hashes, rows = [], [], []
        for code in sorted(self._kept):
            of_code, numbers = self._kept[code]
            order = np.argsort(of_code)
            rank = np.arange(len(order), dtype=np.float64)
            share = (rank + 0.5) / self._counts[code]
            first = rank < KEPT_PER_STRATUM if len(self._kept) > 1 else rank < 0
            priorities.append(np.where(first, rank - KEPT_PER_STRATUM, share))
            hashes.append(of_code[order])
            rows.append(numbers[order])
        chosen = np.lexsort((np.concatenate(hashes), np.concatenate(priorities)))[: self.k]
        return np.sort(np.concatenate(rows)[chosen])

    def _join(
        self,
        code: int,
        hashes: npt.NDArray[np.uint64],
        rows: npt.NDArray[np.int64],
        count: int,
    ) -> None:
        if code in self._kept:
            old_hashes, old_rows = self._kept[code]
            hashes, rows = np.concatenate([old_hashes, hashes]), np.concatenate([old_rows, rows])
        if len(hashes) > self.k:
            least = np.argpartition(hashes, self.k - 1)[: self.k]
            hashes, rows = hashes[least], rows[least]
        self._kept[code] = hashes, rows
        self._counts[code] = self._counts.get(code, 0) + count
