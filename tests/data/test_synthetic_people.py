"""Generated people: the same for the same seed, with the tastes that were planted."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from promise.data.synthetic_people import Crowd, people_days, people_events, people_table

SMALL = Crowd(people=200, days=5, per_day=200, circles=4)


def test_the_same_seed_gives_the_same_people() -> None:
    assert people_table(SMALL).equals(people_table(SMALL))
    assert people_events(SMALL).equals(people_events(SMALL))
    assert not people_events(SMALL).equals(people_events(Crowd(200, 5, 200, 4, seed=8)))


def test_days_join_to_the_whole_in_order_of_time_without_selves() -> None:
    events = people_events(SMALL)
    assert pa.concat_tables(people_days(SMALL)).equals(events)
    at = events["at"].to_numpy()
    assert (np.diff(at) >= np.timedelta64(0)).all()
    assert not pc.any(pc.equal(events["person"], events["other"])).as_py()
    assert pc.count_distinct(events["event_id"]).as_py() == events.num_rows


def test_planted_people_are_liked_and_others_are_not() -> None:
    events = people_events(SMALL)
    who, whom = (
        np.array([int(id[1:]) for id in events[name].to_pylist()]) for name in ("person", "other")
    )
    kind = np.array(events["type"].to_pylist())
    likes = np.isin(kind, ("like", "super_like", "message"))
    decided = kind != "impression"
    planted = SMALL.planted_pair(who, whom)
    assert likes[decided & planted].mean() > 3 * likes[decided & ~planted].mean()


def test_logged_impressions_tell_position_and_propensity() -> None:
    events = people_events(SMALL)
    shown = events.filter(pc.equal(events["type"], "impression"))
    assert shown["position"].null_count == shown["propensity"].null_count == 0
    others = events.filter(pc.not_equal(events["type"], "impression"))
    assert others["propensity"].null_count == others.num_rows
