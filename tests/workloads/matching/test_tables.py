"""Reading people, events and decided pairs: roles, ids, and what is left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from promise.data.source import open_source
from promise.errors import ConfigError, DataError
from promise.pipeline.order import Order
from promise.workloads.matching.ground import Ground, lay_ground
from promise.workloads.matching.kinds import BLOCK, LIKE, PASS
from promise.workloads.matching.pairs import pair_table
from promise.workloads.matching.roles import event_roles, people_roles
from promise.workloads.matching.tables import read_events

IDS = np.array(["1", "2", "3"], dtype=object)


def events(**columns: Any) -> pa.Table:
    """Return a table of events; times are one minute apart."""
    n = len(columns["person"])
    at = np.datetime64("2024-01-01", "us") + 60_000_000 * np.arange(n).astype("timedelta64[us]")
    return pa.table({"at": at, "type": ["like"] * n, **columns})


def read(table: pa.Table, **named: str) -> Any:
    """Read events of the three people."""
    return read_events(open_source(table), named, IDS)


def test_ids_are_one_whether_integers_floats_or_text() -> None:
    for person in ([1, 2], [1.0, 2.0], ["1", " 2 "]):
        deeds, left, _ = read(events(person=person, other=["2", "3"]))
        assert deeds.chooser.tolist() == [0, 1]
        assert left.sentences() == ()


def test_selves_strangers_repetitions_and_missing_times_are_counted() -> None:
    table = pa.table(
        {
            "event_id": ["a", "b", "c", "d", "a", "e"],
            "person": ["1", "2", "1", "1", "1", "2"],
            "other": ["1", "9", "2", "3", "2", "3"],
            "type": ["like", "like", "like", "like", "like", "pass"],
            "at": ["2024-01-01", "2024-01-01", "2024-01-02", "", "2024-01-03", "2024-01-01"],
        }
    )
    deeds, left, _ = read(table)
    assert (left.selves, left.unknown, left.no_time, left.repeated) == (1, 1, 1, 0)
    assert deeds.kind.tolist() == [PASS, LIKE, LIKE]
    assert len(left.sentences()) == 3


def test_events_without_ids_that_repeat_in_every_field_count_once_in_any_order() -> None:
    table = events(person=["1", "2", "1"], other=["2", "3", "3"])
    twice = pa.concat_tables([table, table.take([2, 0])])
    once, _, _ = read(table)
    again, left, _ = read(twice.take([4, 3, 2, 1, 0]))
    assert left.repeated == 2
    assert again.chooser.tolist() == once.chooser.tolist()


def test_an_event_sent_again_by_its_id_counts_once() -> None:
    table = events(person=["1", "1"], other=["2", "2"], event_id=["x", "x"])
    deeds, left, _ = read(table)
    assert (deeds.n, left.repeated) == (1, 1)


def test_an_unknown_kind_names_its_row_and_a_near_one() -> None:
    table = events(person=["1", "2"], other=["2", "3"]).set_column(
        1, "type", pa.array(["like", "blok"])
    )
    with pytest.raises(DataError, match=r"row 1: there is no event of type 'blok'.*'block'"):
        read(table)


def test_profiles_and_deletions_in_the_events_are_about_one_alone() -> None:
    table = events(person=["1", "2"], other=[None, None]).set_column(
        1, "type", pa.array(["person", "forget"])
    )
    deeds, left, _ = read(table)
    assert (deeds.n, left.profiles, left.forgotten) == (0, 2, ("2",))


def test_columns_are_told_by_name_or_named_and_near_misses_are_asked_for() -> None:
    assert people_roles(("UserId", "user_id", "sex"), {}, "p")["gender"] == "sex"
    named = {"a": "entity", "b": "other", "c": "type", "d": "at"}
    assert event_roles(("a", "b", "c", "d"), named, "e")["other"] == "b"
    with pytest.raises(DataError, match=r"did you mean 'persn'.*--column entity=NAME"):
        event_roles(("persn", "other", "type", "at"), {}, "events")
    with pytest.raises(ConfigError, match="are named as the entity"):
        event_roles(("a", "b"), {"a": "entity", "b": "entity"}, "events")


def order(**terms: Any) -> Order:
    """Return an order that only reading looks at."""
    return Order("x", Path("unused"), **terms)


def test_a_role_that_nobody_has_is_refused(tmp_path: Path) -> None:
    source = open_source(events(person=["1"], other=["2"]))
    with pytest.raises(ConfigError, match=r"there is no role 'plaec'.*'place'"):
        lay_ground(source, order(columns={"person": "plaec"}))
    with pytest.raises(DataError, match="there is no column 'nobody'"):
        lay_ground(source, order(columns={"nobody": "entity"}))


def test_too_few_decisions_are_refused_in_words() -> None:
    source = open_source(events(person=["1", "2"], other=["2", "1"]))
    with pytest.raises(DataError, match=r"there are 2 decisions.*at least 30"):
        lay_ground(source, order())


def many(n: int = 200, **more: Any) -> pa.Table:
    """Return events among ten people."""
    rng = np.random.default_rng(1)
    who = rng.integers(0, 10, n)
    other = (who + rng.integers(1, 10, n)) % 10
    return events(person=who.tolist(), other=other.tolist(), **more)


def ground_of(people: pa.Table, tmp_path: Path, table: pa.Table) -> Ground:
    """Lay the ground of a table of people and one of events."""
    import pyarrow.parquet as pq

    pq.write_table(people, tmp_path / "people.parquet")
    return lay_ground(open_source(table), order(people=str(tmp_path / "people.parquet")))


def test_people_without_age_place_or_interests_are_fine(tmp_path: Path) -> None:
    people = pa.table({"id": list(range(10)), "age": [None, *range(20, 29)]})
    ground = ground_of(people, tmp_path, many())
    assert ground.people.n == 10
    assert np.isnan(ground.people.age[0])
    assert ground.deeds.n > 150


def test_interests_may_be_lists_json_or_joined(tmp_path: Path) -> None:
    for one in (["chess", "jazz"], '["chess", "jazz"]', "chess; jazz", "chess,jazz"):
        people = pa.table({"id": list(range(10)), "interests": [one] * 10})
        ground = ground_of(people, tmp_path, many())
        assert set(ground.people.words.interests) == {"chess", "jazz"}


def test_a_profile_that_comes_twice_is_as_it_was_told_last(tmp_path: Path) -> None:
    people = pa.table({"id": [*range(10), 3], "age": [30.0] * 10 + [44.0]})
    ground = ground_of(people, tmp_path, many())
    assert ground.people.age[ground.people.ids.tolist().index("3")] == 44


def test_without_profiles_everybody_is_known_by_their_events() -> None:
    ground = lay_ground(open_source(many()), order())
    assert ground.people.n == 10
    assert "no profiles" in ground.told[0]


def test_whoever_is_to_be_forgotten_is_not_learned_of(tmp_path: Path) -> None:
    terms = {"forgotten": lambda ids: {id for id in ids if id == "4"}}
    ground = lay_ground(open_source(many()), order(**terms))
    assert "4" not in ground.people.ids.tolist()
    assert ground.left.unknown > 0


def test_decided_pairs_read_only_what_was_known_before() -> None:
    table = pa.table(
        {
            "iid": [1, 1, 2, 2, 3, 3],
            "wave": [1] * 6,
            "pid": [2, 3, 1, 3, 1, 2],
            "samerace": [0, 1, 0, 1, 1, 1],
            "age": [30, 30, 41, 41, 28, 28],
            "dec_o": [1, 0, 1, 0, 1, 0],
            "dec": [1, 0, 1, 1, 0, 0],
            "like": [7, 2, 8, 6, 1, 3],
            "satis_2": [5, 5, 6, 6, 4, 4],
        }
    )
    pairs = pair_table(table, {}, "evening")
    assert pairs.profiles.column_names == ["iid", "age"]
    assert pairs.roles["group"] == "wave"
    named = pair_table(table, {"satis_2": "extra"}, "evening")
    assert "satis_2" in named.profiles.column_names


def test_pairs_without_time_or_group_cannot_be_cut() -> None:
    table = pa.table({"iid": [1, 2] * 30, "pid": [2, 1] * 30, "dec": [1, 0] * 30})
    with pytest.raises(DataError, match="neither when decisions were taken nor which belong"):
        lay_ground(open_source(table), order())


def test_blocks_are_kept_apart_from_decisions() -> None:
    kinds = ["block" if i % 10 == 0 else "like" for i in range(200)]
    ground = lay_ground(open_source(many(type=kinds)), order())
    assert (ground.deeds.kind == BLOCK).sum() > 0
    assert ground.n_yes == (ground.deeds.kind == LIKE).sum()
