"""The decision policy: thresholds, costs by amount, random approvals with their propensities."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promise.data.answer import Decision
from promise.data.columns import Columns
from promise.errors import ArtifactError, ConfigError, DataError
from promise.metrics.costs import REVIEW, Costs, Cuts, outcome
from promise.pipeline.decision import Cheapest, DecisionPolicy, Exploration

COSTS = Costs(review=4.0, decline_fixed=25.0)
POLICIES = (
    DecisionPolicy(),
    DecisionPolicy(rule=Cheapest(COSTS, 1.5, 30.0), amount="money"),
    DecisionPolicy(
        Decision(("ok", "look", "stop")), amount="money", exploration=Exploration(0.3, "id", 500.0)
    ),
    DecisionPolicy(
        rule=Cheapest(COSTS, 0.0, 30.0), amount="money",
        exploration=Exploration(0.5, "id", 80.0, salt="spring"),
    ),
)  # fmt: skip


def _block(n: int, seed: int = 0) -> tuple[Columns, np.ndarray, np.ndarray]:
    """Return columns, calibrated chances and labels drawn by them."""
    rng = np.random.default_rng(seed)
    chance = rng.beta(0.4, 1.2, n)
    amount = rng.lognormal(3.5, 1.0, n)
    keys = np.array([f"event-{i}" for i in range(n)], dtype=object)
    y = (rng.random(n) < chance).astype(np.int64)
    return Columns({"money": amount, "id": keys}), chance, y


def test_thresholds_of_the_first_design() -> None:
    """Approve below .2, review below .7, decline from .7 on."""
    output = np.array([0.0, 0.1999, 0.2, 0.6999, 0.7, 1.0, math.nan])
    found = DecisionPolicy().many(Columns({}), output)
    assert found["prediction"].tolist() == [
        "approve", "approve", "review", "review", "decline", "decline", "review",
    ]  # fmt: skip
    assert (found["propensity"] == 1.0).all()
    assert not found["explored"].any()


@pytest.mark.parametrize("policy", POLICIES)
def test_one_row_equals_many(policy: DecisionPolicy) -> None:
    """A row alone, by numbers and by columns, is decided as in a batch."""
    columns, chance, _ = _block(200)
    columns["money"][::9] = np.nan
    columns["money"][::13] = -20.0
    columns["id"][::17] = None
    whole = policy.many(columns, np.stack([1 - chance, chance], axis=1))
    for row in range(200):
        expected = {name: whole[name].tolist()[row] for name in whole}
        money = float(columns["money"][row])
        one = policy.one(float(chance[row]), None if math.isnan(money) else money,
                         columns["id"][row])  # fmt: skip
        assert one == expected
        json.dumps(one)
        alone = policy.many(columns.take(np.array([row])), chance[[row]])
        assert {name: alone[name].tolist()[0] for name in alone} == expected


@pytest.mark.parametrize("policy", POLICIES)
def test_saved_equals_made(policy: DecisionPolicy, tmp_path: Path) -> None:
    """What is loaded is equal, and `policy.json` is plain JSON."""
    policy.save(tmp_path)
    assert DecisionPolicy.load(tmp_path) == policy
    assert json.loads(json.dumps(policy.to_json(), allow_nan=False)) == policy.to_json()


def test_unknown_rules_are_refused(tmp_path: Path) -> None:
    """A rule or an answer from another world is not guessed at."""
    data = DecisionPolicy().to_json()
    for change, words in (
        ({"rule": {"kind": "oracle"}}, "'oracle' is unknown"),
        ({"answer": {"kind": "number", "unit": None}}, "cannot answer"),
    ):
        (tmp_path / "policy.json").write_text(json.dumps({**data, **change}))
        with pytest.raises(ArtifactError, match=words):
            DecisionPolicy.load(tmp_path)


def test_random_approvals_are_of_small_declined_rows_only() -> None:
    """Never of large amounts or missing ones, never where nothing would be declined."""
    columns, chance, _ = _block(3_000)
    columns["money"][::10] = np.nan
    policy = DecisionPolicy(amount="money", exploration=Exploration(0.4, "id", 60.0))
    plain = DecisionPolicy().many(columns, chance)["prediction"]
    found = policy.many(columns, chance)
    explored = found["explored"]
    assert explored.sum() > 50
    assert (plain[explored] == "decline").all()
    assert (found["prediction"][explored] == "approve").all()
    assert np.array_equal(found["prediction"][~explored], plain[~explored])
    assert (columns["money"][explored] <= 60.0).all()
    open_rows = (plain == "decline") & (columns["money"] <= 60.0)
    assert np.allclose(found["propensity"][open_rows & explored], 0.4)
    assert np.allclose(found["propensity"][open_rows & ~explored], 0.6)
    assert (found["propensity"][~open_rows] == 1.0).all()
    assert explored.sum() / open_rows.sum() == pytest.approx(0.4, abs=0.07)


def test_propensities_give_the_truth_back() -> None:
    """The fraud rate of all open rows is the weighted one of those that were approved."""
    columns, chance, y = _block(40_000)
    policy = DecisionPolicy(amount="money", exploration=Exploration(0.25, "id", 1e9))
    found = policy.many(columns, chance)
    known = found["prediction"] != "decline"
    weight = 1.0 / found["propensity"][known]
    assert (weight @ y[known]) / weight.sum() == pytest.approx(y.mean(), abs=0.01)
    assert y[known].mean() < y.mean() - 0.02


def test_the_same_event_is_always_treated_alike() -> None:
    """Chance is a hash of the key and the salt, not of the row's place."""
    first, again, other = (Exploration(0.5, "id", 9.0, salt=salt) for salt in ("a", "a", "b"))
    keys = [f"e{i}" for i in range(200)]
    assert [first.draws(k) for k in keys] == [again.draws(k) for k in keys]
    assert [first.draws(k) for k in keys] != [other.draws(k) for k in keys]
    assert not first.draws(None)
    assert not first.draws(math.nan)
    assert not any(Exploration(0.0, "id", 9.0).draws(k) for k in keys)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.floats(0, 40), st.booleans())
def test_chosen_policies_keep_the_capacity_and_cost_no_more(
    seed: int, capacity: float, by_cost: bool
) -> None:
    """On the block: no more reviews than allowed, and no dearer than .2 and .7 if those are."""
    columns, chance, _ = _block(300, seed)
    start = DecisionPolicy(rule=Cheapest() if by_cost else Cuts(), amount="money")
    policy = start.chosen(chance, columns["money"], COSTS, days=5.0, capacity_per_day=capacity)
    assert isinstance(policy.rule, Cheapest if by_cost else Cuts)
    codes = _codes(policy, columns, chance)
    assert (codes == REVIEW).sum() / 5.0 <= capacity + 1e-9
    table = COSTS.expected(chance, columns["money"])
    fixed = Cuts().actions(chance)
    if (fixed == REVIEW).sum() / 5.0 <= capacity:
        rows = np.arange(300)
        assert table[rows, codes].sum() <= table[rows, fixed].sum() + 1e-7


def test_costs_by_amount_save_more_than_thresholds() -> None:
    """On later rows drawn by the same chances, in hindsight money."""
    columns, chance, _ = _block(4_000, seed=1)
    later, later_chance, y = _block(40_000, seed=2)
    saved = {}
    for name, rule in (("cuts", Cuts()), ("cheapest", Cheapest())):
        policy = DecisionPolicy(rule=rule, amount="money").chosen(
            chance, columns["money"], COSTS, days=10.0, capacity_per_day=40.0
        )
        codes = _codes(policy, later, later_chance)
        found = outcome(codes, y, later["money"], COSTS, days=100.0)
        saved[name] = found.saved
        assert found.reviews_per_day == pytest.approx(40.0, abs=8.0)
    fixed = outcome(Cuts().actions(later_chance), y, later["money"], COSTS, 100.0)
    assert saved["cheapest"] > saved["cuts"]
    assert fixed.reviews_per_day > 60.0  # the fixed pair spends more reviews than there are


def test_refuses_policies_that_cannot_decide() -> None:
    """Actions, amounts and shares are checked in words; a missing column is named."""
    with pytest.raises(ConfigError, match="three actions"):
        DecisionPolicy(Decision(("yes", "no")))
    with pytest.raises(ConfigError, match="name its column"):
        DecisionPolicy(rule=Cheapest())
    with pytest.raises(ConfigError, match="share=1"):
        Exploration(1, "id", 5.0)
    policy = DecisionPolicy(rule=Cheapest(), amount="amount")
    with pytest.raises(DataError, match="no column 'amount'; did you mean 'amounts'"):
        policy.many(Columns({"amounts": np.ones(1)}), np.ones(1))


def _codes(policy: DecisionPolicy, columns: Columns, chance: np.ndarray) -> np.ndarray:
    names = policy.many(columns, chance)["prediction"].tolist()
    return np.array([policy.answer.actions.index(name) for name in names])
