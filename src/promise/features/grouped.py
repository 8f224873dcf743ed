"""Sorted events of many entities, and the places where each event's windows begin and end.

Rows are sorted by entity and arrival. For entities whose events came in time order every window
is a slice of this order, whose ends only grow: so one sort and one search give all windows of all
entities, and sums over them are differences of running sums.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Truth = NDArray[np.bool_]
Slices = tuple[Ints, Ints]
"""Where each event's window begins and where it ends, in sorted places."""


class Times:
    """Times by rank: entity and rank then fit one whole number, which one search can look up.

    Parameters
    ----------
    at
        int64 (n_rows,), in any order.
    """

    def __init__(self, at: Ints) -> None:
        in_order = len(at) > 0 and bool((at[1:] >= at[:-1]).all())
        self.unique = (
            at[np.flatnonzero(np.diff(at, prepend=at[0] - 1))] if in_order else np.unique(at)
        )
        self.ranks: Ints = np.searchsorted(self.unique, at)
        self.span = len(self.unique) + 1
        self._before: dict[int, Ints] = {}

    def before(self, distance_us: int) -> Ints:
        """Return for each rank that of the first time not earlier than so long before."""
        if distance_us not in self._before:
            found = np.searchsorted(self.unique, self.unique - distance_us)
            self._before[distance_us] = found.astype(np.int64)
        return self._before[distance_us]

    def rank(self, at: Ints) -> Ints:
        """Return the rank of the first time not earlier than each of these."""
        return np.searchsorted(self.unique, at).astype(np.int64)


@dataclass(frozen=True)
class Groups:
    """Rows sorted by entity and arrival.

    Parameters
    ----------
    rows
        Row numbers in sorted order, int64 (n,).
    segment
        Number of the entity, non-decreasing, int64 (n,).
    """

    rows: Ints
    segment: Ints
    times: Times

    @classmethod
    def of(cls, rows: Ints, codes: Ints, times: Times) -> Groups:
        """Sort rows by their entity's code."""
        order = np.argsort(codes, kind="stable")
        sorted_codes = codes[order]
        steps = np.ones(len(codes), np.int64)
        steps[:1] = 0
        steps[1:] = sorted_codes[1:] != sorted_codes[:-1]
        return cls(rows[order], np.cumsum(steps), times)

    def without(self, segments: Ints) -> Groups:
        """Return the groups without these entities."""
        if not len(segments):
            return self
        keep = ~np.isin(self.segment, segments)
        return Groups(self.rows[keep], self.segment[keep], self.times)

    @cached_property
    def ranks(self) -> Ints:
        """Rank of the time of each sorted event."""
        return self.times.ranks[self.rows]

    @cached_property
    def keys(self) -> Ints:
        """Entity and time as one number, non-decreasing where events came in time order."""
        return self.segment * self.times.span + self.ranks

    @cached_property
    def starts(self) -> Ints:
        """Place of the first event of each event's entity."""
        if not len(self.segment):
            return self.segment
        firsts = np.flatnonzero(np.diff(self.segment, prepend=self.segment[0] - 1))
        return np.repeat(firsts, np.diff(firsts, append=len(self.segment))).astype(np.int64)

    @cached_property
    def places(self) -> Ints:
        """0, 1, …: the sorted places."""
        return np.arange(len(self.rows), dtype=np.int64)

    def disordered(self) -> Ints:
        """Return the entities with an event that came after a later one."""
        back = (self.ranks[1:] < self.ranks[:-1]) & (self.segment[1:] == self.segment[:-1])
        return np.unique(self.segment[1:][back])

    def edge(self, distance_us: int) -> Ints:
        """Return for each event the place of its entity's first one since so long ago."""
        wanted = self.segment * self.times.span + self.times.before(distance_us)[self.ranks]
        return np.searchsorted(self.keys, wanted).astype(np.int64)

    def base(self, most: int) -> Ints | None:
        """Return the first place that each event may see; None if no entity is beyond."""
        oldest = self.places - most
        return oldest if bool((oldest > self.starts).any()) else None


def previous(groups_of: Ints, codes: Ints) -> Ints:
    """Return for each place that of the last one before with the same group and code, or −1.

    Examples
    --------
    >>> previous(np.array([0, 0, 0, 1]), np.array([5, 6, 5, 5])).tolist()
    [-1, -1, 0, -1]
    """
    if not len(codes):
        return codes
    mixed = groups_of * (codes.max() + 2) + codes + 1
    order = np.argsort(mixed, kind="stable")
    same = mixed[order[1:]] == mixed[order[:-1]]
    before = np.full(len(codes), -1, np.int64)
    before[order[1:][same]] = order[:-1][same]
    return before


def distinct(slices: Slices, before: Ints, counted: Truth) -> Ints:
    """Count different codes in windows whose both ends only grow.

    A place counts for a window when it lies in it and its code's last place before does not. As
    the ends only grow, these windows are neighbours: each place adds 1 over one run of windows.

    Parameters
    ----------
    before
        For each place the last one with the same code, from `previous`.
    counted
        Which places count at all, and have a `before` among those that do.

    Examples
    --------
    >>> before = previous(np.zeros(4, np.int64), np.array([7, 8, 7, 7]))
    >>> distinct((np.array([0, 0, 1]), np.array([1, 3, 4])), before, np.ones(4, bool)).tolist()
    [1, 2, 2]
    """
    lo, hi = slices
    size = len(before) + 1
    ended = np.cumsum(np.bincount(hi, minlength=size))  # windows whose end is at or before a place
    begun = np.cumsum(np.bincount(lo, minlength=size))
    places = np.flatnonzero(counted)
    last = before[places]
    behind = np.where(last >= 0, begun[last], 0)  # windows that still hold the place before
    first, stop = np.maximum(ended[places], behind), begun[places]
    some = first < stop
    n = len(lo) + 1
    steps = np.bincount(first[some], minlength=n) - np.bincount(stop[some], minlength=n)
    return np.cumsum(steps)[:-1].astype(np.int64)


def largest(values: Ints, slices: Slices, nothing: int) -> Ints:
    """Return the largest value of each slice; `nothing` where it is empty.

    Two stretches whose length is a power of two cover any slice. The largest of each stretch of
    one length come from those of half the length, so one array at a time is enough.

    Examples
    --------
    >>> slices = np.array([0, 0, 1, 3]), np.array([0, 2, 4, 4])
    >>> largest(np.array([5, 7, 2, 4]), slices, -1).tolist()
    [-1, 7, 7, 4]
    """
    lo, hi = slices
    out = np.full(len(lo), nothing, np.int64)
    length = hi - lo
    stretch, most = 1, values
    while (
        len(rows := np.flatnonzero((length >= stretch) & (length < 2 * stretch)))
        or (length >= 2 * stretch).any()
    ):
        out[rows] = np.maximum(most[lo[rows]], most[hi[rows] - stretch])
        if 2 * stretch > len(values):
            break
        most = np.maximum(most[:-stretch], most[stretch:])
        stretch *= 2
    return out


def running(values: NDArray[np.generic]) -> Ints:
    """Return running sums with a leading 0, int64 (n + 1,)."""
    sums = np.zeros(len(values) + 1, np.int64)
    np.cumsum(values, out=sums[1:])
    return sums
