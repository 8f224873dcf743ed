"""What judgement knows of a policy without loading the model."""

from __future__ import annotations

import numpy as np

from promise.metrics.costs import NEVER, Costs, Cuts
from promise.pipeline.decision import Cheapest, DecisionPolicy
from promise.rollout.subject import _multipliers

CHANCES = np.linspace(0, 1, 101)


def acted(policy: DecisionPolicy) -> list[bool]:
    """Return at which chances the multipliers say that a row is not let through."""
    found = _multipliers(policy.to_json())
    assert found is not None
    output = np.stack([1 - CHANCES, CHANCES], axis=1)
    return (output * found).argmax(axis=1).astype(bool).tolist()


def test_the_cut_of_a_policy_tells_who_is_let_through() -> None:
    """Thresholds, the least cost at the usual amount, and a policy that never acts."""
    assert acted(DecisionPolicy(rule=Cuts(0.305, 0.7))) == (CHANCES > 0.305).tolist()
    costs = DecisionPolicy(rule=Cheapest(Costs(review=4.0), 0.0, 40.0), amount="eur")
    assert acted(costs) == (CHANCES > 0.101).tolist()
    assert not any(acted(DecisionPolicy(rule=Cuts(NEVER, NEVER))))


def test_other_policies_keep_their_own() -> None:
    assert _multipliers({"multipliers": None}) is None
    assert _multipliers({"multipliers": [1.0, 3.0]}).tolist() == [1.0, 3.0]  # type: ignore[union-attr]
