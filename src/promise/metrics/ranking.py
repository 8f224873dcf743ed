"""How good ranked lists are: what they find, whom they show, what a log says they would earn."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from promise.data.columns import Array, FloatArray, IntArray
from promise.errors import DataError

_BLOCK_CELLS = 4_000_000


@dataclass(frozen=True)
class Wanted:
    """Who or what each request should find: request i owns `items[starts[i]:starts[i + 1]]`.

    Parameters
    ----------
    starts
        int64 (n_requests + 1,).
    items
        Codes, none twice within a request: (n_wanted,).
    """

    starts: IntArray
    items: IntArray

    @classmethod
    def of_pairs(cls, request: IntArray, item: IntArray, n_requests: int) -> Wanted:
        """Gather pairs of request and item, in any order and with repetitions.

        Examples
        --------
        >>> Wanted.of_pairs(np.array([1, 0, 1]), np.array([7, 5, 7]), 2).counts
        array([1, 1])
        """
        order = np.lexsort((item, request))
        request, item = request[order], item[order]
        if len(request):
            again = (np.diff(request) == 0) & (np.diff(item) == 0)
            kept = np.append(True, ~again)
            request, item = request[kept], item[kept]
        starts = np.searchsorted(request, np.arange(n_requests + 1)).astype(np.int64)
        return cls(starts, np.asarray(item, dtype=np.int64))

    @property
    def counts(self) -> IntArray:
        """How many each request should find: int64 (n_requests,)."""
        return np.diff(self.starts)

    @property
    def requests(self) -> IntArray:
        """The request of each wanted item: int64 (n_wanted,)."""
        return np.repeat(np.arange(len(self.starts) - 1), self.counts)

    def found(self, lists: IntArray) -> Array:
        """Say which places of ranked lists hold a wanted item: bool (n_requests, k).

        Parameters
        ----------
        lists
            Codes, best first, padded by -1: (n_requests, k).
        """
        if len(lists) != len(self.starts) - 1:
            raise DataError(f"{len(lists)} lists came for {len(self.starts) - 1} requests.")
        if not len(self.items) or not lists.size:
            return np.zeros(lists.shape, dtype=bool)
        width = int(max(self.items.max(), lists.max(initial=0))) + 1
        keys = self.requests * width + self.items
        asked = np.arange(len(lists))[:, None] * width + lists
        place = np.minimum(np.searchsorted(keys, asked), len(keys) - 1)
        return np.asarray((keys[place] == asked) & (lists >= 0))


def recall_at(found: Array, wanted: IntArray, k: int) -> FloatArray:
    """Return for each request the share of what it wants among its first k; NaN for none.

    Examples
    --------
    >>> recall_at(np.array([[True, False, True]]), np.array([4]), 2)
    array([0.25])
    """
    return _share(found[:, :k].sum(axis=1), wanted)


def hit_at(found: Array, wanted: IntArray, k: int) -> FloatArray:
    """Return for each request whether anything wanted is among its first k, as 0 or 1."""
    return np.where(wanted > 0, found[:, :k].any(axis=1).astype(np.float64), np.nan)


def ndcg_at(found: Array, wanted: IntArray, k: int) -> FloatArray:
    """Return for each request the normalised discounted gain of its first k, gains being 0 or 1.

    Examples
    --------
    >>> ndcg_at(np.array([[True, False], [False, True]]), np.array([1, 1]), 2).round(3)
    array([1.   , 0.631])
    """
    shown = found[:, :k]
    discount = 1.0 / np.log2(np.arange(2, k + 2))
    best = np.append(0.0, np.cumsum(discount))[np.minimum(wanted, k)]
    return _share(shown @ discount[: shown.shape[1]], best)


def average_precision_at(found: Array, wanted: IntArray, k: int) -> FloatArray:
    """Return for each request the mean precision at its hits, of at most k that could be hit.

    Examples
    --------
    >>> average_precision_at(np.array([[True, False, True]]), np.array([2]), 3)
    array([0.83333333])
    """
    shown = found[:, :k].astype(np.float64)
    precision = np.cumsum(shown, axis=1) / np.arange(1, shown.shape[1] + 1)
    return _share((precision * shown).sum(axis=1), np.minimum(wanted, k))


def each_request(found: Array, wanted: IntArray) -> dict[str, FloatArray]:
    """Return the usual scores of every request, by the names under which metrics are told."""
    return {
        "recall_at_20": recall_at(found, wanted, 20),
        "ndcg_at_20": ndcg_at(found, wanted, 20),
        "ndcg_at_10": ndcg_at(found, wanted, 10),
        "map_at_20": average_precision_at(found, wanted, 20),
        "hit_rate_at_20": hit_at(found, wanted, 20),
    }


def coverage(lists: IntArray, n_items: int) -> float:
    """Return the share of all items that are on any list.

    Examples
    --------
    >>> coverage(np.array([[0, 1], [1, -1]]), 4)
    0.5
    """
    return len(np.unique(lists[lists >= 0])) / n_items if n_items else math.nan


def exposure_gini(lists: IntArray, n_items: int) -> float:
    """Return how unequally items are shown: 0 where all alike, near 1 where few take all.

    Examples
    --------
    >>> exposure_gini(np.array([[0, 1], [2, 3]]), 4), exposure_gini(np.array([[0], [0]]), 4)
    (0.0, 0.75)
    """
    shown = np.sort(np.bincount(lists[lists >= 0], minlength=n_items)).astype(np.float64)
    if not shown.sum():
        return math.nan
    n = len(shown)
    return float((2 * np.arange(1, n + 1) - n - 1) @ shown / (n * shown.sum()))


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95 % interval and the count behind it."""

    value: float
    low: float
    high: float
    n: int

    def to_json(self) -> dict[str, float | int | None]:
        """Return it JSON-ready; what is undefined is None."""
        told = {k: (v if math.isfinite(v) else None) for k, v in vars(self).items()}
        return {**told, "n": self.n}


def mean_estimate(values: FloatArray, *, seed: int, n: int = 1000) -> Estimate:
    """Return the mean of requests' scores and its interval over resampled requests; NaN left out.

    Examples
    --------
    >>> mean_estimate(np.array([1.0, np.nan, 1.0]), seed=7)
    Estimate(value=1.0, low=1.0, high=1.0, n=2)
    """
    return ratio_estimate(values, np.ones(len(values)), seed=seed, n=n)


def ratio_estimate(above: FloatArray, below: FloatArray, *, seed: int, n: int = 1000) -> Estimate:
    """Return the ratio of two sums over requests, with the interval over resampled requests."""
    kept = np.isfinite(above) & np.isfinite(below)
    above, below = above[kept], below[kept]
    if not len(above) or not below.sum():
        return Estimate(math.nan, math.nan, math.nan, len(above))
    drawn = _resampled(np.column_stack([above, below]), seed, n)
    low, high = _percentiles(drawn[:, 0], drawn[:, 1])
    return Estimate(float(above.sum() / below.sum()), low, high, len(above))


def mean_difference(a: FloatArray, b: FloatArray, *, seed: int, n: int = 1000) -> Estimate:
    """Return the mean of a minus that of b over the same requests, both resampled together."""
    return mean_estimate(a - b, seed=seed, n=n)


@dataclass(frozen=True)
class Logged:
    """What was shown by chance and came to something or not.

    Parameters
    ----------
    request, item
        Codes of who was shown whom: (n,).
    propensity
        The chance with which it was shown, above 0: (n,).
    reward
        What came of it: (n,).
    shown_at
        When: what was shown to one at one time is one list. None: each showing is its own.
    """

    request: IntArray
    item: IntArray
    propensity: FloatArray
    reward: FloatArray
    shown_at: IntArray | None = None


def off_policy(
    logged: Logged, lists: IntArray, row_of: IntArray, *, seed: int, most: float = 1e4
) -> Mapping[str, Estimate | float]:
    """Estimate what a list's place earns, from what an earlier policy showed by chance.

    A logged showing counts where the list holds the same item, weighted by one over the chance
    with which it was shown: `ips` is the earning per place and logged list, `snips` that
    earning with the weights made to sum to one (Swaminathan and Joachims 2015), which is less
    noisy and does not move with the length of lists. Weights are cut at `most`.

    Parameters
    ----------
    lists
        Codes of the new policy, padded by -1: (n_lists, k).
    row_of
        The list of each request's code, -1 for none.

    Returns
    -------
    `snips`, `ips` and `logged` (the mean reward of the log itself), each with its interval over
    resampled requests, `shown` (how many logged showings count) and `effective` (how many equally
    weighted ones they are worth).
    """
    rows = row_of[logged.request]
    width = int(max(lists.max(initial=0), logged.item.max(initial=0))) + 1
    at, place = np.nonzero(lists >= 0)
    listed = at * width + lists[at, place]
    pairs = (rows >= 0) & np.isin(rows * width + logged.item, listed)
    weight = np.where(pairs, np.minimum(1.0 / logged.propensity, most), 0.0)
    persons, code = np.unique(logged.request, return_inverse=True)

    def summed(values: FloatArray) -> FloatArray:
        return np.asarray(np.bincount(code, values, len(persons)), dtype=np.float64)

    shown = lists.shape[1]
    n = np.ones(len(rows)) if logged.shown_at is None else _first_of_list(logged)
    square = float((weight**2).sum())
    return {
        "snips": ratio_estimate(summed(weight * logged.reward), summed(weight), seed=seed),
        "ips": ratio_estimate(summed(weight * logged.reward) / shown, summed(n), seed=seed),
        "logged": ratio_estimate(summed(logged.reward), summed(n), seed=seed),
        "shown": float(pairs.sum()),
        "effective": float(weight.sum() ** 2 / square) if square else 0.0,
    }


def _first_of_list(logged: Logged) -> FloatArray:
    """Return 1 for one showing of each list, and 0 for its others: float64 (n,)."""
    assert logged.shown_at is not None, "lists are told apart by their times"
    both = np.column_stack([logged.request, logged.shown_at]).astype(np.int64)
    first = np.zeros(len(both))
    first[np.unique(both, axis=0, return_index=True)[1]] = 1.0
    return first


def _share(above: FloatArray, below: Array) -> FloatArray:
    found = np.full(len(below), np.nan)
    np.divide(above, below, out=found, where=below > 0)
    return found


def _resampled(sums: FloatArray, seed: int, n: int) -> FloatArray:
    """Return the sums of n resamples of the rows: (n, columns), in bounded memory."""
    rng, size = np.random.default_rng(seed), len(sums)
    block = max(1, _BLOCK_CELLS // size)
    parts = []
    for first in range(0, n, block):
        drawn = rng.integers(0, size, (min(block, n - first), size))
        parts.append(sums[drawn].sum(axis=1))
    return np.concatenate(parts)


def _percentiles(above: FloatArray, below: FloatArray) -> tuple[float, float]:
    defined = below > 0
    if not defined.any():
        return math.nan, math.nan
    low, high = np.quantile(above[defined] / below[defined], [0.025, 0.975])
    return float(low), float(high)
