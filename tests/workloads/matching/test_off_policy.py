"""Lists that were served with places for chance tell what other lists would have earned."""

from __future__ import annotations

import numpy as np
import pytest

from promise.metrics.ranking import Logged, off_policy
from promise.pipeline.finding import Asked
from promise.workloads.matching.overlay import World, microseconds
from promise.workloads.matching.pick import CANDIDATE, PickPeople
from promise.workloads.matching.quest import begin
from promise.workloads.matching.retrieve import Plan
from promise.workloads.matching.snapshot import Basis
from promise.workloads.matching.stages import RetrievePeople

from .small_world import START, basis, folk, profile

N, ASKERS, DRAWS, LONG = 150, 40, 60, 20
PICK = PickPeople(explored=2)


@pytest.fixture(scope="module")
def world() -> Basis:
    """Return everybody, without a taste: candidates come by likeness, popularity and chance."""
    return basis(folk({f"p{i}": profile(i) for i in range(N)}), [])


def eligible(world: World, asker: int) -> np.ndarray:
    """Return whom somebody may meet, each looked at."""
    quest = begin(world, Asked(f"p{asker}"), microseconds(START), 7)
    return np.flatnonzero(quest.allowed(np.arange(N)))


@pytest.mark.slow
def test_what_another_ranking_earns_lies_within_the_interval(world: Basis) -> None:
    rng = np.random.default_rng(11)
    reward = (rng.random((N, N)) < 0.3).astype(float)
    served = reward * rng.random((N, N))  # the ranking that was served knows a part
    other = 0.5 * reward + rng.random((N, N))  # another one knows another part
    live, find = World(world), RetrievePeople.over(world, Plan())
    askers = [a for a in range(N) if len(eligible(live, a)) > 2 * LONG][:ASKERS]
    lists = np.array([best(other[a], eligible(live, a)) for a in askers])
    log: list[tuple[int, int, float, int]] = []
    for asker in askers:
        for draw in range(DRAWS):
            quest = begin(live, Asked(f"p{asker}", draw=draw), microseconds(START), 7)
            columns = find.one(quest)
            codes = columns[CANDIDATE]
            output = np.column_stack([served[asker, codes], np.full(len(codes), np.nan)])
            picked = PICK.one(columns, output, LONG)
            shown = zip(codes[picked.rows].tolist(), picked.propensity.tolist(), strict=True)
            log += [(asker, code, chance, draw) for code, chance in shown]
    request, item, chance, draw = (np.array(column) for column in zip(*log, strict=True))
    row_of = np.full(N, -1)
    row_of[askers] = np.arange(len(askers))
    told = off_policy(
        Logged(request, item, chance, reward[request, item], draw), lists, row_of, seed=7
    )
    truth = np.mean([reward[a, row] for a, row in zip(askers, lists, strict=True)])
    logged = reward[request, item].mean()
    for name in ("ips", "snips"):
        found = told[name]
        assert found.low < truth < found.high, (name, truth, found)  # type: ignore[union-attr]
        assert found.high - found.low < 0.25  # type: ignore[union-attr]
        assert abs(found.value - truth) < abs(logged - truth)  # type: ignore[union-attr]


def test_lists_and_not_their_places_are_counted() -> None:
    # one list of two: one place for the score, one by chance with 1/4; the other list holds both
    logged = Logged(
        np.array([0, 0]), np.array([5, 6]), np.array([1.0, 0.25]), np.ones(2), np.array([3, 3])
    )
    told = off_policy(logged, np.array([[5, 6]]), np.array([0]), seed=7)
    assert told["ips"].value == (1 + 4) / 2  # type: ignore[union-attr]
    apart = Logged(*(vars(logged)[name] for name in ("request", "item", "propensity", "reward")))
    assert off_policy(apart, np.array([[5, 6]]), np.array([0]), seed=7)["ips"].value == 5 / 4  # type: ignore[union-attr]


def best(scores: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return the codes of the highest scores."""
    return codes[np.argsort(-scores[codes])][:LONG]
