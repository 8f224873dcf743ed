"""Candidates by chance: every eligible person as likely as any other, with the chance known."""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan

import numpy as np

from promise.data.columns import IntArray
from promise.workloads.matching.quest import Quest
from promise.workloads.matching.register import BARRED

BASE_SCORE = 0.1
"""What a candidate by chance is held to be worth before ranking."""
SMALL = 4_096
"""So many people are all listed instead of being drawn one by one."""
_ROUNDS = 8


@dataclass(frozen=True)
class Drawn:
    """Who was drawn, and out of how many.

    Parameters
    ----------
    codes
        In the order of the draw: int64 (m,).
    pool
        How many people could have been drawn; an estimate where filters look into profiles.
    """

    codes: IntArray
    pool: float


def drawn(quest: Quest, m: int, taken: IntArray) -> Drawn:
    """Draw people whom a request may meet, without those who are candidates already.

    Parameters
    ----------
    taken
        All of them eligible, each once.
    """
    whole = quest.wish.places is None and isnan(quest.wish.age[0])
    where = quest.whole_groups() if whole else quest.spans()
    starts, ends, _ = where
    edges = np.concatenate([[0], np.cumsum(ends - starts)])
    total = int(edges[-1]) + len(quest.loose)
    if total <= SMALL:
        everyone = np.setdiff1d(_everyone(quest, starts, ends), taken)
        order = quest.rng(1).permutation(len(everyone))
        return Drawn(everyone[order[:m]], float(len(everyone)))
    pool = float(total - quest.n_barred(where) - len(taken))
    found, kept = _by_lot(quest, m, taken, starts, edges, total)
    return Drawn(found, pool if quest.wish.by_spans else max(float(len(found)), kept * pool))


def _everyone(quest: Quest, starts: IntArray, ends: IntArray) -> IntArray:
    order = quest.layout.order
    parts = [order[a:b] for a, b in zip(starts.tolist(), ends.tolist(), strict=True)]
    codes = np.concatenate([*parts, np.empty(0, np.int64)]).astype(np.int64)
    codes = codes[quest.world.register.flags[codes] & BARRED == 0]
    codes = codes[quest.allowed(codes)]
    return np.sort(np.concatenate([codes, quest.loose]))


def _by_lot(
    quest: Quest, m: int, taken: IntArray, starts: IntArray, edges: IntArray, total: int
) -> tuple[IntArray, float]:
    """Draw again whoever may not be met; return who remains and which share of draws did."""
    rng, order = quest.rng(1), quest.layout.order
    found = np.empty(0, np.int64)
    n_drawn = n_kept = 0
    for _ in range(_ROUNDS):
        places = rng.integers(0, total, 2 * m + 16)
        in_layout = places < edges[-1]
        codes = np.empty(len(places), np.int64)
        codes[~in_layout] = quest.loose[places[~in_layout] - edges[-1]]
        span = np.searchsorted(edges, places[in_layout], side="right") - 1
        rows = order[starts[span] + places[in_layout] - edges[span]].astype(np.int64)
        codes[in_layout] = rows
        kept = quest.allowed(codes) & ~np.isin(codes, taken)
        kept[in_layout] &= quest.world.register.flags[rows] & BARRED == 0
        n_drawn, n_kept = n_drawn + len(codes), n_kept + int(kept.sum())
        joined = np.concatenate([found, codes[kept]])
        found = joined[np.sort(np.unique(joined, return_index=True)[1])]
        if len(found) >= m:
            break
    return found[:m], n_kept / n_drawn
