"""Candidates from four sources: whose taste is alike, who is alike, who is liked, and chance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from promise.data.columns import Array, FloatArray, IntArray
from promise.errors import ConfigError
from promise.features.pairs import SOURCES
from promise.workloads.matching.content import NEAR, Ring, most_alike
from promise.workloads.matching.explore import BASE_SCORE, drawn
from promise.workloads.matching.quest import Quest

COLLABORATIVE, CONTENT, POPULAR, RANDOM = range(len(SOURCES))
BY = ("vectors", "history")
"""How the collaborative source is asked: nearest to the trained vector, or by the history."""
_WIDER = 3


@dataclass(frozen=True)
class Plan:
    """How many candidates come from where.

    Parameters
    ----------
    size
        How many in all; what the first two do not fill is drawn by chance.
    collaborative, content
        Shares of the size. Where nothing is known of a taste, the popular take the first share.
    rings
        Where likeness looks.
    by
        See `BY`.
    """

    size: int = 100
    collaborative: float = 0.5
    content: float = 0.33
    rings: tuple[Ring, ...] = NEAR
    by: str = "vectors"

    def __post_init__(self) -> None:
        if self.by not in BY or not 0 <= self.collaborative + self.content <= 1 or self.size < 1:
            raise ConfigError(
                f"{self} is no plan: shares are within 0 and 1 together, `by` is one of {BY}."
            )

    def to_json(self) -> dict[str, Any]:
        """Return it JSON-ready."""
        return {**vars(self), "rings": [ring.to_json() for ring in self.rings]}

    @classmethod
    def from_json(cls, told: dict[str, Any]) -> Plan:
        """Read back what `to_json` wrote."""
        return cls(**{**told, "rings": tuple(Ring(**ring) for ring in told["rings"])})


@dataclass(frozen=True)
class Candidates:
    """Who may be shown, each once; those drawn by chance last, in the order of the draw.

    Parameters
    ----------
    codes
        int64 (m,).
    source
        Codes of `SOURCES`: int8 (m,).
    base
        What the source holds them to be worth: float32 (m,).
    lot
        When each would be drawn by chance out of all of these and the pool: float64 (m,).
    pool
        Out of how many those by chance were drawn.
    """

    codes: IntArray
    source: IntArray
    base: FloatArray
    lot: FloatArray
    pool: float


def retrieve(quest: Quest, plan: Plan, at_least: int = 0) -> Candidates:
    """Return a request's candidates, all of them eligible.

    Parameters
    ----------
    at_least
        How many are wanted in the end; a longer list has more candidates.
    """
    size = max(plan.size, at_least)
    n_first, n_content = round(size * plan.collaborative), round(size * plan.content)
    code, (first, worth) = _by_taste(quest, plan, n_first)
    alike, likeness = most_alike(quest, plan.rings, n_content + len(first))
    fresh = np.flatnonzero(~np.isin(alike, first))[:n_content]
    ranked = np.concatenate([first, alike[fresh]]).astype(np.int64)
    chance = drawn(quest, size - len(ranked), ranked)
    parts = ((code, len(first)), (CONTENT, len(fresh)), (RANDOM, len(chance.codes)))
    base = np.full(len(chance.codes), BASE_SCORE, np.float32)
    return Candidates(
        codes=np.concatenate([ranked, chance.codes]),
        source=np.repeat([c for c, _ in parts], [n for _, n in parts]).astype(np.int8),
        base=np.concatenate([worth, likeness[fresh], base]).astype(np.float32),
        lot=_lots(quest, len(ranked), len(chance.codes), chance.pool),
        pool=chance.pool,
    )


def _lots(quest: Quest, n_ranked: int, n_drawn: int, pool: float) -> FloatArray:
    """Return when each candidate would be drawn, if chance drew from candidates and pool alike.

    Everybody's time is exponential; those drawn are the first of their pool, one after the other
    (Rényi 1953). So whoever comes first among some candidates and the pool is each equally likely.
    """
    rng = quest.rng(2)
    left = np.maximum(pool - np.arange(n_drawn), 1.0)
    drawn_at = np.cumsum(rng.exponential(size=n_drawn) / left)
    return np.concatenate([rng.exponential(size=n_ranked), drawn_at])


def _by_taste(quest: Quest, plan: Plan, k: int) -> tuple[int, tuple[IntArray, FloatArray]]:
    """Return whom the taste of a person points to; of somebody without one, the popular."""
    source, index, code = quest.world.basis.source, quest.world.vectors.index, quest.code
    none = np.empty(0, np.int64), np.empty(0, np.float32)
    if not k:
        return COLLABORATIVE, none
    if source is None or index is None or not quest.side.chooser.any():
        return POPULAR, _popular(quest, k)
    wanted, most = _WIDER * k + min(len(quest.excluded), 4 * k), len(index)
    codes, weights = quest.world.ties.history(code) if plan.by == "history" else none
    known = codes < quest.world.snapshot.n
    while True:  # more are looked at until enough of them are eligible
        if plan.by == "history":
            found, scores = source.candidates(codes[known], weights[known], wanted, index)
        else:
            (found,), (scores,) = index.search(quest.side.chooser, min(wanted, most))
        there = found >= 0
        found, scores = np.asarray(found[there], np.int64), scores[there]
        kept = quest.allowed(found)
        if kept.sum() >= k or wanted >= most or wanted >= _WIDER**4 * k:
            break
        wanted *= _WIDER
    return COLLABORATIVE, (found[kept][:k], scores[kept][:k])


def _popular(quest: Quest, k: int) -> tuple[IntArray, FloatArray]:
    """Return the popular of the groups that may be met, the groups' best first."""
    lists = np.asarray(quest.world.basis.popular[quest.groups], np.int64)
    if not lists.size:
        return np.empty(0, np.int64), np.empty(0, np.float32)
    place = np.broadcast_to(np.arange(lists.shape[1]), lists.shape)
    order = np.argsort(place, axis=None, kind="stable")
    codes: Array = lists.ravel()[order]
    codes = codes[codes >= 0]
    codes = codes[quest.allowed(codes)][:k]
    return codes, np.linspace(1.0, 0.5, len(codes), dtype=np.float32)
