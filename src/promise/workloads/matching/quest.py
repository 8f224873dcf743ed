"""One request on its way: who asks, for whom, and whom they may not meet."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import inf, isnan, nan
from typing import Any

import numpy as np

from promise.data.columns import Array, IntArray
from promise.features.pairs import Side, distance_km
from promise.features.people_ids import NOBODY
from promise.features.people_profile import read_profile
from promise.kernels.people_scan import spans
from promise.pipeline.finding import Asked
from promise.workloads.matching.eligible import Layout, Wish, fits, read_wish, seeks_gender
from promise.workloads.matching.overlay import World
from promise.workloads.matching.register import GONE, HIDDEN

Spans = tuple[IntArray, IntArray, IntArray]
"""Where people lie in the layout: starts, ends and the place of each, int64 each."""
_NO_CODES = np.empty(0, np.int64)
_PROFILE = ("age", "place", "gender", "interests", "extras")


@dataclass(frozen=True, eq=False)
class Quest:
    """Everything that the sources of candidates read of a request.

    Parameters
    ----------
    code
        Who asks; -1 for somebody who is not known.
    side
        The same person, as features read them: one row.
    lenient
        Whether nobody can say yet if candidates seek somebody like this: they told nothing.
    excluded
        Whom they may not meet, ascending: int64.
    stamp
        The number that the excluded bear in `World.stamps`.
    salt
        Settles what is left to chance.
    """

    world: World
    code: int
    side: Side
    gender: int
    seeks: int
    lenient: bool
    wish: Wish
    excluded: IntArray
    stamp: int
    at_us: int
    salt: int

    @property
    def layout(self) -> Layout:
        """How the snapshot's people lie."""
        return self.world.snapshot.layout

    @property
    def age(self) -> float:
        """Years, or NaN."""
        return float(self.side.age[0])

    @property
    def place(self) -> int:
        """A code, or -1."""
        return int(self.side.place[0])

    def rng(self, part: int) -> np.random.Generator:
        """Return the chance of one part of the request."""
        return np.random.default_rng((self.salt, part))

    def both_seek(self, gender: Array, seeks: Array) -> Array:
        """Say for people of these genders, who seek these, whether they and the asker may meet."""
        kept = [seeks_gender(np.full(len(gender), self.seeks, np.uint64), gender)]
        if self.wish.genders is not None:
            kept.append(np.isin(gender, self.wish.genders))
        if not self.lenient:
            kept.append(seeks_gender(seeks, np.full(len(seeks), self.gender)))
        found: Array = np.logical_and.reduce(kept)
        return found

    @cached_property
    def groups(self) -> IntArray:
        """The layout's groups whose people the asker may meet."""
        return np.flatnonzero(self.both_seek(self.layout.group_gender, self.layout.group_seeks))

    def allowed(self, codes: IntArray) -> Array:
        """Say whom of some people the asker may meet and asks for: bool (m,)."""
        world = self.world
        kept = (world.register.flags[codes] & (GONE | HIDDEN)) == 0
        kept &= world.stamps[codes] != self.stamp
        kept &= self.both_seek(*world.seeks(codes))
        if self.asks:
            kept &= self.fitting(codes)
        return np.asarray(kept, dtype=bool)

    @cached_property
    def spent(self) -> bool:
        """Whether somebody of the excluded is so for having been shown often enough today."""
        others = self.world.counted.spent(self.at_us)
        return len(np.setdiff1d(others, self.world.closed(self.code))) > 0

    @cached_property
    def asks(self) -> bool:
        """Whether the request has filters."""
        wish = self.wish
        return not wish.by_spans or wish.places is not None or not isnan(wish.age[0])

    def fitting(self, codes: IntArray) -> Array:
        """Say who of some people is as the request's filters ask."""
        take, wish = self.world.register.take, self.wish
        people: Mapping[str, Array] = {name: take(name, codes) for name in _PROFILE}
        distance = None
        if wish.within_km != inf:
            distance = distance_km(self.side.position, take("position", codes))
        return fits(wish, people, distance)

    @cached_property
    def loose(self) -> IntArray:
        """Whom of those that the layout does not hold the asker may meet: int64."""
        loose = self.world.register.loose
        return loose[self.allowed(loose)] if len(loose) else _NO_CODES

    def spans(self, place: int = NOBODY, age: tuple[float, float] = (nan, nan)) -> Spans:
        """Return where whom the asker may meet lie, as far as groups, places and ages tell.

        Parameters
        ----------
        place
            Only this one; -1 for any.
        age
            Only within these bounds; NaN for any.
        """
        least, most = _within(age, self.wish.age)
        layout, n_places = self.layout, self.layout.n_places
        places = _NO_CODES
        if place >= 0 or self.wish.places is not None:
            places = np.array([place]) if place >= 0 else np.asarray(self.wish.places)
            if place >= 0 and self.wish.places is not None:
                places = places[np.isin(places, self.wish.places)]
            places = places[places < n_places - 1] + 1
            if not len(places):
                return _NO_CODES, _NO_CODES, _NO_CODES
        starts, ends, where = spans(
            layout.cells, n_places, self.groups, places.astype(np.int64), layout.age, least, most
        )
        return starts, ends, where - 1

    def whole_groups(self) -> Spans:
        """Return the same for everybody of all places and ages: one span for each group."""
        edges = self.layout.cells[:: self.layout.n_places]
        starts, ends = edges[self.groups], edges[self.groups + 1]
        return starts, ends, np.full(len(starts), NOBODY)

    def n_barred(self, where: Spans) -> int:
        """Return how many people of some spans may not be met, or are loose."""
        starts, ends, _ = where
        n = self.world.snapshot.n
        codes = np.union1d(self.excluded[self.excluded < n], self.world.register.moved)
        return int(inside(self.layout.rank[codes], starts, ends).sum())


def inside(places: IntArray, starts: IntArray, ends: IntArray) -> Array:
    """Say which places lie in one of some spans, which do not overlap."""
    if not len(starts) or not len(places):
        return np.zeros(len(places), dtype=bool)
    order = np.argsort(starts)
    last = np.searchsorted(starts[order], places, side="right") - 1
    found: Array = (last >= 0) & (places < ends[order][np.maximum(last, 0)])
    return found


def begin(world: World, asked: Asked, at_us: int, seed: int) -> Quest:
    """Read a request.

    Raises
    ------
    DataError
        For a filter or a profile that cannot be read.
    """
    register = world.register
    code = NOBODY if asked.id is None else register.code(asked.id)
    wish = read_wish(asked.filters, register.lexicon, register.width)
    lenient = False
    if code != NOBODY:
        world.vectors.refresh(code)
        one = np.array([code])
        side = world.sides(one, at_us)
        (gender,), (seeks,) = (array.tolist() for array in world.seeks(one))
        lenient = gender < 0 and not side.completeness[0]
    else:
        profile = read_profile(asked.profile or {}, register.lexicon.extras)
        side, gender, seeks = world.stranger(profile)
        lenient = profile.gender is None
    excluded = world.excluded(code, at_us, asked.exclude)
    return Quest(
        world=world,
        code=code,
        side=side,
        gender=int(gender),
        seeks=int(seeks),
        lenient=lenient,
        wish=wish,
        excluded=excluded,
        stamp=world.stamped(excluded),
        at_us=at_us,
        salt=_salt(seed, asked.id or "", asked.draw),
    )


def _within(a: tuple[float, float], b: tuple[float, float]) -> tuple[float, float]:
    if isnan(a[0]):
        return b
    return a if isnan(b[0]) else (max(a[0], b[0]), min(a[1], b[1]))


def _salt(*parts: Any) -> int:
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")
