"""The calendar of a time column: known answers, and never a trend."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from promise.kernels.encoding import encode, fit_encoding
from promise.kernels.encoding_calendar import ROUNDS, calendar_parts, calendar_terms

HOURS = np.datetime64("2023-01-02", "us") + np.arange(24 * 740) * np.timedelta64(1, "h")
PLAN: dict[str, Any] = {
    "categories": "ordinal", "onehot_limit": 8, "numbers": "raw", "missing_indicators": False,
    "dates": True, "text": "none", "text_size": 0, "arithmetic": [], "crosses": [],
    "calendar": ["when"],
}  # fmt: skip
FIELDS = [{"name": "when", "type": "date", "role": "input"}]


def state_of(times: Any, **plan: Any) -> dict[str, Any]:
    columns, y = {"when": times}, np.arange(len(times), dtype=np.float64)
    return fit_encoding(columns, FIELDS, y, 0, np.arange(len(times)), {**PLAN, **plan}, seed=7)


@pytest.mark.parametrize(
    ("hours", "parts"),
    [
        (47, []),
        (48, ["hour"]),
        (24 * 13, ["hour"]),
        (24 * 14, ["hour", "weekday"]),
        (24 * 60, ["hour", "weekday", "day"]),
        (24 * 729, ["hour", "weekday", "day"]),
        (24 * 730, list(ROUNDS)),
    ],
)
def test_a_part_is_read_once_it_came_round_twice(hours: int, parts: list[str]) -> None:
    assert calendar_parts(HOURS[:hours]) == parts


def test_days_have_no_hour() -> None:
    assert calendar_parts(HOURS[::24]) == ["weekday", "day", "month", "day of year"]


def test_a_stray_date_makes_no_year_of_a_fortnight() -> None:
    stray = np.array(["1970-01-01", "2099-12-31", "NaT"], dtype="M8[us]")
    assert calendar_parts(np.append(HOURS[: 24 * 14], stray)) == ["hour", "weekday"]
    assert calendar_parts(stray[2:]) == []


def test_two_distant_winters_are_no_two_years() -> None:
    winters = np.append(HOURS[: 24 * 20], HOURS[24 * 100 : 24 * 120])
    assert "month" not in calendar_parts(winters)


def test_another_date_beside_the_time_keeps_its_own_parts() -> None:
    columns = {"when": HOURS[: 24 * 14], "signed": HOURS[: 24 * 14] - np.timedelta64(90, "D")}
    fields = [*FIELDS, {"name": "signed", "type": "date", "role": "input"}]
    y = np.arange(24 * 14.0)
    state = fit_encoding(columns, fields, y, 0, np.arange(24 * 14), PLAN, seed=7)
    of_time = [name for name in state["names"] if "when" in name]
    assert of_time == ["when hour", "when weekday"]
    assert "signed day number" in state["names"]


def test_the_role_of_a_time_does_not_matter_where_the_plan_names_it() -> None:
    ordered = [{**FIELDS[0], "role": "time"}]
    y = np.arange(48.0)
    state = fit_encoding({"when": HOURS[:48]}, ordered, y, 0, np.arange(48), PLAN, seed=7)
    assert state["names"] == state_of(HOURS[:48])["names"] == ["when hour"]


@given(
    start=st.integers(-(10**17), 10**17),
    span_s=st.integers(1, 10**9),
    numbers=st.sampled_from(["raw", "standard", "quantile", "both", "mean"]),
    n=st.integers(1, 300),
)
def test_no_term_has_a_trend(start: int, span_s: int, numbers: str, n: int) -> None:
    """Rows are alike a whole number of rounds later: 400 years repeat the calendar exactly."""
    rng = np.random.default_rng(n)
    times = (start + rng.integers(0, span_s * 10**6, n)).astype("M8[us]")
    state = state_of(times, numbers=numbers)
    assert not any("number" in name or "year" in name.split("day of year")[0]
                   for name in state["names"])  # fmt: skip
    later = times + np.timedelta64(146_097, "D")
    assert encode({"when": later}, state).tolist() == encode({"when": times}, state).tolist()


@given(st.lists(st.integers(0, 10**16), min_size=1, max_size=60), st.booleans())
def test_terms_are_parts_and_perhaps_their_cycles(numbers: list[int], cycles: bool) -> None:
    times = np.array(numbers).astype("M8[us]")
    terms = calendar_terms(times, "when", cycles=cycles)
    assert [part for _, part in terms if part in ROUNDS] == calendar_parts(times)
    assert cycles or len(terms) == len(calendar_parts(times))
