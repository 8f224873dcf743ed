"""Moments as people say them: each way is read, and nonsense is one error in words."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promise.errors import ConfigError
from promise.records.moments import moment_of

NOW = datetime(2026, 11, 21, 12, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", "2026-11-21T12:30:00"),
        ("today", "2026-11-21T00:00:00"),
        ("Yesterday", "2026-11-20T00:00:00"),
        ("yesterday at 9:05", "2026-11-20T09:05:00"),
        ("1 hour ago", "2026-11-21T11:30:00"),
        ("90 minutes ago", "2026-11-21T11:00:00"),
        ("0s ago", "2026-11-21T12:30:00"),
        ("2h ago", "2026-11-21T10:30:00"),
        ("12:10", "2026-11-21T12:10:00"),
        ("13:40", "2026-11-20T13:40:00"),
        ("2026-11-21 10:00", "2026-11-21T10:00:00"),
        ("2026-11-21T10:00:00Z", "2026-11-21T10:00:00"),
        ("2026-11-21 10:00+02:00", "2026-11-21T08:00:00"),
        ("20261121", "2026-11-21T00:00:00"),
        ("1795264200", "2026-11-21T12:30:00"),
        ("1795264200.5", "2026-11-21T12:30:00.500000"),
    ],
)
def test_a_moment_is_read(text: str, expected: str) -> None:
    assert moment_of(text, NOW) == datetime.fromisoformat(expected).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "9999999999h ago", "3 parsecs ago", "25:00", "soon", "", "99999999999999", "2026-13-01",
        "0001-01-01T00:00:00+14:00",
    ],
)  # fmt: skip
def test_what_is_no_moment_is_told(text: str) -> None:
    with pytest.raises(ConfigError, match="is no moment; write for example"):
        moment_of(text, NOW)


@given(st.text(max_size=30))
def test_any_text_is_a_moment_or_told(text: str) -> None:
    with contextlib.suppress(ConfigError):
        assert moment_of(text, NOW).tzinfo is UTC
