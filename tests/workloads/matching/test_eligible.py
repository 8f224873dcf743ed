"""Nobody who may not be met is ever shown, and everybody who may be is found."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.workloads.matching.small_world import (
    START,
    anybody,
    basis,
    eligible,
    folk,
    log,
    profiles,
    world,
)

from promise.errors import DataError
from promise.pipeline.finding import Asked
from promise.workloads.matching.content import WIDENING
from promise.workloads.matching.kinds import KINDS
from promise.workloads.matching.overlay import World, microseconds
from promise.workloads.matching.quest import begin
from promise.workloads.matching.retrieve import Plan, retrieve

N = 24
EVERYBODY = profiles(N)
PEOPLE = folk(EVERYBODY)
BASE = basis(PEOPLE, log([("p0", "like", "p5"), ("p1", "block", "p2")]))
PLAN = Plan(rings=WIDENING)  # a hundred candidates: everybody who is eligible is one of them
EVENTS = st.lists(
    st.tuples(
        st.integers(0, N - 1).map("p{}".format),
        st.sampled_from(KINDS),
        st.integers(0, N - 1).map("p{}".format),
    ),
    max_size=25,
)


def found(here: World, asked: Asked) -> list[str]:
    """Return everybody who could be shown."""
    codes = retrieve(begin(here, asked, microseconds(START), 7), PLAN).codes
    return here.register.ids(codes.tolist())


@given(EVENTS, st.integers(0, 25), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_whatever_happens_in_whatever_order_exactly_the_eligible_are_found(
    events: list[tuple[str, str, str]], cut: int, chance: object
) -> None:
    events = [one for one in events if one[0] != one[2]]
    here = world(PEOPLE, log(events[:cut]))
    later = log(events[cut:], first=1)
    chance.shuffle(later)  # type: ignore[attr-defined]
    here.take([type(one)(i, *list(vars(one).values())[1:]) for i, one in enumerate(later, 1)])
    for who in ("p0", "p3", "p7"):
        ids = found(here, Asked(who))
        assert len(ids) == len(set(ids))
        assert set(ids) == eligible(EVERYBODY, who, events)


@pytest.mark.parametrize("who", sorted(EVERYBODY))
def test_eligibility_holds_in_both_directions(who: str) -> None:
    here = World(BASE)
    for other in found(here, Asked(who)):
        assert who in found(here, Asked(other)) or who == "p0"  # p0 liked p5 already


def test_a_block_hides_both_from_each_other_at_once() -> None:
    here = world(folk(anybody(4)))
    assert set(found(here, Asked("p0"))) == {"p1", "p2", "p3"}
    here.take(log([("p0", "block", "p1")]))
    assert set(found(here, Asked("p0"))) == {"p2", "p3"}
    assert set(found(here, Asked("p1"))) == {"p2", "p3"}


def test_somebody_blocked_before_they_are_known_stays_blocked() -> None:
    here = world(folk(anybody(3)))
    here.take(log([("p0", "block", "late")]))
    assert "late" not in found(here, Asked("p1"))  # only heard of
    here.take(log([("late", "person", "")], first=2))
    assert "late" in found(here, Asked("p1"))
    assert "late" not in found(here, Asked("p0"))
    assert "p0" not in found(here, Asked("late"))


FILTERED = [
    ({"place": "oslo"}, lambda one: one["place"] == "Oslo"),
    ({"place": ["Oslo", "Rome"]}, lambda one: one["place"] is not None),
    ({"place": "Atlantis"}, lambda one: False),
    ({"age": [25, 35]}, lambda one: one["age"] is not None and 25 <= one["age"] <= 35),
    ({"age": "30.."}, lambda one: one["age"] is not None and one["age"] >= 30),
    ({"gender": "women"}, lambda one: one["gender"] == "f"),
    ({"interests": "chess, go"}, lambda one: {"chess", "go"} & set(one["interests"].split(";"))),
    (
        {"place": "Rome", "age": [None, 30], "interests": ["jazz"]},
        lambda one: one["place"] == "Rome" and (one["age"] or 99) <= 30
        and "jazz" in one["interests"],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("filters", "fits"), FILTERED)
@pytest.mark.parametrize("loose", [False, True])
def test_filters_keep_exactly_who_fits(filters, fits, loose) -> None:
    everybody = anybody(N)
    here = world(folk(everybody))
    if loose:  # the same people, told anew: the layout no longer holds them
        here.take(
            [
                type(one)(one.number, one.entity, "", "person", one.at, everybody[one.entity])
                for one in log([(id, "person", "") for id in everybody])
            ]
        )
    expected = {id for id, one in everybody.items() if id != "p0" and fits(one)}
    assert set(found(here, Asked("p0", filters=filters))) == expected


def test_distance_and_further_numbers_are_filters_too() -> None:
    from promise.features.people_reading import read_people

    people = read_people(
        {"id": ["a", "b", "c", "d"], "lat": [59.9, 59.8, 41.9, None], "lon": [10.7, 10.6, 12.5, 0]},
        extras={"height": [170, 180, 160, 175]},
    )
    here = world(people)
    assert found(here, Asked("a", filters={"distance_km": 50})) == ["b"]
    assert set(found(here, Asked("a", filters={"height": [170, 200]}))) == {"b", "d"}


@pytest.mark.parametrize(
    ("filters", "said"),
    [
        ({"plaice": "Oslo"}, "no filter 'plaice'; did you mean 'place'"),
        ({"age": [40, 20]}, "is empty"),
        ({"age": [1, 2, 3]}, "is no range"),
        ({"age": "young"}, "is no number"),
    ],
)
def test_a_filter_that_cannot_be_read_is_refused(filters, said) -> None:
    with pytest.raises(DataError, match=said):
        found(World(BASE), Asked("p0", filters=filters))


def test_those_left_out_this_time_are_left_out_and_strange_ids_do_no_harm() -> None:
    here = world(folk(anybody(4)))
    assert found(here, Asked("p0", exclude=("p1", "nobody", "p3"))) == ["p2"]


def test_a_stranger_who_tells_nothing_is_shown_whom_anybody_may_seek() -> None:
    here = World(BASE)
    assert set(found(here, Asked("stranger"))) == set(EVERYBODY)
    told = Asked(None, profile={"gender": "f", "seeks": "m"})
    me = {"gender": "f", "seeks": "m"}
    from tests.workloads.matching.small_world import seeks

    expected = {id for id, one in EVERYBODY.items() if seeks(me, one) and seeks(one, me)}
    assert set(found(here, told)) == expected
    assert np.all([EVERYBODY[id]["gender"] == "m" for id in expected])


def test_who_seeks_a_gender_that_nobody_has_finds_nobody() -> None:
    assert found(World(BASE), Asked(None, profile={"gender": "f", "seeks": "robots"})) == []
