"""The numbers of the first design: shares of the sources, and the nine features of its ranker."""

from __future__ import annotations

from promise.features.pairs import UNARY
from promise.workloads.matching.content import NEAR
from promise.workloads.matching.retrieve import Plan

REFERENCE_PLAN = Plan(size=100, collaborative=0.5, content=0.33, rings=NEAR)
"""Half by factorisation, a third by likeness within five years and the same place, the rest by
chance: a hundred candidates."""

REFERENCE_FEATURES = UNARY
"""All nine are of the candidate alone: such a linear ranker orders candidates alike for everybody
who asks, so it cannot personalise; the default's features of pairs can."""
