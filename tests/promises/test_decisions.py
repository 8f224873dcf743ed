"""Promises about decisions: metrics of their score, and who is let through."""

from __future__ import annotations

import numpy as np
import pytest

from promise.data.answer import Decision
from promise.promises.equity import judge_fairness
from promise.promises.quality import judge_metric
from promise.promises.spec import Promise

ANSWER = Decision()


def scored(n: int = 2000, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < 0.1).astype(np.int64)
    chance = np.clip(0.05 + 0.6 * y + rng.normal(0, 0.1, n), 0.001, 0.999)
    return y, np.stack([1 - chance, chance], axis=1)


@pytest.mark.parametrize("peeking", [False, True])
def test_metrics_of_a_decision_are_those_of_its_score(peeking: bool) -> None:
    """A good ranking keeps what was promised of it, live and at the gate."""
    y, output = scored()
    for that, bound in (("average_precision", 0.5), ("roc_auc", 0.9)):
        judged = judge_metric(
            Promise("quality", that, at_least=bound), ANSWER, y, output, peeking=peeking
        )
        assert judged.status == "KEPT", judged.reason
    judged = judge_metric(
        Promise("calibration", "brier", at_most=0.2), ANSWER, y, output, peeking=peeking
    )
    assert judged.status == "KEPT", judged.reason


def test_few_frauds_are_too_few() -> None:
    """Ranking metrics wait for ten of the rarer outcome, which is named."""
    y, output = scored(60)
    y[:] = 0
    y[:3] = 1
    judged = judge_metric(
        Promise("quality", "average_precision", at_least=0.5), ANSWER, y, output, peeking=False
    )
    assert judged.status == "UNKNOWN"
    assert "3 labels of the class '1'" in judged.reason


def test_groups_are_compared_by_who_is_let_through() -> None:
    """From the score at which the policy acts; without one nothing is claimed."""
    y, output = scored()
    group = np.array(["old", "young"], dtype=object)[np.arange(len(y)) % 2]
    promise = Promise("fair", "equalized_odds_difference", at_most=0.2, of="age")
    judged = judge_fairness(
        promise, ANSWER, y, output, group, multipliers=np.array([0.2, 0.8]), peeking=False
    )
    assert judged.status == "KEPT", judged.reason
    assert judge_fairness(promise, ANSWER, y, output, group, peeking=False).status == "UNKNOWN"
    biased = np.where((group == "old")[:, None], [[0.1, 0.9]], output)
    judged = judge_fairness(
        promise, ANSWER, y, biased, group, multipliers=np.array([0.2, 0.8]), peeking=False
    )
    assert judged.status == "BROKEN", judged.reason
