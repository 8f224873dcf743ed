"""Sticky assignment: a ramp only adds, groups are fair, experiments stand apart."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, chisquare

from promise.registry.lifecycle import BUCKETS, Route
from promise.serving.router import bucket, choose, splits

CANARY = Route("churn", "canary", live=1, candidate=2, share=1000, salt="first")
TEXT = st.text(max_size=40)


@given(TEXT, TEXT, st.integers(0, BUCKETS), st.integers(0, BUCKETS))
def test_a_growing_share_only_adds_entities(salt: str, entity: str, a: int, b: int) -> None:
    small, large = sorted((a, b))
    route = replace(CANARY, salt=salt)
    before = choose(replace(route, share=small), entity)
    after = choose(replace(route, share=large), entity)
    assert before[0] <= after[0]  # from version 1 to 2, never back
    assert choose(replace(route, share=small), entity) == before


@given(TEXT, TEXT)
def test_all_or_nothing_at_the_ends(salt: str, entity: str) -> None:
    assert choose(replace(CANARY, salt=salt, share=0), entity) == (1, "live")
    assert choose(replace(CANARY, salt=salt, share=BUCKETS), entity) == (2, "canary")
    assert 0 <= bucket(salt, entity) < BUCKETS


def test_salt_and_entity_do_not_run_into_each_other() -> None:
    assert bucket("a", "bc") != bucket("ab", "c")


@pytest.mark.parametrize("stage", ["steady", "shadow", "empty"])
def test_a_share_counts_only_while_the_candidate_gets_traffic(stage: str) -> None:
    route = replace(CANARY, stage=stage, share=BUCKETS)  # type: ignore[arg-type]
    assert choose(route, "x") == (1, "live")
    assert not splits(route)


def test_shares_come_out_as_declared() -> None:
    dealt = Counter(choose(CANARY, f"customer {i}")[0] for i in range(20_000))
    seen = [dealt[1], dealt[2]]
    assert chisquare(seen, [18_000, 2_000]).pvalue > 0.001
    assert chisquare(seen, [17_000, 3_000]).pvalue < 1e-6


def test_an_experiment_is_independent_of_the_rollout_before_it() -> None:
    canary = replace(CANARY, share=5000)
    experiment = Route("churn", "steady", live=1, salt="first", experiment={3: 5000})
    table = np.zeros((2, 2))
    for i in range(4000):
        entity = f"customer {i}"
        in_canary = choose(canary, entity)[1] == "canary"
        table[int(in_canary), int(choose(experiment, entity)[1] == "experiment")] += 1
    assert chi2_contingency(table).pvalue > 0.001


def test_an_experiment_deals_its_shares_and_the_live_version_gets_the_rest() -> None:
    route = Route("churn", "steady", live=3, salt="s", experiment={3: 2000, 4: 3000})
    dealt = Counter(choose(route, f"{i}") for i in range(10_000))
    assert set(dealt) == {(3, "live"), (4, "experiment")}
    seen = [dealt[3, "live"], dealt[4, "experiment"]]
    assert chisquare(seen, [7_000, 3_000]).pvalue > 0.001


def test_nobody_answers_where_nothing_is_live() -> None:
    with pytest.raises(ValueError, match="nothing is live"):
        choose(Route("churn"), "x")
