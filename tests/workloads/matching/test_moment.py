"""What is learned from is what is served: the two ways to the features of a pair agree."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from promise.data.columns import Columns
from promise.data.source import open_source
from promise.job import Job
from promise.models.base import MATRIX
from promise.models.implicit import ImplicitFactors
from promise.pipeline.order import Order
from promise.workloads.matching.arena import Arena, best, interest, mutual_interest
from promise.workloads.matching.ground import Ground, lay_ground
from promise.workloads.matching.kinds import LIKE, PASS
from promise.workloads.matching.ladder import Rung, climb
from promise.workloads.matching.lists import Lists
from promise.workloads.matching.moment import Moment
from promise.workloads.matching.ranker import BACK, calibrated, platt
from promise.workloads.matching.reference import REFERENCE_PLAN
from promise.workloads.matching.rules import joint, mutual_yes
from promise.workloads.matching.stages import CANDIDATE, CHOOSER, SOURCE


@pytest.fixture(scope="module")
def ground(people_path: str, events: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> Ground:
    """Return the world as it is read."""
    work = tmp_path_factory.mktemp("ground")
    return lay_ground(open_source(events), Order("x", work, people=people_path))


@pytest.fixture(scope="module")
def arena(ground: Ground) -> Arena:
    """Return what was known before the last period."""
    return Arena(ground.people, ground.deeds.before(ground.cut.test_us))


def test_learned_and_served_features_agree_to_the_last_bit(ground: Ground, arena: Arena) -> None:
    model = ImplicitFactors(size=8, sweeps=2).fit(arena.likes, Job(7))
    moment = Moment(arena, ground.cut.test_us, model)
    requests = arena.requests(ground.deeds.between(ground.cut.test_us, None), Job(7).rng())
    seen = Lists.of(moment, requests.take(np.arange(10)), REFERENCE_PLAN, 7)
    a, b, source = (seen.columns[name] for name in (CHOOSER, CANDIDATE, SOURCE))
    assert np.array_equal(seen.columns[MATRIX], moment.features(a, b, source), equal_nan=True)
    assert np.array_equal(seen.columns[BACK], moment.features(b, a, source), equal_nan=True)


def test_candidates_are_eligible_and_their_own_requests(ground: Ground, arena: Arena) -> None:
    moment = Moment(arena, ground.cut.test_us, None)
    requests = arena.requests(ground.deeds.between(ground.cut.test_us, None), Job(7).rng())
    seen = Lists.of(moment, requests, REFERENCE_PLAN, 7)
    eligible = arena.eligible(requests.rows)
    for row, codes in enumerate(seen.codes):
        assert eligible[row, codes[codes >= 0]].all()
    assert np.array_equal(requests.rows[seen.request_of], seen.columns[CHOOSER])
    assert seen.wanted.sum() <= requests.wanted.counts.sum()


def test_what_was_decided_before_is_neither_offered_nor_wanted(
    ground: Ground, arena: Arena
) -> None:
    later = ground.deeds.between(ground.cut.test_us, None)
    requests = arena.requests(later, Job(7).rng())
    for place, row in enumerate(requests.rows[:40].tolist()):
        wanted = requests.wanted.items[requests.wanted.requests == place]
        assert not set(wanted.tolist()) & set(arena.closed.row(row)[0].tolist())


def test_both_directions_of_interest(ground: Ground) -> None:
    people, rows = ground.people, np.arange(12)
    everyone = np.arange(people.n)
    found = mutual_interest(people, rows)
    for row in rows.tolist():
        one = np.full(people.n, row)
        both = interest(people, one, everyone) & interest(people, everyone, one)
        assert np.array_equal(found[row], both)


def test_a_later_no_takes_a_yes_back(arena: Arena, ground: Ground) -> None:
    likes = arena.before.take(arena.before.kind == LIKE).take(slice(0, 1))
    a, b = int(likes.chooser[0]), int(likes.chosen[0])
    pair = arena.before.take((arena.before.chooser == a) & (arena.before.chosen == b))
    last = pair.kind[-1]
    assert (b in arena.likes.row(a)[0]) == (last != PASS)


def test_matches_are_yeses_of_both(ground: Ground, arena: Arena) -> None:
    later = ground.deeds.between(ground.cut.test_us, None)
    requests = arena.requests(later, Job(7).rng())
    matches = mutual_yes(requests, arena, later)
    everything = Arena(ground.people, ground.deeds).likes
    assert 0 < len(matches.items) <= len(requests.wanted.items)
    ever = {
        (a, b)
        for a in range(ground.people.n)
        for one in (arena.likes, everything)
        for b in one.row(a)[0].tolist()
    }
    pairs = zip(matches.items.tolist(), requests.rows[matches.requests].tolist(), strict=True)
    assert sum(pair in ever for pair in pairs) >= 0.95 * len(matches.items)


def test_rules_by_hand() -> None:
    there, back = np.array([0.8, 0.4, 0.5]), np.array([0.2, 0.4, np.nan])
    assert joint(there, back, "one_sided").tolist() == [0.8, 0.4, 0.5]
    assert joint(there, back, "product").tolist() == pytest.approx([0.16, 0.16, 0.5])
    assert joint(there, back, "harmonic").tolist() == pytest.approx([0.32, 0.4, 0.5])


def test_calibration_holds_and_keeps_the_order() -> None:
    rng = np.random.default_rng(3)
    raw = rng.random(4_000)
    yes = rng.random(4_000) < 0.5 * raw
    slope, offset = platt(raw, yes)
    chance = calibrated(raw, slope, offset)
    assert abs(chance.mean() - yes.mean()) < 0.01
    assert np.array_equal(np.argsort(chance), np.argsort(raw))
    assert platt(raw, np.ones(4_000)) == (1.0, 0.0)


def test_a_rung_is_climbed_only_on_a_sure_win() -> None:
    rng = np.random.default_rng(5)
    low = rng.random(300)
    rungs = [
        Rung("heuristic", "nothing", True, low),
        Rung("tie", "", True, low + rng.normal(0, 0.5, 300)),
        Rung("win", "", True, low + 0.2),
        Rung("lean", "much", False),
    ]
    told, reached = climb(rungs, measured=True, seed=7)
    assert [one.reached for one in told] == [True, False, True, False]
    assert reached == "win"
    assert "needs much" in told[-1].why
    assert climb(rungs, measured=False, seed=7)[1] == "win"
    assert climb(rungs[:2], measured=False, seed=7)[1] == "tie"


def test_best_places_are_stable_and_padded() -> None:
    scores = np.array([[1.0, 3.0, 3.0], [-np.inf, -np.inf, 2.0]], np.float32)
    assert best(scores, 4).tolist() == [[1, 2, 0, -1], [2, -1, -1, -1]]


def test_lists_of_groups_hold_only_the_group(ground: Ground) -> None:
    group = np.arange(ground.people.n) % 6
    arena = Arena(ground.people, ground.deeds.take(slice(0, 0)), group)
    requests = arena.requests(ground.deeds, Job(7).rng()).take(np.arange(5))
    seen = Lists.of(Moment(arena, 0, None), requests, REFERENCE_PLAN, 7)
    a, b = seen.columns[CHOOSER], seen.columns[CANDIDATE]
    assert (group[a] == group[b]).all()
    assert isinstance(seen.columns, Columns)
