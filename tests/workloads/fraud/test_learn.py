from __future__ import annotations

import time

import numpy as np
import pytest

from promise.data.answer import Decision
from promise.data.columns import Columns
from promise.features.keyed import VIEW
from promise.job import Job
from promise.metrics.costs import Costs, Cuts
from promise.metrics.ranked import positive_calibration_error
from promise.models.blend import matrix_column
from promise.pipeline.decision import Cheapest
from promise.workloads.fraud.learn import (
    Rows,
    best_weights,
    learn,
    policy_of,
    shared_out,
    thin,
)
from promise.workloads.fraud.recipe import DEFAULT, Part, Recipe
from promise.workloads.fraud.reference import REFERENCE
from promise.workloads.fraud.terms import Terms, smote_of

JOB = Job(seed=7, threads=1)
FAST = Recipe(
    parts=(
        Part("lightgbm", {"rounds": 40, "leaves": 8}),
        Part("xgboost", {"rounds": 40, "max_depth": 3}),
    )
)
NAMES = ("a", "b", "c")


def rows(n: int = 4000, seed: int = 3) -> Rows:
    """Return rows whose chance of fraud is a known function of two of three columns."""
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(n, 3)).astype(np.float32)
    chance = 1 / (1 + np.exp(4.0 - 2.0 * matrix[:, 0] - matrix[:, 1]))
    return Rows(matrix, (rng.random(n) < chance).astype(np.int64), np.arange(n))


def quiet(_: str) -> None:
    """Say nothing."""


def test_a_blend_is_calibrated_on_the_later_block_and_true_on_the_next() -> None:
    found = learn(rows(), rows(4000, 4), NAMES, FAST, job=JOB, tell=quiet)
    later = rows(20_000, 5)
    chance = found.score.many(Columns({matrix_column(VIEW): later.matrix}))[:, 1]
    assert positive_calibration_error(later.y, chance) < 0.01
    assert chance[later.y == 1].mean() > 3 * chance[later.y == 0].mean()
    assert sum(m["weight"] for m in found.notes["members"]) == pytest.approx(1.0)


def test_made_up_frauds_change_what_is_learned_from_and_not_the_truth_of_scores() -> None:
    grown = Recipe(parts=FAST.parts, smote=smote_of(1.0))
    found = learn(rows(), rows(4000, 4), NAMES, grown, job=JOB, tell=quiet)
    honest = int((rows().y == 0).sum())
    assert found.notes["made_up_rows"] == honest - int(rows().y.sum())
    later = rows(20_000, 5)
    chance = found.score.many(Columns({matrix_column(VIEW): later.matrix}))[:, 1]
    assert positive_calibration_error(later.y, chance) < 0.015


@pytest.mark.slow
def test_training_twice_gives_the_same_scores() -> None:
    first, second = (learn(rows(), rows(4000, 4), NAMES, FAST, job=JOB, tell=quiet) for _ in "ab")
    asked = Columns({matrix_column(VIEW): rows(100, 9).matrix})
    assert (first.score.many(asked) == second.score.many(asked)).all()


def test_thinning_keeps_every_fraud_and_says_so() -> None:
    found = thin(rows(), 1000, seed=7)
    assert found.y.sum() == rows().y.sum()
    assert len(found.y) == 1000
    assert (np.diff(found.numbers) > 0).all()
    smaller = thin(rows(), 500, seed=7)
    assert set(smaller.numbers) <= set(found.numbers)
    plain = thin(rows(), 1000, seed=7, all_frauds=False)
    assert plain.y.mean() == pytest.approx(rows().y.mean(), abs=0.03)
    assert thin(rows(100), 200, seed=7).y.size == 100


def test_a_sampled_training_tells_its_rule() -> None:
    few = Recipe(parts=FAST.parts, train_rows=800)
    found = learn(rows(), rows(4000, 4), NAMES, few, job=JOB, tell=quiet)
    assert "every fraud and, by the hash" in found.notes["sampled"]


def test_a_member_that_knows_nothing_gets_no_weight() -> None:
    y = rows().y
    good = np.where(y == 1, 0.4, 0.05)
    share = np.stack([1 - good, good], axis=1)
    noise = np.random.default_rng(2).random(len(y))
    weights = best_weights([share, np.stack([1 - noise, noise], axis=1)], y)
    assert weights == [1.0, 0.0]
    alike = best_weights([share, share], y)
    assert sum(alike) == pytest.approx(1.0)


def test_the_reference_recipe_is_the_first_design_s() -> None:
    xgboost, tabnet = (part.estimator for part in REFERENCE.parts)
    told = vars(xgboost)
    assert (told["rounds"], told["max_depth"], told["learning_rate"]) == (500, 8, 0.05)
    assert (told["subsample"], told["column_sample"], told["min_leaf"]) == (0.8, 0.8, 5.0)
    assert told["early_stopping"] == 50
    net = vars(tabnet)
    assert (net["steps"], net["width"], net["learning_rate"], net["momentum"]) == (
        6,
        64,
        0.02,
        0.02,
    )
    assert [part.weight for part in REFERENCE.parts] == [0.6, 0.4]
    assert REFERENCE.scale == "probability"
    assert REFERENCE.cuts == Cuts(0.2, 0.7)
    assert REFERENCE.smote is not None
    assert DEFAULT.smote is None or DEFAULT.smote.ratio < 1


def test_the_policy_is_fixed_or_chosen_by_cost_within_the_capacity() -> None:
    rng = np.random.default_rng(4)
    score, money = rng.random(5000) ** 4, rng.lognormal(4, 1, 5000)
    asked = {"amount": "eur", "key": None, "score": score, "money": money, "days": 10.0}
    fixed = policy_of(Decision(), REFERENCE, Terms(), **asked)  # type: ignore[arg-type]
    assert fixed.rule == Cuts(0.2, 0.7)
    terms = Terms(costs=Costs(review=3.0), review_per_day=20.0)
    chosen = policy_of(Decision(), DEFAULT, terms, **asked)  # type: ignore[arg-type]
    assert isinstance(chosen.rule, Cheapest)
    answers = chosen.many(Columns({"eur": money}), score)["prediction"]
    assert (answers == "review").sum() / 10.0 <= 20.0
    assert (answers == "review").sum() / 10.0 > 15.0


def test_exploration_needs_a_key_and_is_drawn_by_it() -> None:
    terms = Terms(explore=0.1, explore_most=50.0)
    asked = {"amount": "eur", "score": np.array([0.1, 0.9] * 50), "money": np.full(100, 20.0)}
    policy = policy_of(Decision(), DEFAULT, terms, key="id", days=1.0, **asked)  # type: ignore[arg-type]
    assert policy.exploration is not None
    assert policy.exploration.key == "id"


def test_members_share_what_is_left_of_the_time() -> None:
    job = Job(deadline_s=time.monotonic() + 1_000.0)
    first, second = (own.deadline_s for _, own in shared_out(FAST, job, quiet))
    assert first is not None
    assert job.deadline_s is not None
    assert second == pytest.approx(job.deadline_s)
    assert first == pytest.approx(job.deadline_s - 500.0, abs=100.0)


def test_a_budget_that_is_over_is_told() -> None:
    said: list[str] = []
    over = Job(threads=1, deadline_s=time.monotonic() - 1.0)
    found = learn(rows(), rows(4000, 4), NAMES, FAST, job=over, tell=said.append)
    assert [m["rounds"] for m in found.notes["members"]] == [1] * len(found.notes["members"])
    told = [line for line in said if "--set budget=SECONDS" in line]
    assert [kind for kind in ("lightgbm", "xgboost") for line in told if kind in line] == [
        "lightgbm", "xgboost",
    ]  # fmt: skip
