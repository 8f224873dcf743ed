"""Activity and exposure as they are now, counted by the loop that training replays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from promise.data.columns import FloatArray, IntArray
from promise.features.people_activity import DAY_US, Activity
from promise.kernels.people_activity import GOT_YES
from promise.workloads.matching.register import joined
from promise.workloads.matching.snapshot import encounters

Met = tuple[int, int, int, int]
"""Chooser, chosen, kind, microseconds since 1970."""
_ARRAYS = ("counts", "last_day", "days", "daily")
_MOST = 65_535


class Counted:
    """The snapshot's counts, changed where only this process sees it, and those of new people."""

    def __init__(self, activity: Activity, room: int) -> None:
        self._n = len(activity.last_day)
        self._base = activity
        self._new = Activity.none(room)
        self._told = np.zeros(self._n + room, np.uint16)
        self._given = np.zeros(self._n + room, np.uint16)
        self._spent: dict[int, None] = {}
        self._day = -1
        self.most_shown: int | None = None

    def room(self, n: int) -> None:
        """Have room for `n` people."""
        more = n - len(self._told)
        if more > 0:
            none = np.zeros(more, np.uint16)
            self._told, self._given = (np.append(old, none) for old in (self._told, self._given))
            self._new = self._new.grown(n - self._n)

    def count(self, met: Sequence[Met]) -> None:
        """Count encounters, in any order."""
        if not met:
            return
        a, b, kind, at_us = np.array(met, dtype=np.int64).T
        codes, back = np.unique(np.concatenate([a, b]), return_inverse=True)
        few = self._states(codes)
        few.count(encounters(back[: len(a)], back[len(a) :], kind, at_us))
        old = codes < self._n
        for name in _ARRAYS:
            values = getattr(few, name)
            getattr(self._base, name)[codes[old]] = values[old]
            getattr(self._new, name)[codes[~old] - self._n] = values[~old]

    def show(self, code: int, at_us: int) -> None:
        """Count an event that tells of somebody's being shown."""
        self._add(self._told, code, at_us, 1)

    def give(self, code: int, at_us: int, n: int) -> None:
        """Count so many lists that somebody stood in."""
        self._add(self._given, code, at_us, n)

    def shown(self, codes: IntArray, at_us: int) -> IntArray:
        """Return how often people were shown on a day: by lists or by events, the larger number.

        Who shows a list may tell of it by an event, so that both count the same.
        """
        if at_us // DAY_US != self._day:
            return np.zeros(len(codes), np.uint16)
        found: IntArray = np.maximum(self._told[codes], self._given[codes])
        return found

    def spent(self, at_us: int) -> IntArray:
        """Return who was shown as often on a day as anybody may be: int64."""
        if at_us // DAY_US != self._day or not self._spent:
            return np.empty(0, np.int64)
        return np.fromiter(self._spent, np.int64, len(self._spent))

    def _add(self, counts: IntArray, code: int, at_us: int, n: int) -> None:
        """Count on the newest day that was heard of; days before it are over."""
        day = at_us // DAY_US
        if day > self._day:
            self._told[:], self._given[:] = 0, 0
            self._spent = {}
            self._day = day
        if day == self._day:
            counts[code] = min(int(counts[code]) + n, _MOST)
            if self.most_shown is not None and counts[code] >= self.most_shown:
                self._spent[code] = None

    def facts(self, codes: IntArray, at_us: int) -> FloatArray:
        """Return what is told of people: float32 (m, n_facts), see `people_activity.FACTS`."""
        return self._states(codes).facts(np.arange(len(codes)), np.full(len(codes), at_us))

    def likes(self, codes: IntArray) -> IntArray:
        """Return how many yeses people got: int32 (m,)."""
        return joined(self._base.counts, self._new.counts, codes)[:, GOT_YES]

    def forget(self, code: int) -> None:
        """Leave nothing of what one person did."""
        old = code < self._n
        (self._base if old else self._new).forget(code if old else code - self._n)
        self._told[code] = self._given[code] = 0
        self._spent.pop(code, None)

    def _states(self, codes: IntArray) -> Activity:
        parts = ((getattr(self._base, name), getattr(self._new, name)) for name in _ARRAYS)
        return Activity(*(joined(base, new, codes) for base, new in parts))
