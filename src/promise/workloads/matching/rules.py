"""How the chances of both yeses become one score, and who turned out to match."""

from __future__ import annotations

from typing import Literal

import numpy as np

from promise.data.columns import FloatArray
from promise.metrics.ranking import Wanted
from promise.workloads.matching.arena import Arena, Requests, likes_of
from promise.workloads.matching.tables import Deeds

Rule = Literal["one_sided", "product", "harmonic"]
RULES: tuple[Rule, ...] = ("one_sided", "product", "harmonic")


def joint(there: FloatArray, back: FloatArray, rule: Rule) -> FloatArray:
    """Return one score of both chances; where a side is not known, the other one counts.

    The product is the chance of a match where both decide apart; the harmonic mean (Pizzato et
    al., RECON, 2010) forgives a low side less.

    Examples
    --------
    >>> joint(np.array([0.5, 0.9]), np.array([0.5, 0.1]), "harmonic").round(2)
    array([0.5 , 0.18])
    """
    if rule == "one_sided":
        return there
    known = np.isfinite(back)
    other = np.where(known, back, there)
    if rule == "product":
        return np.where(known, there * other, there)
    total = there + other
    return np.divide(2 * there * other, total, out=np.zeros_like(total), where=total > 0)


def mutual_yes(requests: Requests, arena: Arena, later: Deeds) -> Wanted:
    """Return whom each request should find so that both say yes, sooner or later.

    Wanted are those of the request whom the other side likes as well, before or in the period.
    """
    n = arena.n
    after = likes_of(later, n)
    held = np.unique(
        np.concatenate(
            [one.rows().astype(np.int64) * n + one.others for one in (arena.likes, after)]
        )
    )
    wanted = requests.wanted
    chooser, chosen = requests.rows[wanted.requests], wanted.items
    both = np.isin(chosen * n + chooser, held)
    return Wanted.of_pairs(wanted.requests[both], chosen[both], requests.n)
