"""When a declared schedule fires next."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


def next_fire(schedule: str, after: datetime) -> datetime:
    """Return the first moment behind `after` that a schedule names, in UTC.

    Of APScheduler only the trigger is used: what is due follows from the runs that are on record,
    so that no thread has to be awake at the moment itself, and a watch that was down then, or one
    on another machine, still finds it due.

    Parameters
    ----------
    schedule
        `"sun 02:00"` or `"daily 02:00"`, as `[retrain]` declares it.

    Examples
    --------
    >>> next_fire("sun 02:00", datetime(2026, 3, 1, 2, tzinfo=UTC))
    datetime.datetime(2026, 3, 8, 2, 0, tzinfo=datetime.timezone.utc)
    """
    from apscheduler.triggers.cron import CronTrigger

    day, _, moment = schedule.partition(" ")
    hour, _, minute = moment.partition(":")
    trigger = CronTrigger(
        day_of_week="*" if day == "daily" else day, hour=int(hour), minute=int(minute), timezone=UTC
    )
    found: datetime = trigger.get_next_fire_time(None, after + timedelta(microseconds=1))
    return found
