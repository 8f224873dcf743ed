"""By which rule a score becomes an action: two thresholds, or what each action would cost."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from promise.data.columns import Array, IntArray
from promise.errors import ArtifactError
from promise.metrics.costs import APPROVE, DECLINE, REVIEW, Costs, Cuts, cheapest_actions


@dataclass(frozen=True)
class Cheapest:
    """Takes the action of least expected cost for each amount; reviews have a price.

    Parameters
    ----------
    costs
        What decisions cost.
    price
        What a review must save beyond its own cost, so that reviews keep to their capacity.
    usual_amount
        Stands in for an amount that is missing.
    """

    costs: Costs = field(default_factory=Costs)
    price: float = 0.0
    usual_amount: float = 0.0

    def actions(self, score: Array, amount: Array) -> IntArray:
        """Return action codes (n,); a score that is not a number is for a person to look at."""
        money = np.where(np.isfinite(amount), amount, self.usual_amount)
        found = cheapest_actions(self.costs.expected(score, money), self.price)
        return np.where(np.isnan(score), REVIEW, found)


def one_action(rule: Cuts | Cheapest, score: float, amount: float) -> int:
    """Return one row's action code without arrays: that of `rule.actions`, always.

    Examples
    --------
    >>> one_action(Cuts(), 0.4, math.nan), one_action(Cheapest(), 0.9, 1_000.0)
    (1, 2)
    """
    if math.isnan(score):
        return REVIEW
    if isinstance(rule, Cuts):
        return int(score >= rule.review) + int(score >= rule.decline)
    costs, money = rule.costs, max(amount if math.isfinite(amount) else rule.usual_amount, 0.0)
    loss = score * (costs.loss_share * money + costs.loss_fixed)
    wrong = (1.0 - score) * (costs.decline_share * money + costs.decline_fixed)
    if min(loss, wrong) - (costs.review + costs.review_misses * loss) > rule.price:
        return REVIEW
    return DECLINE if wrong < loss else APPROVE


def rule_to_json(rule: Cuts | Cheapest) -> dict[str, Any]:
    """Return a rule as `policy.json` shows it."""
    if isinstance(rule, Cuts):
        return {"kind": "cuts", **vars(rule)}
    return {"kind": "cheapest", **vars(rule), "costs": vars(rule.costs)}


def rule_from_json(data: dict[str, Any]) -> Cuts | Cheapest:
    """Rebuild a rule; an unknown kind is refused, since nobody can say what it would decide."""
    fields = {name: value for name, value in data.items() if name != "kind"}
    if data["kind"] == "cuts":
        return Cuts(**fields)
    if data["kind"] == "cheapest":
        return Cheapest(**{**fields, "costs": Costs(**fields["costs"])})
    raise ArtifactError(
        f"decision rule {data['kind']!r} is unknown here; known: cuts, cheapest. Upgrade Promise."
    )
