"""Who decided on whom since the snapshot, and whom that ties together."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from types import MappingProxyType

import numpy as np

from promise.data.columns import Array, FloatArray, IntArray
from promise.features.people_ids import NOBODY
from promise.kernels.people_scan import count_marked
from promise.models.interactions import Interactions
from promise.workloads.matching.register import GONE, TIED, Register
from promise.workloads.matching.snapshot import Snapshot

LONGEST_HISTORY = 2_000
"""Of more likes than this, a taste is made of the newest."""
_NO_CODES = np.empty(0, np.int64)
_NONE: Mapping[int, tuple[int, float]] = MappingProxyType({})


class Ties:
    """Decisions, the newest of each pair, and likes without their direction."""

    def __init__(self, snapshot: Snapshot, register: Register) -> None:
        self._snapshot, self._register = snapshot, register
        self._n = snapshot.n
        self._decided: dict[int, dict[int, tuple[int, float]]] = {}
        self._tied: dict[int, set[int]] = {}
        self._untied: dict[int, set[int]] = {}

    def decide(self, a: int, b: int, at_us: int, weight: float) -> bool:
        """Note a decision, and return whether it is the newest of this pair; 0 weighs a no."""
        decided = self._decided.setdefault(a, {})
        if b in decided and decided[b][0] > at_us:
            return False
        decided[b] = (at_us, weight)
        before = max(a, b) < self._n and _has(self._snapshot.ties, a, b)
        if weight > 0 or before or b in self._tied.get(a, ()):
            self._tie(a, b, before, weight > 0 or self.likes(b, a))
        return True

    def _tie(self, a: int, b: int, before: bool, now: bool) -> None:
        """Note whether two people are tied now, where the snapshot says otherwise."""
        changes = ((self._tied, now and not before), (self._untied, before and not now))
        for one, other in ((a, b), (b, a)):
            self._register.flags[one] |= TIED
            for since, changed in changes:
                if changed:
                    since.setdefault(one, set()).add(other)
                elif one in since:
                    since[one].discard(other)

    def likes(self, a: int, b: int) -> bool:
        """Say whether one likes the other now."""
        since = self._decided.get(a, _NONE).get(b)
        if since is not None:
            return since[1] > 0
        return max(a, b) < self._n and _has(self._snapshot.likes, a, b)

    def decided_on(self, code: int) -> IntArray:
        """Return on whom somebody decided, ever: int64."""
        since = self._decided.get(code, _NONE)
        fresh = np.fromiter(since, np.int64, len(since))
        return (
            fresh if code >= self._n else np.concatenate([self._snapshot.seen.row(code)[0], fresh])
        )

    def history(self, code: int) -> tuple[IntArray, FloatArray]:
        """Return whom a person likes now, the new ones last, and how emphatically."""
        codes, weights = _NO_CODES, np.empty(0, np.float32)
        if code < self._n:
            others, sizes = self._snapshot.likes.row(code)
            codes, weights = others.astype(np.int64), np.asarray(sizes)
        since = self._decided.get(code)
        if since:
            fresh = np.fromiter(since, np.int64, len(since))
            sizes = np.array([one[1] for one in since.values()], np.float32)
            kept = ~np.isin(codes, fresh)
            codes = np.concatenate([codes[kept], fresh[sizes > 0]])
            weights = np.concatenate([weights[kept], sizes[sizes > 0]])
        known = self._register.flags[codes] & GONE == 0
        return codes[known][-LONGEST_HISTORY:], weights[known][-LONGEST_HISTORY:]

    def liked_by(self, code: int) -> tuple[IntArray, FloatArray]:
        """Return who of the snapshot likes somebody who is new, and how emphatically."""
        fans = [a for a in sorted(self._tied.get(code, ())) if a < self._n and self.likes(a, code)]
        weights = np.array([self._decided[a][code][1] for a in fans], np.float32)
        return np.array(fans, np.int64), weights

    def known_to_both(self, code: int, codes: IntArray, stamps: Array, mark: int) -> IntArray:
        """Return how many people each of some people and one person know: int64 (m,).

        Parameters
        ----------
        stamps
            Where `of(code)` bear the number `mark`.
        """
        found = np.zeros(len(codes), np.int64)
        if code == NOBODY or not len(codes):
            return found
        old, ties = codes < self._n, self._snapshot.ties
        found[old] = count_marked(ties.starts, ties.others, codes[old], stamps, mark)
        tied = np.flatnonzero(self._register.flags[codes] & TIED)
        for change, since in ((1, self._tied), (-1, self._untied)):
            sets = [since.get(one, ()) for one in codes[tied].tolist()] if since else []
            others = np.fromiter(chain.from_iterable(sets), np.int64)
            if len(others):
                row = np.repeat(tied, np.fromiter(map(len, sets), np.int64, len(sets)))
                marked = row[stamps[others] == mark]
                found += change * np.bincount(marked, minlength=len(codes))
        return found

    def of(self, code: int) -> IntArray:
        """Return whom a person likes and by whom they are liked: int64."""
        old = self._snapshot.ties.row(code)[0] if code < self._n else _NO_CODES
        lost, fresh = (list(since.get(code, ())) for since in (self._untied, self._tied))
        kept = old[~np.isin(old, lost)] if lost else old
        return np.concatenate([kept, fresh]).astype(np.int64)

    def forget(self, code: int) -> list[int]:
        """Leave nothing of a person's own, and return who liked them since the snapshot.

        That somebody said no to them stays, as a number that nobody bears any more.
        """
        self._decided.pop(code, None)
        fans = [other for other in self._tied.get(code, ()) if self.likes(other, code)]
        for other in fans:
            self._decided[other].pop(code, None)
        for since in (self._tied, self._untied):
            for other in since.pop(code, ()):
                since.get(other, set()).discard(code)
        return fans


def _has(table: Interactions, row: int, code: int) -> bool:
    others = table.row(row)[0]
    place = int(others.searchsorted(code))
    return place < len(others) and int(others[place]) == code
