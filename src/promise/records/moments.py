"""Moments as people say them: `2h ago`, `yesterday 13:40`, `2026-11-21 10:00`."""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta

from promise.errors import ConfigError

_AGO = re.compile(r"(\d{1,12}(?:\.\d{1,6})?)\s*([a-z]+)\s+ago|(\d{1,12}(?:\.\d{1,6})?)([a-z]+)ago")
_DAY = re.compile(r"(today|yesterday)(?:\s+(?:at\s+)?(\d{1,2}:\d{2}(?::\d{2})?))?")
_TIME = re.compile(r"\d{1,2}:\d{2}(?::\d{2})?")
_EPOCH_S = re.compile(r"@?\d{9,11}(?:\.\d{1,6})?")
_SPANS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1.0),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86_400.0),
    **dict.fromkeys(("w", "week", "weeks"), 604_800.0),
}


def moment_of(given: datetime | str, now: datetime) -> datetime:
    """Return a moment in UTC from what a person writes.

    `now`; `2h ago`, `90 minutes ago`; `today` and `yesterday`, from their first second on or with
    a time behind them; `13:40`, the last time that it was so; ISO 8601, in UTC where no zone is
    given; seconds since 1970.

    Raises
    ------
    ConfigError
        When it is none of these, or before the year 1.

    Examples
    --------
    >>> now = datetime(2026, 11, 21, 12, tzinfo=UTC)
    >>> for text in ("2h ago", "yesterday", "yesterday 13:40", "13:40", "2026-11-21 10:00+02:00"):
    ...     print(moment_of(text, now).isoformat())
    2026-11-21T10:00:00+00:00
    2026-11-20T00:00:00+00:00
    2026-11-20T13:40:00+00:00
    2026-11-20T13:40:00+00:00
    2026-11-21T08:00:00+00:00
    """
    try:
        found = given if isinstance(given, datetime) else _read(given.strip().lower(), now)
        if found is not None:
            return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise ConfigError(
        f"{str(given)!r:.80} is no moment; write for example '2026-11-21 10:00' (UTC), '13:40', "
        "'yesterday' or '2h ago'."
    )


def _read(text: str, now: datetime) -> datetime | None:
    if text == "now":
        return now
    if ago := _AGO.fullmatch(text):
        span_s = _SPANS.get(ago[2] or ago[4])
        return None if span_s is None else now - timedelta(seconds=float(ago[1] or ago[3]) * span_s)
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if day := _DAY.fullmatch(text):
        begun = today if day[1] == "today" else today - timedelta(days=1)
        return begun if day[2] is None else _at(begun, day[2])
    if _TIME.fullmatch(text):
        found = _at(today, text)
        return found if found <= now else found - timedelta(days=1)
    if _EPOCH_S.fullmatch(text):
        return datetime.fromtimestamp(float(text.removeprefix("@")), UTC)
    return datetime.fromisoformat(text.upper())


def _at(day: datetime, text: str) -> datetime:
    return datetime.combine(
        day, time.fromisoformat(text.zfill(5 if text.count(":") == 1 else 8)), UTC
    )
