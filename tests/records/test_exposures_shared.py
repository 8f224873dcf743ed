"""Machines that share a database know of each other's lists, once, whatever is told again."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from promise.clock import ManualClock
from promise.records.exposures_shared import SharedShowings
from promise.records.forgetting import Forgetting
from promise.state.database import Database

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


pytestmark = pytest.mark.slow


def at(database: Database, machine: str, model: str = "meet") -> SharedShowings:
    return SharedShowings(database, model, machine)


def test_each_machine_hears_of_the_others_lists_once(database: Database) -> None:
    one, two, three = (at(database, name) for name in ("one", "two", "three"))
    one.tell({"ann": 2, "bob": 1}, NOON)
    two.tell({"ann": 1}, NOON)
    assert three.news(NOON) == {"ann": 3, "bob": 1}
    assert one.news(NOON) == {"ann": 1}
    one.tell({"bob": 4}, NOON)
    assert three.news(NOON) == {"bob": 4}
    assert three.news(NOON) == Counter()
    assert at(database, "four").news(NOON) == {"ann": 3, "bob": 5}  # who comes later hears of all
    assert at(database, "two", "other").news(NOON) == Counter()


def test_what_a_machine_tells_again_after_a_restart_changes_nothing(database: Database) -> None:
    other = at(database, "other")
    at(database, "one").tell({"ann": 3}, NOON)
    assert other.news(NOON) == {"ann": 3}
    again = at(database, "one")
    for n in (1, 1, 1, 1):  # the day's log is read anew, part by part
        again.tell({"ann": n}, NOON)
    assert other.news(NOON) == {"ann": 1}


def test_a_day_begins_with_nobody_shown_and_leaves_nothing_behind(database: Database) -> None:
    one, other = at(database, "one"), at(database, "other")
    one.tell({"ann": 3}, NOON)
    tomorrow = NOON + timedelta(days=1)
    assert other.news(tomorrow) == Counter()
    one.tell({"bob": 1}, tomorrow)
    assert other.news(tomorrow) == {"bob": 1}
    with database.reading() as connection:
        kept = connection.execute(sa.text("SELECT id FROM shown_today")).scalars().all()
    assert kept == ["bob"]


def test_what_could_not_be_told_is_told_the_next_time_once(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = at(database, "one"), at(database, "other")
    one.tell({"ann": 1}, NOON)
    with monkeypatch.context() as broken:
        broken.setattr(Database, "run", lambda *_: (_ for _ in ()).throw(OSError("away")))
        with pytest.raises(OSError, match="away"):
            one.tell({"ann": 2}, NOON)
    one.tell({"ann": 2}, NOON)
    assert other.news(NOON) == {"ann": 3}


def test_who_is_deleted_is_gone_and_not_told_of_again(database: Database, tmp_path: Path) -> None:
    one = at(database, "one")
    one.tell({"ann": 1, "bob": 1}, NOON)
    Forgetting(database, tmp_path, ManualClock()).forget("meet", "ann")
    one.tell({"ann": 1, "bob": 1}, NOON)
    assert at(database, "other").news(NOON) == {"bob": 2}
