"""Verdicts that hold under peeking: looked at after every request, they are wrong rarely."""

from __future__ import annotations

from promise.metrics.comparison import Comparison, compare_shares
from promise.promises.equity import judge_fairness
from promise.promises.levels import judge_level
from promise.promises.quality import judge_metric
from promise.promises.shares import judge_live_share, judge_share
from promise.promises.stability import judge_drift, judge_psi
from promise.promises.verdict import ALPHA, KEPT_ALPHA

__all__ = [
    "ALPHA",
    "KEPT_ALPHA",
    "Comparison",
    "compare_shares",
    "judge_drift",
    "judge_fairness",
    "judge_level",
    "judge_live_share",
    "judge_metric",
    "judge_psi",
    "judge_share",
]
