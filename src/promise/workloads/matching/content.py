"""Candidates by likeness: age, place and interests, scanned where they lie together."""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan, nan
from typing import Any

import numpy as np

from promise.data.columns import FloatArray, IntArray
from promise.features.people_ids import NOBODY
from promise.kernels.people_scan import alike_each, best_alike
from promise.workloads.matching.quest import Quest, Spans
from promise.workloads.matching.register import BARRED

SHARES = np.array([0.3, 0.3, 0.4])
"""What age, place and interests count for where two people are held to be alike."""
MOST_SCANNED = 20_000
"""How many rows one ring looks at; of a wider one those nearest to its middle ages."""
_WIDER = 4


@dataclass(frozen=True)
class Ring:
    """How far from oneself one looks.

    Parameters
    ----------
    years
        Largest difference of ages; None for any.
    same_place
        Whether only where one lives oneself.
    """

    years: float | None = 5.0
    same_place: bool = True

    def to_json(self) -> dict[str, Any]:
        """Return it JSON-ready."""
        return {"years": self.years, "same_place": self.same_place}


NEAR = (Ring(),)
"""Where the first design looks: within five years, in the same place."""
WIDENING = (Ring(), Ring(10.0), Ring(None), Ring(10.0, False))
"""One ring after the other, until enough are found."""


def most_alike(quest: Quest, rings: tuple[Ring, ...], k: int) -> tuple[IntArray, FloatArray]:
    """Return the most alike people whom a request may meet: codes and scores, best first.

    Parameters
    ----------
    rings
        A further one is looked at only while fewer than `k` are found.
    """
    codes: IntArray = np.empty(0, np.int64)
    scores: FloatArray = np.empty(0, np.float32)
    if not k:
        return codes, scores
    for ring in rings:
        codes, scores = _of_ring(quest, ring, k)
        if len(codes) >= k:
            break
    return codes, scores


def _of_ring(quest: Quest, ring: Ring, k: int) -> tuple[IntArray, FloatArray]:
    """Return the best of one ring; who does not tell their age or place is not kept to it."""
    place = quest.place if ring.same_place else NOBODY
    age = (nan, nan)
    if ring.years is not None and not isnan(quest.age):
        age = (quest.age - ring.years, quest.age + ring.years)
    wanted = k if quest.wish.by_spans else _WIDER * k
    starts, ends, where = _bounded(quest.spans(place, age))
    layout, world = quest.layout, quest.world
    codes, scores, lots = best_alike(
        starts, ends, where, layout.order, layout.age, layout.interests,
        quest.age, quest.place, quest.side.interests[0], SHARES,
        world.stamps, quest.stamp, world.register.flags, BARRED, wanted, np.uint64(quest.salt),
    )  # fmt: skip
    if not quest.wish.by_spans:
        kept = quest.fitting(codes)
        codes, scores, lots = codes[kept], scores[kept], lots[kept]
    loose = _loose_of(quest, place, age)
    if len(loose):
        take = world.register.take
        more, lots_of_more = alike_each(
            loose, take("age", loose), take("place", loose), take("interests", loose),
            quest.age, quest.place, quest.side.interests[0], SHARES, np.uint64(quest.salt),
        )  # fmt: skip
        codes = np.concatenate([codes, loose])
        scores, lots = np.concatenate([scores, more]), np.concatenate([lots, lots_of_more])
    best = np.lexsort((~lots, -scores))[:k]
    return codes[best], scores[best]


def _loose_of(quest: Quest, place: int, age: tuple[float, float]) -> IntArray:
    loose, take = quest.loose, quest.world.register.take
    if place >= 0 and len(loose):
        loose = loose[take("place", loose) == place]
    if not isnan(age[0]) and len(loose):
        ages = take("age", loose)
        loose = loose[(ages >= age[0]) & (ages <= age[1])]
    return loose


def _bounded(where: Spans) -> Spans:
    """Return the middle of each span, so that no more rows are looked at than `MOST_SCANNED`."""
    starts, ends, places = where
    sizes = ends - starts
    total = int(sizes.sum())
    if total <= MOST_SCANNED:
        return where
    kept = np.maximum(1, (sizes * (MOST_SCANNED / total)).astype(np.int64))
    begin = starts + (sizes - kept) // 2
    return begin, begin + kept, places
