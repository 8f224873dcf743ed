"""Schedules fire at the next moment they name, as plain arithmetic on dates says too."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from promise.retraining.schedule import next_fire

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def by_hand(day: str, hour: int, minute: int, after: datetime) -> datetime:
    """Walk from minute to minute of each day until one is named: slow and plain."""
    found = after.replace(hour=hour, minute=minute, second=0, microsecond=0)
    while found <= after or day not in ("daily", DAYS[found.weekday()]):
        found += timedelta(days=1)
    return found


@given(
    day=st.sampled_from(("daily", *DAYS)),
    hour=st.integers(0, 23),
    minute=st.integers(0, 59),
    after=st.floats(1.6e9, 2.2e9).map(lambda seconds: datetime.fromtimestamp(seconds, UTC)),
)
def test_as_arithmetic_on_dates_says(day: str, hour: int, minute: int, after: datetime) -> None:
    found = next_fire(f"{day} {hour:02}:{minute:02}", after)
    assert found == by_hand(day, hour, minute, after)


def test_the_moment_itself_is_over() -> None:
    sunday = datetime(2026, 3, 1, 2, tzinfo=UTC)
    assert next_fire("sun 02:00", sunday) == sunday + timedelta(days=7)
    assert next_fire("sun 02:00", sunday - timedelta(microseconds=1)) == sunday
    assert next_fire("daily 02:00", sunday) == sunday + timedelta(days=1)
