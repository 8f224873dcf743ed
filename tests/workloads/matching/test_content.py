"""Candidates by likeness and by chance, beside readers that look at everybody."""

from __future__ import annotations

import numpy as np
import pytest
from tests.workloads.matching.small_world import START, anybody, basis, folk, log, profiles

from promise.pipeline.finding import Asked
from promise.workloads.matching import content, explore
from promise.workloads.matching.baselines import alike
from promise.workloads.matching.content import NEAR, WIDENING, Ring, most_alike
from promise.workloads.matching.explore import drawn
from promise.workloads.matching.overlay import World, microseconds
from promise.workloads.matching.quest import Quest, begin

N = 60
EVERYBODY = anybody(N)
PEOPLE = folk(EVERYBODY)
BASE = basis(PEOPLE)
EVERYWHERE = (Ring(None, False),)


def ask(who: str, draw: int = 0, here: World | None = None, **more: object) -> Quest:
    """Begin a request."""
    return begin(here or World(BASE), Asked(who, draw=draw, **more), microseconds(START), 7)


@pytest.mark.parametrize("who", range(0, N, 7))
def test_a_scan_finds_the_most_alike_of_everybody(who: int) -> None:
    scores = alike(PEOPLE, np.array([who]))[0]
    scores[who] = -1
    codes, found = most_alike(ask(f"p{who}"), EVERYWHERE, 10)
    np.testing.assert_allclose(found, np.sort(scores)[::-1][:10], rtol=1e-6)
    np.testing.assert_allclose(scores[codes], found, rtol=1e-6)
    assert len(set(codes.tolist())) == 10


@pytest.mark.parametrize("who", range(0, N, 7))
def test_the_first_ring_is_the_same_place_and_five_years(who: int) -> None:
    me = EVERYBODY[f"p{who}"]
    expected = {
        id
        for id, one in EVERYBODY.items()
        if id != f"p{who}"
        and (me["place"] is None or one["place"] == me["place"])
        and (me["age"] is None or (one["age"] is not None and abs(one["age"] - me["age"]) <= 5))
    }
    codes, _ = most_alike(ask(f"p{who}"), NEAR, N)
    assert {f"p{code}" for code in codes} == expected


def test_wider_rings_are_looked_at_only_while_too_few_are_found() -> None:
    quest = ask("p1")
    near, _ = most_alike(quest, NEAR, N)
    few, _ = most_alike(quest, WIDENING, len(near))
    assert set(few.tolist()) == set(near.tolist())
    more, _ = most_alike(quest, WIDENING, len(near) + 5)
    assert len(more) == len(near) + 5


def test_equals_are_not_always_shown_in_the_same_order() -> None:
    twins = {f"p{i}": EVERYBODY["p1"] for i in range(30)}
    here = World(basis(folk(twins)))
    first, _ = most_alike(ask("p0", 0, here), NEAR, 5)
    second, _ = most_alike(ask("p0", 1, here), NEAR, 5)
    again, _ = most_alike(ask("p0", 0, here), NEAR, 5)
    assert first.tolist() == again.tolist()
    assert first.tolist() != second.tolist()


def test_a_scan_never_looks_at_more_rows_than_it_may(monkeypatch) -> None:
    monkeypatch.setattr(content, "MOST_SCANNED", 12)
    starts, ends, _ = content._bounded(ask("p1").spans())
    assert 0 < (ends - starts).sum() <= 12
    codes, _ = most_alike(ask("p1"), EVERYWHERE, 5)
    assert len(codes) == 5


@pytest.mark.parametrize("small", [4096, 0])
def test_everybody_eligible_is_as_likely_to_be_drawn(monkeypatch, small: int) -> None:
    monkeypatch.setattr(explore, "SMALL", small)
    here = World(basis(PEOPLE, log([("p0", "pass", f"p{i}") for i in range(1, 11)])))
    here.take(log([("p0", "block", "p11"), ("new", "person", ""), ("p12", "forget", "")], first=1))
    taken = np.arange(13, 20)
    counts: dict[str, int] = {}
    for draw in range(400):
        found = drawn(ask("p0", draw, here), 4, taken)
        assert found.pool == N + 1 - 1 - 10 - 1 - 1 - 7  # with the new one, without all others
        for id in here.register.ids(found.codes.tolist()):
            counts[id] = counts.get(id, 0) + 1
    assert set(counts) == {"new", *(f"p{i}" for i in range(20, N))}
    expected = 400 * 4 / len(counts)
    assert sum((n - expected) ** 2 / expected for n in counts.values()) < 80  # chi², 40 free


@pytest.mark.parametrize("small", [4096, 0])
def test_who_was_changed_is_drawn_once_and_counted_once(monkeypatch, small: int) -> None:
    monkeypatch.setattr(explore, "SMALL", small)
    here = World(basis(PEOPLE))
    changed = [
        type(one)(one.number, one.entity, "", "person", one.at, EVERYBODY["p3"])
        for one in log([(f"p{i}", "person", "") for i in (5, 6, 5)])
    ]
    here.take(changed)
    found = drawn(ask("p0", 0, here), N, np.empty(0, np.int64))
    assert found.pool == N - 1
    assert len(set(found.codes.tolist())) == len(found.codes)
    filtered = drawn(ask("p0", 0, here, filters={"age": [20, 30]}), N, np.empty(0, np.int64))
    fits = [
        id
        for id, one in (EVERYBODY | dict.fromkeys(("p5", "p6"), EVERYBODY["p3"])).items()
        if id != "p0" and one["age"] is not None and 20 <= one["age"] <= 30
    ]
    assert filtered.pool == len(fits)


def test_a_draw_can_be_drawn_again() -> None:
    everybody = profiles(N, seed=3)
    here = World(basis(folk(everybody)))
    none = np.empty(0, np.int64)
    first, again = (drawn(ask("p2", 9, here), 6, none).codes.tolist() for _ in range(2))
    assert first == again
