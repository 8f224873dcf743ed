"""What happened since the version counts as if the version had been made after it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.workloads.matching.small_world import (
    START,
    anybody,
    folk,
    log,
    profile,
    profiles,
    world,
)

from promise.features.pairs import CAME, PAIR
from promise.features.people_profile import known_profile
from promise.pipeline.finding import Asked, Told
from promise.workloads.matching.content import WIDENING
from promise.workloads.matching.kinds import KINDS
from promise.workloads.matching.overlay import World, microseconds
from promise.workloads.matching.pick import CANDIDATE
from promise.workloads.matching.quest import begin
from promise.workloads.matching.retrieve import Plan
from promise.workloads.matching.stages import PairFeatures, RetrievePeople

N = 16
PEOPLE = folk(profiles(N))
LATER = START + timedelta(days=40)
EVENTS = st.lists(
    st.tuples(
        st.integers(0, N - 1).map("p{}".format),
        st.sampled_from(KINDS),
        st.integers(0, N - 1).map("p{}".format),
    ).filter(lambda one: one[0] != one[2]),
    max_size=40,
)


def read(here: World, who: str) -> dict[str, list[float]]:
    """Return what a ranker reads of everybody whom a person may meet, by id."""
    find = RetrievePeople.over(here.basis, Plan(rings=WIDENING))
    quest = begin(here, Asked(who), microseconds(LATER), find.seed)
    features = PairFeatures.over(find, mutual=True)
    found = find.one(quest)
    there, back = features.of(quest, found[CANDIDATE], found["source"])
    kept = [i for i, name in enumerate(PAIR) if name not in CAME]
    both = np.concatenate([there[:, kept], back[:, kept]], axis=1).tolist()
    return dict(zip(here.register.ids(found[CANDIDATE].tolist()), both, strict=True))


def same(found: dict[str, list[float]], expected: dict[str, list[float]]) -> bool:
    """Say whether the same is read of the same people."""
    return found.keys() == expected.keys() and all(
        np.array_equal(found[id], values, equal_nan=True) for id, values in expected.items()
    )


@pytest.mark.slow
@given(EVENTS, st.integers(0, 40), st.permutations(range(40)))
@settings(max_examples=40, deadline=None)
def test_an_overlay_equals_a_snapshot_made_later(events, cut, order) -> None:
    """With ties and late events: times are few, and what the log tells late happened early."""
    told = [
        replace(one, at=START + timedelta(days=order[i] % 10))
        for i, one in enumerate(log(events, first=1))
    ]
    told[cut:] = sorted(told[cut:], key=lambda one: (one.entity, one.at))  # each one's in order
    told[:cut] = sorted(told[:cut], key=lambda one: one.at)
    first = max([one.at for one in told[:cut]], default=START)
    told[cut:] = [replace(one, at=max(one.at, first)) for one in told[cut:]]
    told = [replace(one, number=i) for i, one in enumerate(told, 1)]
    online = world(PEOPLE, told[:cut])
    online.take(told[cut:])
    after = world(PEOPLE, sorted(told, key=lambda one: one.at))
    for who in ("p0", "p3", "p9"):
        expected, found = read(after, who), read(online, who)
        assert found.keys() == expected.keys()
        for id, values in expected.items():
            np.testing.assert_allclose(found[id], values, rtol=1e-6, err_msg=f"{who} → {id}")


def test_a_changed_profile_and_a_new_one_count_as_in_a_table_with_them() -> None:
    changes = {"p3": profile(501), "p7": profile(502), "x": profile(503)}
    online = world(PEOPLE)
    online.take([Told(i, id, "", "person", START, one) for i, (id, one) in
                 enumerate(changes.items(), 1)])  # fmt: skip
    after = world(folk(profiles(N) | changes))
    for who in (*profiles(N), "x"):
        expected, found = read(after, who), read(online, who)
        assert found.keys() == expected.keys()
        for id in expected:
            np.testing.assert_allclose(found[id], expected[id], rtol=1e-6, err_msg=f"{who} {id}")


def test_a_log_that_is_read_twice_changes_nothing() -> None:
    told = log([("p0", "like", "p1"), ("p1", "pass", "p2"), ("p0", "block", "p4")])
    once, twice = world(PEOPLE), world(PEOPLE)
    once.take(told)
    twice.take(told)
    twice.take(told)
    twice.take(told[1:])
    assert same(read(once, "p0"), read(twice, "p0"))
    assert once.number == twice.number == 3


@pytest.mark.parametrize(
    "strange",
    [
        Told(1, "p0", "p0", "like", START),
        Told(1, "p0", "", "like", START),
        Told(1, "p0", "p1", "wave", START),
        Told(1, "nobody", "", "forget", START),
        Told(1, "p0", "", "person", START, {"agee": 3}),
        Told(1, "p0", "", "person", START, {"age": "old"}),
    ],
)
def test_what_is_strange_changes_nothing_and_does_not_fail(strange) -> None:
    here, before = world(PEOPLE), read(world(PEOPLE), "p0")
    here.take([strange])
    assert here.number == 1
    assert same(read(here, "p0"), before)


def test_whoever_is_forgotten_is_gone_and_comes_back_as_somebody_new() -> None:
    here = world(folk(anybody(6)), log([("p0", "like", "p1"), ("p1", "like", "p0")]))
    here.take(log([("p2", "like", "p1"), ("p1", "block", "p3"), ("p1", "forget", "")]))
    assert here.register.code("p1") == -1
    for who in ("p2", "p3", "p4"):
        assert "p1" not in read(here, who)
    assert "p1" not in read(here, "p0")
    assert here.ties.history(here.register.code("p2"))[0].tolist() == []
    here.take(log([("p1", "person", "")], first=4))
    again = read(here, "p3")  # the old block went with the old person
    assert "p1" in again
    assert not any(again["p1"][PAIR.index(name)] for name in ("total_interactions", "received"))


def test_a_like_is_folded_into_the_taste_and_a_no_takes_it_back() -> None:
    everybody = folk(anybody(30))
    pairs = [(f"p{a}", "like", f"p{b}") for a in range(30) for b in range(30) if (a + b) % 5 == 1]
    here = world(everybody, log([one for one in pairs if one[0] != one[2]]), tastes=True)
    code = here.register.code("p4")
    before = here.vectors.take(np.array([code]))[0][0].copy()
    here.take(log([("p4", "super_like", "p9")]))
    here.vectors.refresh(code)
    after = here.vectors.take(np.array([code]))[0][0]
    source = here.basis.source
    assert source is not None
    np.testing.assert_array_equal(after, source.fold_in(*here.ties.history(code)))
    assert not np.array_equal(before, after)
    chosen = source.chosen[here.register.code("p9")]
    assert after @ chosen > before @ chosen
    here.take(log([("p4", "pass", "p9")], first=2, at=LATER))
    here.vectors.refresh(code)
    assert here.register.code("p9") not in here.ties.history(code)[0]


def test_somebody_new_is_found_by_taste_once_they_are_liked_and_gone_once_forgotten() -> None:
    everybody = folk(anybody(30))
    pairs = [(f"p{a}", "like", f"p{b}") for a in range(30) for b in range(30) if (a + b) % 5 == 1]
    here = world(everybody, log([one for one in pairs if one[0] != one[2]]), tastes=True)
    here.take([Told(1, "new", "", "person", START, profile(3) | {"gender": None, "seeks": None})])
    here.take(log([(f"p{a}", "like", "new") for a in (4, 9, 14)], first=2))
    code = here.register.code("new")
    here.vectors.refresh(code)
    assert here.vectors.index is not None
    query = here.vectors.take(np.array([19]))[0]  # p19 likes whom p4, p9 and p14 like
    assert code in here.vectors.index.search(query, 10)[0]
    here.take(log([("new", "forget", "")], first=5))
    assert code not in here.vectors.index.search(query, 31)[0]


def test_impressions_count_exposure_of_the_day_and_nothing_else() -> None:
    here, before = world(PEOPLE), read(world(PEOPLE), "p0")
    here.take(log([("p0", "impression", "p1")] * 3 + [("p4", "impression", "p2")]))
    codes = np.array([here.register.code(id) for id in ("p1", "p2", "p3")])
    assert here.counted.shown(codes, microseconds(START)).tolist() == [3, 1, 0]
    assert here.counted.shown(codes, microseconds(LATER)).tolist() == [0, 0, 0]
    assert same(read(here, "p0"), before)


def test_many_newcomers_find_room() -> None:
    here = world(folk(anybody(3)))
    here.take([Told(i, f"n{i}", "p0", "like", START) for i in range(1, 400)])
    here.take([Told(1000, "n399", "n398", "like", START)])
    assert len(read(here, "p1")) == 100  # of four hundred and one
    assert (
        here.counted.facts(np.array([here.register.code("n399")]), microseconds(START))[0, 0] == 2
    )


def test_of_a_profile_what_is_known_is_taken() -> None:
    here = world(folk(profiles(6)))
    told = {"age": 41, "city": "Rome", "shoes": "red", "interests": ["chess"], "lat": 600.0}
    here.take([Told(1, "p1", "", "person", START, told), Told(2, "eva", "", "person", START, told)])
    codes = np.array([here.register.code("p1"), here.register.code("eva")])
    assert here.register.take("age", codes).tolist() == [41, 41]
    words = here.register.lexicon.spelled("places")
    assert [words[code] for code in here.register.take("place", codes)] == ["Rome", "Rome"]
    profile, unread = known_profile(told)
    assert (profile.age, profile.interests) == (41.0, ("chess",))
    assert len(unread) == 2
    assert "no field 'shoes'" in unread[0]


def test_a_profile_that_says_what_is_known_leaves_a_person_where_they_lie() -> None:
    everybody = profiles(12)
    here = world(folk(everybody))
    here.take([Told(n, id, "", "person", START, one)
               for n, (id, one) in enumerate(everybody.items(), 1)])  # fmt: skip
    assert len(here.register.loose) == 0
    here.take([Told(99, "p3", "", "person", START, {**everybody["p3"], "age": 77})])
    assert here.register.ids(here.register.loose.tolist()) == ["p3"]
