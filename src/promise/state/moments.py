"""Times as the database keeps them: text whose order is the order of time."""

from __future__ import annotations

from datetime import UTC, datetime

from promise.errors import ConfigError


def to_text(moment: datetime) -> str:
    """Return a moment as UTC text of fixed width, so that sorting texts sorts times.

    Examples
    --------
    >>> to_text(datetime(2026, 1, 2, tzinfo=UTC))
    '2026-01-02T00:00:00.000000+00:00'
    """
    if moment.tzinfo is None:
        raise ConfigError(
            f"{moment.isoformat()} names no time zone; write for example {moment.isoformat()}Z."
        )
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def from_text(text: str) -> datetime:
    """Return the moment that `to_text` wrote.

    Examples
    --------
    >>> from_text(to_text(datetime(2026, 1, 2, tzinfo=UTC)))
    datetime.datetime(2026, 1, 2, 0, 0, tzinfo=datetime.timezone.utc)
    """
    return datetime.fromisoformat(text)


def maybe_text(moment: datetime | None) -> str | None:
    """Return a moment as text, or None for none."""
    return None if moment is None else to_text(moment)


def maybe_moment(text: str | None) -> datetime | None:
    """Return the moment of a text, or None for none."""
    return None if text is None else from_text(text)
