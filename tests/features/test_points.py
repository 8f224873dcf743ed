"""A joined row holds what was known at its time; a slow twin and a database agree."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promise.errors import ConfigError, DataError
from promise.features.points import PointInTime

BY_CARD = PointInTime(on=("card",))


def facts_of(*rows: tuple[Any, ...]) -> pa.Table:
    """Return facts of (card, event_time, known_at, value)."""
    names = ("card", "event_time", "known_at", "value")
    kinds = (pa.string(), pa.int64(), pa.int64(), pa.string())
    columns = zip(*rows, strict=True) if rows else [()] * 4
    arrays = [pa.array(column, kind) for column, kind in zip(columns, kinds, strict=True)]
    return pa.table(dict(zip(names, arrays, strict=True)))


def rows_of(*rows: tuple[Any, ...]) -> pa.Table:
    return pa.table(
        {
            "card": pa.array([card for card, _ in rows], pa.string()),
            "at": pa.array([at for _, at in rows], pa.int64()),
        }
    )


def values(rows: pa.Table, facts: pa.Table, rule: PointInTime = BY_CARD) -> list[Any]:
    return list(rule.join(rows, facts, ["value"])["value"].to_pylist())


def test_a_row_gets_the_latest_fact_that_was_known() -> None:
    facts = facts_of(("a", 1, 1, "first"), ("a", 5, 5, "second"), ("b", 2, 2, "other"))
    rows = rows_of(("a", 0), ("a", 1), ("a", 4), ("a", 5), ("a", 99), ("b", 4), ("c", 4), (None, 4))
    found = BY_CARD.join(rows, facts, ["value", "known_at"])
    assert found["value"].to_pylist() == [
        None, "first", "first", "second", "second", "other", None, None,
    ]  # fmt: skip
    assert found["known_at"].to_pylist() == [None, 1, 1, 5, 5, 2, None, None]
    assert found.select(["card", "at"]).equals(rows)


def test_a_correction_counts_from_when_it_is_known_and_not_from_what_it_is_about() -> None:
    """The leak of joins on event time alone (feast-dev/feast#6615): at 15 they return "late"."""
    facts = facts_of(("a", 10, 10, "first"), ("a", 10, 20, "late"))
    rows = rows_of(("a", 9), ("a", 15), ("a", 19), ("a", 20), ("a", 30))
    assert values(rows, facts) == [None, "first", "first", "late", "late"]
    naive = duckdb.sql(
        "SELECT arg_max(value, (event_time, known_at)) FROM facts WHERE event_time <= 15"
    ).fetchall()
    assert naive == [("late",)]


def test_a_label_with_a_delay_is_not_seen_by_its_own_row() -> None:
    """A label window that includes the current row gives an average precision of .995, faked."""
    day = 86_400_000_000
    labels = facts_of(*(("a", i * day, (i + 7) * day, f"of day {i}") for i in range(20)))
    rows = rows_of(*(("a", i * day) for i in range(20)))
    assert values(rows, labels) == [None] * 7 + [f"of day {i}" for i in range(13)]
    leaking = PointInTime(on=("card",), known_at=None)
    assert values(rows, labels, leaking) == [f"of day {i}" for i in range(20)]


def test_a_fact_known_before_it_happens_counts_from_its_time() -> None:
    facts = facts_of(("a", 10, 2, "planned"))
    assert values(rows_of(("a", 5), ("a", 10)), facts) == [None, "planned"]


def test_an_old_fact_learned_late_does_not_hide_a_newer_one() -> None:
    facts = facts_of(("a", 10, 10, "newer"), ("a", 5, 12, "older, told late"))
    assert values(rows_of(("a", 11), ("a", 12), ("a", 50)), facts) == ["newer"] * 3


MOMENTS = st.integers(0, 8)
FACT = st.tuples(
    st.sampled_from(["a", "b", None]),
    st.one_of(st.none(), MOMENTS),
    st.one_of(st.none(), MOMENTS),
)
ROW = st.tuples(st.sampled_from(["a", "b", "c", None]), MOMENTS)


def slowly(rows: pa.Table, facts: pa.Table, known: bool = True) -> list[Any]:
    """Join by looking at every fact for every row."""
    found = []
    for row in rows.to_pylist():
        best: tuple[Any, ...] | None = None
        for place, fact in enumerate(facts.to_pylist()):
            times = [fact["event_time"], *([fact["known_at"]] if known else [])]
            usable = row["card"] is not None and row["card"] == fact["card"] and None not in times
            if usable and max(times) <= row["at"]:
                known_at = max(times)
                best = max(best or (-1,), (fact["event_time"], known_at, place, fact["value"]))
        found.append(None if best is None else best[-1])
    return found


@pytest.mark.slow
@given(st.lists(FACT, max_size=14), st.lists(ROW, max_size=14), st.booleans())
@settings(deadline=None, max_examples=300)
def test_the_join_agrees_with_looking_at_every_fact(
    facts: list[Any], rows: list[Any], known: bool
) -> None:
    table = facts_of(*((*fact, f"#{i}") for i, fact in enumerate(facts)))
    spine = rows_of(*rows)
    rule = PointInTime(on=("card",), known_at="known_at" if known else None)
    assert values(spine, table, rule) == slowly(spine, table, known)


def test_a_database_finds_the_same_over_pairs_and_timestamps() -> None:
    rng = np.random.default_rng(5)
    n, m = 3000, 2000
    start = np.datetime64("2026-01-01", "us")
    spread_us = 10**9
    happened = start + rng.integers(0, spread_us, n).astype("timedelta64[us]")
    facts = pa.table(
        {
            "card": rng.integers(0, 40, n),
            "shop": pa.array([f"s{i}" for i in rng.integers(0, 5, n)]).dictionary_encode(),
            "event_time": pa.array(happened),
            "known_at": pa.array(
                happened + rng.integers(0, spread_us // 5, n).astype("timedelta64[us]")
            ),
            "value": np.arange(n),
        }
    )
    rows = pa.table(
        {
            "row": np.arange(m),
            "card": rng.integers(0, 45, m),
            "shop": [f"s{i}" for i in rng.integers(0, 6, m)],
            "at": pa.array(start + rng.integers(0, spread_us, m).astype("timedelta64[us]")),
        }
    )
    expected = duckdb.sql(
        "SELECT arg_max(f.value, f.event_time) FROM rows r LEFT JOIN facts f ON r.card = f.card "
        "AND r.shop = f.shop AND f.event_time <= r.at AND f.known_at <= r.at "
        "GROUP BY r.row ORDER BY r.row"
    ).fetchall()
    found = PointInTime(on=("card", "shop")).join(rows, facts, ["value"])["value"].to_pylist()
    assert found == [value for (value,) in expected]
    assert sum(value is not None for value in found) > 500


def test_one_moment_for_all_rows_and_a_bound_on_age() -> None:
    def at(hour: int) -> datetime:
        return datetime(2026, 1, 1, hour, tzinfo=UTC)

    facts = pa.table(
        {
            "card": ["a", "b"],
            "event_time": pa.array([at(1), at(7)], pa.timestamp("s", "UTC")),
            "known_at": pa.array([at(2), at(8)], pa.timestamp("ms", "Europe/Paris")),
            "value": ["x", "y"],
        }
    )
    rows = pa.table({"card": ["a", "b"]})
    join = {hour: values(rows, facts, PointInTime(on=("card",), at=at(hour))) for hour in (1, 2, 8)}
    assert join == {1: [None, None], 2: ["x", None], 8: ["x", "y"]}
    aged = PointInTime(on=("card",), at=at(8), max_age=timedelta(hours=7))
    assert values(rows, facts, aged) == ["x", "y"]
    short = PointInTime(on=("card",), at=at(8), max_age=timedelta(hours=6, minutes=59))
    assert values(rows, facts, short) == [None, "y"]


def test_a_finer_time_is_not_rounded_to_a_coarser_one() -> None:
    facts = pa.table(
        {
            "card": ["a"],
            "event_time": pa.array([1_000_000_001], pa.timestamp("ns")),
            "known_at": pa.array([1], pa.timestamp("s")),
            "value": ["x"],
        }
    )
    rows = pa.table({"card": ["a", "a"], "at": pa.array([1, 2], pa.timestamp("s"))})
    assert values(rows, facts) == [None, "x"]
    far = pa.table({"card": ["a"], "at": pa.array([10**11], pa.timestamp("s"))})
    with pytest.raises(DataError, match="cannot be told in ns"):
        BY_CARD.places(far, facts)


def test_empty_tables_join() -> None:
    assert values(rows_of(), facts_of(("a", 1, 1, "x"))) == []
    assert values(rows_of(("a", 1)), facts_of()) == [None]
    assert values(rows_of(("a", 1)), facts_of((None, 1, 1, "x"), ("a", None, 1, "y"))) == [None]


def test_what_cannot_be_joined_is_told_in_words() -> None:
    rows, facts = rows_of(("a", 1)), facts_of(("a", 1, 1, "x"))
    with pytest.raises(DataError, match=r"the facts have no column 'known_at'.*known_at=None"):
        values(rows, facts.drop_columns(["known_at"]))
    with pytest.raises(DataError, match="the rows have no column 'at'"):
        values(rows.drop_columns(["at"]), facts)
    with pytest.raises(DataError, match="did you mean 'value'"):
        BY_CARD.join(rows, facts, ["valu"])
    with pytest.raises(ConfigError, match="a column 'card' already"):
        BY_CARD.join(rows, facts, ["card"])
    with pytest.raises(DataError, match="row 2 has no time"):
        values(rows_of(("a", 1), ("a", None)), facts)
    numbers = facts.set_column(0, "card", pa.array([7]))
    with pytest.raises(DataError, match="large_string in the rows and int64 in the facts"):
        values(rows, numbers)
    naive = rows.set_column(1, "at", pa.array([1], pa.timestamp("us")))
    with pytest.raises(DataError, match="all with a zone, all without, or whole numbers"):
        values(naive, facts)
    texts = rows.set_column(1, "at", pa.array(["2026-01-01"]))
    with pytest.raises(DataError, match="of type string; expected timestamps"):
        values(texts, facts)
    with pytest.raises(ConfigError, match="a list of entity columns"):
        PointInTime(on="card")
    with pytest.raises(ConfigError, match="names no time zone"):
        PointInTime(on=("card",), at=datetime(2026, 1, 1))  # noqa: DTZ001
    with pytest.raises(ConfigError, match="duration"):
        PointInTime(on=("card",), max_age=timedelta(-1))
    with pytest.raises(ConfigError, match="timestamps, not whole numbers"):
        PointInTime(on=("card",), max_age=timedelta(1)).places(rows, facts)
