"""What needs no learning: the most liked, the most alike, anybody."""

from __future__ import annotations

import numpy as np

from promise.data.columns import FloatArray, IntArray
from promise.features.people import UNKNOWN, People
from promise.workloads.matching.arena import Arena, Scorer

AGE_SHARE, PLACE_SHARE, INTEREST_SHARE = 0.3, 0.3, 0.4
"""What age, place and interests count for where two people are held to be alike."""
AGE_YEARS = 10.0
"""Over so many years the likeness of two ages fades to nothing."""


def popularity(arena: Arena) -> Scorer:
    """Rank everybody by how many had said yes to them."""
    counts = np.bincount(arena.likes.others, minlength=arena.n).astype(np.float32)
    return lambda rows: np.broadcast_to(counts, (len(rows), len(counts)))


def by_chance(arena: Arena, seed: int) -> Scorer:
    """Rank everybody by chance, for each chooser anew; the same for the same seed."""

    def drawn(rows: IntArray) -> FloatArray:
        parts = [np.random.default_rng([seed, row]).random(arena.n) for row in rows.tolist()]
        return np.stack(parts).astype(np.float32)

    return drawn


def content(people: People) -> Scorer:
    """Rank everybody by age (fading over ten years), place and shared interests."""
    return lambda rows: alike(people, rows)


def alike(people: People, rows: IntArray) -> FloatArray:
    """Return how alike everybody is to some people, 0 to 1: float32 (b, n)."""
    apart = np.abs(people.age[rows][:, None] - people.age[None, :])
    near = np.clip(1.0 - apart / AGE_YEARS, 0.0, 1.0)
    place = people.place[rows][:, None]
    same = (place == people.place[None, :]) & (place != UNKNOWN)
    both = AGE_SHARE * np.nan_to_num(near) + PLACE_SHARE * same
    return np.asarray(both + INTEREST_SHARE * shared_interests(people, rows), dtype=np.float32)


def shared_interests(people: People, rows: IntArray) -> FloatArray:
    """Return the Jaccard similarity of interests with everybody; 0 where neither tells any."""
    common = np.zeros((len(rows), people.n), np.float32)
    either = np.zeros_like(common)
    for word in range(people.interests.shape[1]):
        mine, all_ = people.interests[rows, word][:, None], people.interests[None, :, word]
        common += np.bitwise_count(mine & all_)
        either += np.bitwise_count(mine | all_)
    return np.divide(common, either, out=common, where=either > 0)
