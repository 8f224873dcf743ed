"""Who of the candidates is shown: the best, and a few by chance in places kept for them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from promise.data.columns import Array, Columns, IntArray
from promise.errors import ConfigError, near
from promise.features.pairs import SOURCES
from promise.pipeline.policy import PREDICTION
from promise.workloads.matching.retrieve import RANDOM
from promise.workloads.matching.rules import RULES, Rule, joint

CHOOSER, CANDIDATE, NAME = "chooser", "candidate", "candidate_id"
SOURCE, BASE, POOL, LOT, SHOWN = "source", "base", "pool", "lot", "shown"
"""The columns of candidates: where from, worth what, out of how many, when chance would draw them,
how often shown today."""


@dataclass(frozen=True)
class Picked:
    """Who is shown, in order.

    Parameters
    ----------
    rows
        Rows of the candidates: int64 (k,).
    chance
        How likely the chooser, or both, say yes: float64 (k,).
    propensity
        How likely this person was to be in the list at all: float64 (k,).
    by_chance
        Who came by chance and not for their score: bool (k,).
    """

    rows: IntArray
    chance: Array
    propensity: Array
    by_chance: Array


@dataclass(frozen=True)
class PickPeople:
    """Shows the best, and a few by chance in places kept for them; a Decide stage.

    Parameters
    ----------
    limit
        How many are shown where nothing else is asked for.
    explored
        Places of a list that are kept for chance. Without any, those drawn by chance compete by
        their scores.
    most_shown
        Whoever was shown so often on one day is not shown again on it; None for no bound.
    rule
        How both directions become one score.
    """

    kind: ClassVar[str] = "pick_people"
    kind_version: ClassVar[int] = 1
    limit: int = 20
    explored: int = 0
    most_shown: int | None = None
    rule: Rule = "one_sided"

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise ConfigError(f"there is no rule {self.rule!r}; {near(self.rule, RULES)}")
        if self.limit < 1 or not 0 <= self.explored <= self.limit:
            raise ConfigError(
                f"a list of {self.limit} cannot keep {self.explored} places for chance: "
                "expected 1 or more places, and no more of them for chance."
            )

    def one(self, columns: Columns, output: Array, limit: int | None = None) -> Picked:
        """Return who of one request's candidates is shown.

        Propensities add up to the length of the list over everybody who might have been in it:
        1 for those who are shown for their score, and for everyone else who is eligible, candidates
        too, the same share of the places that chance filled.
        """
        limit = self.limit if limit is None else limit
        score = joint(output[:, 0], output[:, 1], self.rule)
        free = np.ones(len(score), dtype=bool)
        if self.most_shown is not None:
            free = columns[SHOWN] < self.most_shown
        by_chance = columns[SOURCE] == RANDOM
        if not self.explored:
            rows: IntArray = np.flatnonzero(free)
            rows = rows[np.lexsort((rows, -score[rows]))][:limit]
            share = _share(columns, int(by_chance.sum()), 0)
            return _picked(rows, score, by_chance[rows], share)
        kept = round(self.explored * limit / self.limit) if limit < self.limit else self.explored
        ranked: IntArray = np.flatnonzero(free & ~by_chance)
        ranked = ranked[np.lexsort((ranked, -score[ranked]))]
        n_best = limit - min(kept, limit)
        others = np.concatenate([ranked[n_best:], np.flatnonzero(free & by_chance)])
        lots = others[np.argsort(columns[LOT][others], kind="stable")]
        best, lots = ranked[:n_best], lots[: limit - len(ranked[:n_best])]
        share = _share(columns, len(lots), len(ranked) - len(best))
        rows = _mixed(best, lots)
        return _picked(rows, score, np.isin(rows, lots), share)

    def many(self, columns: Columns, output: Array) -> Columns:
        """Return one list for each request: ids with probability, source and propensity."""
        offsets = offsets_of(columns)
        lists = np.empty(len(offsets) - 1, dtype=object)
        for place, (first, last) in enumerate(
            zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)
        ):
            part = columns.take(np.arange(first, last))
            lists[place] = told(part, self.one(part, output[first:last]))
        return Columns({PREDICTION: lists})

    def listed(self, columns: Columns, output: Array) -> Array:
        """Return each list as numbers: codes, then chances; -1 and 0 where a place is empty.

        Returns
        -------
        float64 (n_requests, 2 * limit): what golden answers keep, to the last bit.
        """
        offsets = offsets_of(columns)
        found = np.zeros((len(offsets) - 1, 2 * self.limit))
        found[:, : self.limit] = -1.0
        for place, (first, last) in enumerate(
            zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)
        ):
            part = columns.take(np.arange(first, last))
            picked = self.one(part, output[first:last])
            k = len(picked.rows)
            found[place, :k] = part[CANDIDATE][picked.rows]
            found[place, self.limit : self.limit + k] = picked.chance
        return found

    def extras(self) -> dict[str, Any]:
        """Nothing stands beside the list."""
        return {}

    def to_json(self) -> dict[str, Any]:
        """Return the policy as `policy.json` shows it."""
        return dict(vars(self))

    def save(self, folder: Path) -> None:
        """Write the policy as JSON."""
        (folder / "pick.json").write_text(json.dumps(self.to_json()), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote."""
        return cls(**json.loads((folder / "pick.json").read_text(encoding="utf-8")))


def told(columns: Columns, picked: Picked) -> list[dict[str, Any]]:
    """Return a list as JSON shows it."""
    names = columns[NAME][picked.rows]
    sources = np.where(picked.by_chance, RANDOM, columns[SOURCE][picked.rows])
    rows: Sequence[tuple[Any, ...]] = list(
        zip(
            names.tolist(),
            picked.chance.tolist(),
            sources.tolist(),
            picked.propensity.tolist(),
            strict=True,
        )
    )
    return [
        {
            "id": name,
            "probability": round(chance, 6),
            "source": SOURCES[source],
            "position": place,
            "propensity": propensity,
        }
        for place, (name, chance, source, propensity) in enumerate(rows, 1)
    ]


def offsets_of(columns: Columns) -> IntArray:
    """Return where each request's candidates begin; without offsets they are of one request."""
    if columns.offsets is None:
        return np.array([0, columns.n_rows], dtype=np.int64)
    return columns.offsets


def _picked(rows: IntArray, score: Array, by_chance: Array, share: float) -> Picked:
    return Picked(rows, score[rows], np.where(by_chance, share, 1.0), by_chance)


def _share(columns: Columns, n_drawn: int, n_others: int) -> float:
    """Return how likely each was to be drawn: of the pool, and of so many candidates beside it."""
    if not n_drawn:
        return 0.0
    return n_drawn / max(float(columns[POOL][0]) + n_others, n_drawn)


def _mixed(ranked: IntArray, lots: IntArray) -> IntArray:
    """Return one list with those by chance at even distances, the last of them at its end.

    Examples
    --------
    >>> _mixed(np.array([1, 2, 3, 4]), np.array([8, 9])).tolist()
    [1, 2, 8, 3, 4, 9]
    """
    n = len(ranked) + len(lots)
    if not len(lots):
        return ranked
    found = np.empty(n, np.int64)
    places = (np.arange(1, len(lots) + 1) * n) // len(lots) - 1
    for_lots = np.zeros(n, dtype=bool)
    for_lots[places] = True
    found[for_lots], found[~for_lots] = lots, ranked
    return found
