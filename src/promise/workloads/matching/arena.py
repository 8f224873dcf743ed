"""Who may be offered to whom at a moment, and who then turns out to be wanted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from promise.data.columns import Array, FloatArray, IntArray
from promise.features.people import EVERYBODY, UNKNOWN, People
from promise.metrics.ranking import Wanted
from promise.models.interactions import Interactions
from promise.models.leading import leading
from promise.workloads.matching.kinds import BLOCK, is_decision, is_positive, weights_of
from promise.workloads.matching.tables import Deeds

Scorer = Callable[[IntArray], FloatArray]
"""Scores everybody for some choosers: rows (b,) → float32 (b, n)."""

MOST_REQUESTS = 5_000
"""More choosers are not judged: their lists would tell no more."""
_CELLS = 8_000_000
_STRETCHES = 4


@dataclass(frozen=True, eq=False)
class Arena:
    """What was known at a moment.

    Parameters
    ----------
    before
        What had happened.
    group
        Of each person where people only meet within their group, else None: int64 (n,).
    """

    people: People
    before: Deeds
    group: IntArray | None = None

    @property
    def n(self) -> int:
        """How many people there are."""
        return self.people.n

    @cached_property
    def likes(self) -> Interactions:
        """Who had said yes to whom, and how emphatically."""
        return likes_of(self.before, self.n)

    @cached_property
    def closed(self) -> Interactions:
        """Whom each person is not offered: those decided on, and blocked either way."""
        decided = is_decision(self.before.kind)
        blocks = self.before.kind == BLOCK
        chooser, chosen = self.before.chooser, self.before.chosen
        return Interactions.from_pairs(
            np.concatenate([chooser[decided], chooser[blocks], chosen[blocks]]),
            np.concatenate([chosen[decided], chosen[blocks], chooser[blocks]]),
            shape=(self.n, self.n),
        )

    @cached_property
    def seeking(self) -> Seeking:
        """Who seeks whom."""
        return Seeking.of(self.people)

    def eligible(self, rows: IntArray) -> Array:
        """Say who may be offered to these choosers: bool (b, n)."""
        found = self.seeking.mutual(rows)
        found[np.arange(len(rows)), rows] = False
        if self.group is not None:
            found &= self.group[rows][:, None] == self.group[None, :]
        for place, row in enumerate(rows.tolist()):
            found[place, self.closed.row(row)[0]] = False
        return found

    def lists(self, scorer: Scorer, rows: IntArray, k: int) -> IntArray:
        """Return the best `k` eligible people by their scores, padded by -1: int64 (b, k)."""
        parts = []
        size = max(1, _CELLS // max(1, self.n))
        for first in range(0, len(rows), size):
            some = rows[first : first + size]
            scores = np.where(self.eligible(some), scorer(some), np.float32(-np.inf))
            parts.append(best(scores.astype(np.float32, copy=False), k))
        return np.concatenate(parts) if parts else np.empty((0, k), np.int64)

    def requests(self, later: Deeds, rng: np.random.Generator) -> Requests:
        """Return whom each chooser said yes to later, of those who could be offered then."""
        yes = later.take(is_positive(later.kind))
        closed = _pairs(self.closed.rows(), self.closed.others, self.n)
        fresh = ~np.isin(_pairs(yes.chooser, yes.chosen, self.n), closed)
        chooser, chosen = yes.chooser[fresh], yes.chosen[fresh]
        ok = interest(self.people, chooser, chosen) & interest(self.people, chosen, chooser)
        chooser, chosen = chooser[ok], chosen[ok]
        rows = np.unique(chooser)
        if len(rows) > MOST_REQUESTS:
            rows = np.sort(rng.choice(rows, MOST_REQUESTS, replace=False))
        place = np.searchsorted(rows, chooser)
        kept = (place < len(rows)) & (rows[np.minimum(place, len(rows) - 1)] == chooser)
        wanted = Wanted.of_pairs(place[kept], chosen[kept].astype(np.int64), len(rows))
        return Requests(rows.astype(np.int64), wanted)


@dataclass(frozen=True, eq=False)
class Requests:
    """Who is asked for, and whom their lists should hold."""

    rows: IntArray
    wanted: Wanted

    @property
    def n(self) -> int:
        """How many there are."""
        return len(self.rows)

    def take(self, places: IntArray) -> Requests:
        """Return some of the requests."""
        mask = np.isin(self.wanted.requests, places)
        to = np.full(self.n, -1, np.int64)
        to[places] = np.arange(len(places))
        request = to[self.wanted.requests[mask]]
        return Requests(
            self.rows[places], Wanted.of_pairs(request, self.wanted.items[mask], len(places))
        )


def likes_of(deeds: Deeds, n: int) -> Interactions:
    """Return who said yes to whom: of one pair the most emphatic yes counts, once.

    A later no takes an earlier yes back.
    """
    decided = deeds.take(is_decision(deeds.kind))
    pair = _pairs(decided.chooser, decided.chosen, n)
    _, last = np.unique(pair[::-1], return_index=True)
    final = decided.take(np.sort(decided.n - 1 - last))
    final = final.take(is_positive(final.kind))
    return Interactions.from_pairs(
        final.chooser, final.chosen, weights_of(final.kind), shape=(n, n)
    )


def interest(people: People, chooser: IntArray, chosen: IntArray) -> Array:
    """Say for pairs whether the first seeks somebody like the second: bool (n_pairs,).

    Who does not tell their gender is only offered to those who seek everybody.
    """
    gender = people.gender[chosen].astype(np.int64)
    told = np.maximum(gender, 0).astype(np.uint64)
    seeks = people.seeks[chooser]
    sought = (seeks >> told) & np.uint64(1) == 1
    return np.asarray(np.where(gender == UNKNOWN, seeks == EVERYBODY, sought))


@dataclass(frozen=True, eq=False)
class Seeking:
    """People by what their gender and whom they seek have in common: few kinds of many people.

    Parameters
    ----------
    kind
        Of each person: int64 (n,).
    both
        Whether people of two kinds seek each other: bool (n_kinds, n_kinds).
    """

    kind: IntArray
    both: Array

    @classmethod
    def of(cls, people: People) -> Seeking:
        """Look at everybody once."""
        seeks = np.unique(people.seeks, return_inverse=True)[1].ravel()
        gender = people.gender.astype(np.int64) - UNKNOWN
        pair = seeks * (int(gender.max(initial=0)) + 1) + gender
        _, first, kind = np.unique(pair, return_index=True, return_inverse=True)
        a, b = (side.ravel() for side in np.meshgrid(first, first, indexing="ij"))
        both = interest(people, a, b) & interest(people, b, a)
        return cls(kind.ravel(), both.reshape(len(first), len(first)))

    def mutual(self, rows: IntArray) -> Array:
        """Say who and these choosers seek each other: bool (b, n)."""
        kinds, place = np.unique(self.kind[rows], return_inverse=True)
        return np.asarray(self.both[kinds][:, self.kind][place.ravel()])


def mutual_interest(people: People, rows: IntArray) -> Array:
    """Say who and these choosers seek each other: bool (b, n)."""
    return Seeking.of(people).mutual(rows)


def best(scores: FloatArray, k: int) -> IntArray:
    """Return the places of the k largest scores of each row, best first; -1 where none is finite.

    Of equal scores the first place comes first.

    Examples
    --------
    >>> best(np.array([[0.5, 2.0, -np.inf], [1.0, 1.0, 3.0]], dtype=np.float32), 2)
    array([[1, 0],
           [2, 0]])
    """
    found = np.full((len(scores), k), -1, np.int64)
    for row, values in enumerate(scores):
        near = _promising(values, k)
        first = near[leading(values[near], k)]
        found[row, : len(first)] = first
    return found


def _promising(values: FloatArray, k: int) -> IntArray:
    """Return the places of finite values that may be among the k largest, in order.

    Of the largest values of stretches, the k-th is a bound that at least k values reach: to find
    it takes far less than to part all values.
    """
    width = len(values) // (_STRETCHES * max(k, 1))
    bound = -np.inf
    if width > 1:
        most = values[: len(values) // width * width].reshape(-1, width).max(axis=1)
        bound = np.partition(most, len(most) - k)[len(most) - k]
    return np.flatnonzero((values >= bound) & np.isfinite(values))


def _pairs(a: IntArray, b: IntArray, n: int) -> IntArray:
    return a.astype(np.int64) * n + b
