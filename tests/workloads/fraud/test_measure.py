from __future__ import annotations

import math

import numpy as np
import pytest

from promise.data.answer import Decision
from promise.data.columns import Columns
from promise.features.keyed import SEEN
from promise.metrics.costs import Costs, Cuts
from promise.pipeline.decision import Cheapest, DecisionPolicy
from promise.pipeline.order import Outcome
from promise.workloads.fraud.measure import costs_of, measure, ranking


def test_ranking_has_its_baseline_beside() -> None:
    y, chance = np.array([0, 0, 1, 0]), np.array([0.1, 0.2, 0.9, 0.3])
    found = ranking(y, chance)
    assert found["average_precision_baseline"] == 0.25
    assert found["recall_at_fpr_0.01"] == 1.0


def test_costs_are_those_of_the_policy() -> None:
    costs = Costs(review=2.0)
    assert costs_of(DecisionPolicy(Decision(), Cheapest(costs), "eur")) == costs
    assert costs_of(DecisionPolicy(Decision(), Cuts())) == Costs()


@pytest.mark.slow
def test_decisions_are_counted_and_paid_in_hindsight(outcome: Outcome) -> None:
    """Known answers on four rows: one good approved, one fraud reviewed, the others declined."""
    pipeline = outcome.pipeline
    width = len(pipeline.featurize.features.columns)  # type: ignore[union-attr]
    day = np.datetime64("2024-05-01", "us")
    request = Columns(
        {
            **{
                name: np.array(["x"] * 4, dtype=object)
                for name in ("event_id", "card", "shop", "device", "ip", "user_agent", "city")
            },
            "amount": np.array([50.0, 100.0, 200.0, np.nan]),
            "when": day + np.arange(4) * np.timedelta64(1, "h"),
            SEEN: np.zeros((4, width)),
        }
    )
    fixed = DecisionPolicy(pipeline.task.answer, Cuts(), "amount")  # type: ignore[arg-type]
    from dataclasses import replace

    judged = replace(pipeline, decide=fixed)
    chance = np.array([0.1, 0.5, 0.9, 0.95])
    output = np.stack([1 - chance, chance], axis=1)
    found = measure(judged, np.array([0, 1, 1, 0]), output, request)
    assert (found["approved"], found["reviewed"], found["declined"]) == (0.25, 0.25, 0.5)
    assert found["precision"] == pytest.approx(2 / 3)
    assert found["recall"] == 1.0
    assert found["cost"] == 5.0 + 20.0  # one review, one good customer declined
    assert found["saved"] == 300.0 - 25.0
    assert found["reviews_per_day"] == 1.0
    assert found["decision_ms_p50"] > 0


@pytest.mark.slow
def test_entities_without_a_recent_event_are_judged_apart(outcome: Outcome) -> None:
    metrics = outcome.metrics
    assert metrics["rows_of_new_entity"] > 0
    assert all(math.isfinite(value) for value in metrics.values())
