"""Profiles of mixed types become arrays; what people did is counted the same way everywhere."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promise.errors import DataError
from promise.features.people import EVERYBODY, NEVER_US, People, codes_of
from promise.features.people_activity import (
    DAY_US,
    FACTS,
    Activity,
    Encounters,
    facts_before,
)
from promise.features.people_ids import Roll, id_text
from promise.features.people_profile import Lexicon, people_of, read_profile
from promise.features.people_reading import read_people

TABLE = {
    "id": [7, 8, 9],
    "age": ["31", None, 44.5],
    "place": ["Oslo", None, "oslo"],
    "lat": [59.9, None, 59.8],
    "lon": [10.7, 1.0, 10.8],
    "gender": ["Female", "m", None],
    "seeks": ["men", "straight", None],
    "interests": ["Hiking; chess", "", "hiking,jazz"],
    "joined_at": ["2024-01-31", None, "2024-01-31T10:00:00+02:00"],
}


def read(**changes: object) -> People:
    """The three people, with other columns."""
    return read_people({**TABLE, **changes})


def test_what_is_told_is_read_and_what_is_not_is_missing() -> None:
    people = read()
    assert people.ids.tolist() == ["7", "8", "9"]
    np.testing.assert_array_equal(people.age, np.array([31, np.nan, 44.5], np.float32))
    assert people.place.tolist() == [0, -1, 0]
    assert people.words.places == ("Oslo",)
    assert np.isnan(people.position[1]).all()
    assert [people.words.genders[code] for code in people.gender[:2]] == ["f", "m"]
    assert people.gender[2] == -1
    assert [codes_of(row) for row in people.interests] == [[0, 1], [], [0, 2]]
    assert people.words.interests == ("Hiking", "chess", "jazz")
    assert people.joined_us[1] == NEVER_US
    assert people.joined_us[2] - people.joined_us[0] == 8 * 3_600_000_000
    np.testing.assert_allclose(people.completeness, [1.0, 0.4, 0.6])


def test_who_seeks_the_others_seeks_everybody_but_the_own_gender() -> None:
    people = read()
    f, m = (people.words.genders.index(name) for name in "fm")
    seeks = people.seeks.tolist()
    assert seeks[0] == 1 << m
    assert seeks[1] >> f & 1
    assert not seeks[1] >> m & 1
    assert seeks[2] == int(EVERYBODY)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"age": [31, 200, 4]}, "row 1: age 200 is none"),
        ({"age": [31, "old", 4]}, "row 1: age 'old' is no number"),
        ({"lat": [91, 0, 0]}, "row 0: lat"),
        ({"joined_at": ["soon", None, None]}, "row 0: joined 'soon' is no time"),
        ({"id": [7, 8, 7]}, "id '7' stands in rows 0 and 2"),
        ({"id": [7, None, 9]}, "row 1: None is no id"),
        ({"plaice": ["Oslo"] * 3}, "did you mean 'place'"),
        ({"age": [31]}, "'age' has 1 rows"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_row(changes: dict[str, object], said: str) -> None:
    with pytest.raises(DataError, match=said):
        read(**changes)


def test_people_without_anything_but_an_id_are_fine() -> None:
    people = read_people({"id": pa.array(["a", "b"])})
    assert np.isnan(people.age).all()
    assert (people.seeks == EVERYBODY).all()
    assert not people.completeness.any()
    assert read_people({"id": []}).n == 0


def test_a_row_and_a_table_read_the_same() -> None:
    people, extras = read(), {"height": [170, None, 180]}
    people = read_people(TABLE, extras=extras)
    rows = [
        {name: values[i] for name, values in {**TABLE, **extras}.items() if name != "id"}
        for i in range(3)
    ]
    profiles = {str(7 + i): read_profile(row, ("height",)) for i, row in enumerate(rows)}
    lexicon = Lexicon.over(people.words, most_interests=64)
    again = people_of(profiles, lexicon)
    for name, array in people.arrays.items():
        np.testing.assert_array_equal(again.arrays[name], array, err_msg=name)
    assert again.words == people.words


def test_an_unknown_field_of_a_profile_names_its_neighbour() -> None:
    with pytest.raises(DataError, match="'agee'; did you mean 'age'"):
        read_profile({"agee": 3})


def test_saved_people_come_back_mapped_and_changes_stay_in_the_process(tmp_path) -> None:
    people = read()
    people.save(tmp_path)
    mapped, own = People.load(tmp_path), People.load(tmp_path, "c")
    own.age[0] = 99
    for again in (mapped, People.load(tmp_path, None)):
        assert again.words == people.words
        for name, array in people.arrays.items():
            np.testing.assert_array_equal(again.arrays[name], array)
    assert own.age[0] == 99
    with pytest.raises(ValueError, match="read-only"):
        mapped.age[0] = 3


def test_grown_people_keep_their_codes_and_the_newest_profile_counts() -> None:
    first = read()
    more = read_people(
        {
            "id": ["9", "x"],
            "gender": ["nb", "f"],
            "seeks": ["gay", "nb"],
            "interests": [["go"], ["jazz", "chess"]],
            "place": ["Rome", "Oslo"],
        }
    )
    both = first.grown(more)
    assert both.ids.tolist() == ["7", "8", "9", "x"]
    words = both.words
    assert words.interests[:3] == first.words.interests
    told = [[words.interests[code] for code in codes_of(row)] for row in both.interests]
    assert told == [["Hiking", "chess"], [], ["go"], ["chess", "jazz"]]
    assert [words.genders[code] for code in both.gender] == ["f", "m", "nb", "f"]
    assert [words.places[code] for code in both.place[[0, 2, 3]]] == ["Oslo", "Rome", "Oslo"]
    nb = words.genders.index("nb")
    assert both.seeks[2] == 1 << nb
    assert int(both.seeks[1]) >> nb & 1  # who seeks all others seeks those that came later


@pytest.mark.slow
@given(st.lists(st.text(min_size=1, max_size=6).filter(lambda t: "\x00" not in t), unique=True))
@settings(max_examples=60, deadline=None)
def test_ids_are_found_and_strange_ones_are_not(ids: list[str]) -> None:
    roll = Roll.of(np.array(ids, dtype=np.str_))
    asked = [*ids, "never-there", "\U0001f600"]
    expected = [ids.index(one) if one in ids else -1 for one in asked]
    assert roll.rows(asked).tolist() == expected
    assert [roll.row(one) for one in asked] == expected


@pytest.mark.parametrize("value", ["", None, True, 1.5, "x" * 201, "a\x00"])
def test_what_names_nobody_is_no_id(value: object) -> None:
    with pytest.raises(DataError, match="is no id"):
        id_text(value)


def history(seed: int, n: int = 6, m: int = 120, days: int = 70) -> Encounters:
    """Events on few moments, so that many fall together."""
    rng = np.random.default_rng(seed)
    at = 19_000 * DAY_US + rng.integers(0, days * 4, m) * (DAY_US // 4)
    sign = rng.choice(np.array([1, -1, 0], np.int8), m)
    return Encounters(rng.integers(0, n, m), rng.integers(0, n, m), sign, at)


def facts_by_hand(all_: Encounters, who: int, at_us: int) -> list[float]:
    """The slow and readable twin: everything just before a moment."""
    before = all_.at_us < at_us
    made, got = before & (all_.actor == who), before & (all_.other == who)
    yes, no = (int((made & (all_.sign == s)).sum()) for s in (1, -1))
    liked, passed = (int((got & (all_.sign == s)).sum()) for s in (1, -1))
    today = at_us // DAY_US
    days = (all_.at_us // DAY_US)[made]
    active, streak = set(days.tolist()), 0
    day = today if today in active else today - 1
    while day in active:
        streak, day = streak + 1, day - 1
    return [
        yes + no, (yes + 1) / (yes + no + 2), int((days > today - 30).sum()), streak,
        liked + passed, (liked + 1) / (liked + passed + 2),
    ]  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
def test_a_replay_tells_what_a_slow_reader_counts(seed: int) -> None:
    past = history(seed)
    rng = np.random.default_rng(seed + 100)
    who = rng.integers(0, 6, 80)
    at = rng.choice(past.at_us, 80) + rng.integers(0, 2, 80)  # on ties and just after them
    found = facts_before(6, past, who, at)
    assert found.shape == (80, len(FACTS))
    for row in range(80):
        expected = facts_by_hand(past, int(who[row]), int(at[row]))
        np.testing.assert_allclose(found[row], np.float32(expected), rtol=1e-6)


@given(st.integers(0, 10_000), st.integers(1, 119))
@settings(max_examples=25, deadline=None)
def test_events_online_in_any_order_end_as_the_replay_does(seed: int, cut: int) -> None:
    past = history(seed)
    order = np.random.default_rng(seed).permutation(len(past.at_us))  # late events everywhere
    online = Activity.none(6)
    for part in (order[:cut], order[cut:]):
        online.count(Encounters(*(a[part] for a in vars(past).values())))
    at = np.full(6, int(past.at_us.max()) + 1)
    replayed = facts_before(6, past, np.arange(6), at)
    np.testing.assert_array_equal(online.facts(np.arange(6), at), replayed)


def test_counts_survive_saving_and_growing(tmp_path) -> None:
    state = Activity.of(6, history(1))
    state.save(tmp_path)
    at = np.full(6, 19_071 * DAY_US)
    grown = Activity.load(tmp_path, "c").grown(8)
    np.testing.assert_array_equal(grown.facts(np.arange(6), at), state.facts(np.arange(6), at))
    assert not grown.facts(np.array([7]), at[:1])[0, [0, 2, 3]].any()
    grown.forget(0)
    np.testing.assert_allclose(grown.facts(np.array([0]), at[:1])[0], [0, 0.5, 0, 0, 0, 0.5])
