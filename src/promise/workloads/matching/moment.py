"""What a ranker reads of pairs at one moment of the past, as it would have been served then."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from promise.data.columns import FloatArray, IntArray
from promise.features.pairs import PAIR, Side, extra_names, norms, pair_features
from promise.features.people import People
from promise.kernels.people_scan import shared_neighbours
from promise.models.collaborative import Recommended
from promise.workloads.matching.arena import Arena
from promise.workloads.matching.snapshot import Basis, Snapshot

_PAIRS_AT_ONCE = 16_384


@dataclass(frozen=True, eq=False)
class Moment:
    """The state of everybody at a moment.

    Parameters
    ----------
    at_us
        Microseconds since 1970.
    model
        The collaborative source of that moment; None where there is none.
    """

    arena: Arena
    at_us: int
    model: Recommended | None

    @property
    def people(self) -> People:
        """Who there is."""
        return self.arena.people

    @cached_property
    def snapshot(self) -> Snapshot:
        """Everybody and everything they did until then."""
        return Snapshot.of(self.people, self.arena.before, until_us=self.at_us)

    @cached_property
    def basis(self) -> Basis:
        """The snapshot and its source, as requests find people by them."""
        return Basis.of(self.snapshot, self.model)

    @cached_property
    def facts(self) -> FloatArray:
        """How active everybody was: float32 (n, n_facts)."""
        n = self.arena.n
        return self.snapshot.activity.facts(np.arange(n), np.full(n, self.at_us))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The features, in the order of their columns."""
        return (*PAIR, *extra_names(self.people.words.extras))

    def features(self, chooser: IntArray, chosen: IntArray, source: IntArray | None) -> FloatArray:
        """Return the features of pairs: float32 (m, n_features)."""
        parts = []
        for first in range(0, len(chooser), _PAIRS_AT_ONCE):
            part = slice(first, first + _PAIRS_AT_ONCE)
            a, b = chooser[part], chosen[part]
            came = None if source is None else source[part]
            shared = self._neighbours(a, b)
            parts.append(pair_features(self._side(a), self._side(b), self.at_us, shared, came))
        return np.concatenate(parts) if parts else np.empty((0, len(self.names)), np.float32)

    def _neighbours(self, chooser: IntArray, chosen: IntArray) -> IntArray:
        """Return how many people the two of each pair both know: int64 (m,)."""
        ties = self.snapshot.ties
        sides = (side.astype(np.int64) for side in (chooser, chosen))
        return np.asarray(shared_neighbours(ties.starts, ties.others, *sides))

    def _side(self, rows: IntArray) -> Side:
        people = self.people
        chooser = chosen = np.empty((len(rows), 0), np.float32)
        if self.model is not None:
            chooser, chosen = self.model.choosers[rows], self.model.chosen[rows]
        norm, sparsity = norms(chosen)
        return Side(
            age=people.age[rows],
            place=people.place[rows],
            position=people.position[rows],
            interests=people.interests[rows],
            joined_us=people.joined_us[rows],
            completeness=people.completeness[rows],
            extras=people.extras[rows],
            facts=self.facts[rows],
            norm=norm,
            sparsity=sparsity,
            chooser=chooser,
            chosen=chosen,
        )
