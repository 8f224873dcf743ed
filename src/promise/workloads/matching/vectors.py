"""The vectors of everybody as they are now: the version's, and those made of new likes."""

from __future__ import annotations

import numpy as np

from promise.data.columns import FloatArray, IntArray
from promise.features.pairs import norms
from promise.models.collaborative import Recommended
from promise.workloads.matching.register import FOLDED, GONE, Register, grown, joined
from promise.workloads.matching.snapshot import Basis
from promise.workloads.matching.ties import Ties

REFRESHED = 2
"""How many others' vectors are brought up to date before an answer, beside the requester's."""
_ROOM = 64


class Vectors:
    """Vectors as chooser and as chosen; new likes are folded in when they are first needed."""

    def __init__(self, basis: Basis, register: Register, ties: Ties) -> None:
        self.index = basis.index
        self._basis, self._register, self._ties = basis, register, ties
        self._n = basis.snapshot.n
        self._stale: dict[int, None] = {}
        self._places: dict[int, int] = {}  # code to its row below
        self.size = 0 if basis.source is None else int(basis.source.chosen.shape[1])
        self._choosers = np.zeros((_ROOM, self.size), np.float32)
        self._chosens = np.zeros((_ROOM, self.size), np.float32)

    def touch(self, chooser: int, chosen: int) -> None:
        """Note that somebody decided anew; who is new is also chosen by other vectors then."""
        self._stale[chooser] = None
        if chosen >= self._n:
            self._stale[chosen] = None

    def refresh(self, code: int) -> None:
        """Bring one person's vectors up to date, and those of a few others who acted."""
        source = self._basis.source
        if source is None or not self._stale:
            return
        waiting = [code] if code in self._stale else []
        for other in self._stale:
            if len(waiting) > REFRESHED:
                break
            if other != code:
                waiting.append(other)
        for one in waiting:
            del self._stale[one]
            if not self._register.flags[one] & GONE:
                self._fold(one, source)

    def _fold(self, code: int, source: Recommended) -> None:
        place = self._places.setdefault(code, len(self._places))
        while place >= len(self._choosers):
            self._choosers, self._chosens = grown(self._choosers), grown(self._chosens)
        codes, weights = self._ties.history(code)
        known = codes < self._n
        self._choosers[place] = source.fold_in(codes[known], weights[known])
        self._register.flags[code] |= FOLDED
        if code < self._n:
            self._chosens[place] = source.chosen[code]
            return
        vector = source.fold_in_chosen(*self._ties.liked_by(code))
        self._chosens[place] = vector
        if self.index is not None and vector.any():
            self.index.put(np.array([code]), vector[None])

    def take(self, codes: IntArray) -> tuple[FloatArray, FloatArray]:
        """Return the vectors of people as choosers and as chosen: float32 (m, d) each."""
        source = self._basis.source
        if source is None:
            none = np.zeros((len(codes), 0), np.float32)
            return none, none
        if self._register.n == self._n:
            chooser, chosen = source.choosers[codes], source.chosen[codes]
        else:
            none = np.zeros((self._register.n - self._n, self.size), np.float32)
            chooser = joined(source.choosers, none, codes)
            chosen = joined(source.chosen, none, codes)
        folded = np.flatnonzero(self._register.flags[codes] & FOLDED)
        if len(folded):
            places = [self._places[code] for code in codes[folded].tolist()]
            chooser[folded], chosen[folded] = self._choosers[places], self._chosens[places]
        return chooser, chosen

    def norms(self, codes: IntArray, chosen: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the length of vectors as chosen, and the share of their entries near zero."""
        if not len(codes) or int(codes.max()) < self._n:
            return self._basis.norm[codes], self._basis.sparsity[codes]
        return norms(chosen)

    def forget(self, code: int, fans: list[int]) -> None:
        """Leave nothing of a person; who liked them has another taste now."""
        self._stale.pop(code, None)
        self._stale |= dict.fromkeys(fans)
        place = self._places.get(code)
        if place is not None:
            self._choosers[place], self._chosens[place] = 0, 0
        if self.index is not None:
            self.index.remove(np.array([code]))
