"""A finder follows the log in pages and bounds; what it gives again is never out of date."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pytest
import sqlalchemy as sa
from tests.state.frozen import frozen_way

from promise.clock import ManualClock
from promise.errors import StateError
from promise.pipeline.finding import Asked, Told
from promise.records.events import Events
from promise.records.forgotten import Forgotten
from promise.serving import finding
from promise.serving.finding import Follower, Found
from promise.serving.kept_lists import KeptLists
from promise.state.database import Database

pytestmark = pytest.mark.anyio


class Counting:
    """Answers with how often it was asked."""

    def __init__(self, number: int = 0) -> None:
        self.number, self.asked = number, 0
        self.pages: list[list[int]] = []

    def take(self, events: Sequence[Told]) -> None:
        self.pages.append([event.number for event in events])
        self.number = max([self.number, *self.pages[-1]])

    def find(self, asked: Asked, at: datetime) -> dict[str, Any]:
        self.asked += 1
        return {"items": [{"id": f"{self.asked}"}]}

    def similar(self, id: str, limit: int, at: datetime) -> dict[str, Any]:
        return {"items": []}

    def follow_from(self) -> int:
        return 0


def told(n: int, first: int = 0, **more: Any) -> list[dict[str, Any]]:
    return [
        {"event_id": f"e{first + i}", "entity": f"p{i}", "other": "x", "type": "like", **more}
        for i in range(n)
    ]


@pytest.mark.slow
def test_the_log_is_followed_in_pages_past_what_other_models_told(database: Database) -> None:
    clock, finder = ManualClock(), Counting()
    events = Events(database, clock)
    events.add("meet", told(1_500))
    events.add("other", told(20))
    events.add("meet", told(700, 1_500))
    follower = Follower("meet", finder, events, clock)
    assert follower.follow(0.0) is False  # no time: one page, and the rest later
    assert follower.number == 1_000
    assert follower.follow(1.0) is True
    assert follower.number == events.head() == 2_220
    taken = [number for page in finder.pages for number in page]
    assert taken == [*range(1, 1_501), *range(1_521, 2_221)]
    assert follower.follow(1.0) is True
    assert sum(map(len, finder.pages)) == 2_200
    later = Follower("meet", Counting(2_219), events, clock)
    assert later.follow(1.0) is True
    assert later.number == 2_220


@pytest.mark.slow
def test_a_database_that_hangs_is_not_waited_for_long(
    postgres_schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finding, "_HEAD_S", 0.2)
    url = sa.make_url(postgres_schema)
    with frozen_way(url.host or "127.0.0.1", url.port or 5432) as way:
        there = url.set(host="127.0.0.1", port=way.port)
        database = Database(there.render_as_string(hide_password=False))
        events, clock = Events(database), ManualClock()
        events.add("meet", told(2))
        follower = Follower("meet", Counting(), events, clock)
        assert follower.follow(1.0) is True
        way.freeze()
        assert follower.follow(1.0) is False
        way.thaw()
        assert follower.follow(1.0) is True
        database.close()


async def test_a_list_is_given_again_until_something_happens_or_its_time_is_over() -> None:
    clock, finder = ManualClock(), Counting()
    events = Events(Database("sqlite://"), clock)
    follower = Follower("meet", finder, events, clock, lifetime_s=600.0)

    async def ask(id: str | None = "ann", **more: Any) -> str:
        clock.advance(1.0)
        now_s = clock.monotonic()
        found = await follower.answer(
            Asked(id, **more), clock.now(), asked_s=now_s, until_s=now_s + 1
        )
        return str(found.items[0]["id"])

    assert [await ask(), await ask(draw=5)] == ["1", "1"]
    assert [await ask(limit=3), await ask(filters={"age": [1, 2]}), await ask("bob")] == [
        "2", "3", "4",
    ]  # fmt: skip
    assert [await ask(None), await ask(None), await ask(profile={})] == ["5", "6", "7"]
    events.add("meet", [{"event_id": "a", "entity": "ann", "other": "x", "type": "like"}])
    assert [await ask(), await ask("bob")] == ["8", "4"]
    events.add("meet", [{"event_id": "b", "entity": "ann", "other": "bob", "type": "block"}])
    assert [await ask("bob"), await ask()] == ["9", "10"]
    clock.advance(601)
    assert await ask() == "11"


@pytest.mark.slow
async def test_requests_that_waited_for_a_long_log_do_not_wait_again_each() -> None:
    clock = ManualClock()

    class Slow(Counting):
        def take(self, events: Sequence[Told]) -> None:
            super().take(events)
            clock.advance(0.7)

    events = Events(Database("sqlite://"), clock)
    events.add("meet", told(5_000))
    follower = Follower("meet", Slow(), events, clock)
    asked_s = clock.monotonic() + 0.1
    clock.advance(0.2)
    found = []
    for _ in range(3):
        found.append(
            await follower.answer(Asked("ann"), clock.now(), asked_s=asked_s, until_s=asked_s + 10)
        )
    assert [one.stale for one in found] == [True, True, True]
    assert follower.number == 2_000  # one of them followed, for a second
    clock.advance(0.1)
    for _ in range(2):
        now_s = clock.monotonic()
        again = await follower.answer(Asked("ann"), clock.now(), asked_s=now_s, until_s=now_s + 10)
    assert again.stale is False


async def test_nobody_is_shown_before_it_is_known_who_was_deleted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, events = ManualClock(), Events(Database("sqlite://"))
    follower = Follower("meet", Counting(), events, clock)

    async def ask() -> Found:
        clock.advance(1.0)
        now_s = clock.monotonic()
        return await follower.answer(Asked(None), clock.now(), asked_s=now_s, until_s=now_s + 1)

    def away(*_: Any, **__: Any) -> Any:
        raise OSError("gone")

    with monkeypatch.context() as patched:
        patched.setattr(Forgotten, "digests", away)
        with pytest.raises(StateError, match="who was deleted could not be read"):
            await ask()
    assert (await ask()).stale is False
    monkeypatch.setattr(Events, "told_since", away)
    assert (await ask()).stale is True


def test_long_questions_count_where_lists_are_kept() -> None:
    kept = KeptLists(ManualClock(), 600.0, limit_mb=0.01)
    kept.put("ann", b"?" * 9_000, b"x")
    kept.put("bob", b"?" * 9_000, b"x")
    assert kept.get("ann", b"?" * 9_000) is None
    assert kept.get("bob", b"?" * 9_000) == b"x"
    kept.clear()
    assert kept.get("bob", b"?" * 9_000) is None
    for id in ("ann", "ann", "bob"):
        kept.put(id, b"?", b"x" * 4_000)
    assert kept.get("ann", b"?") is not None


def test_kept_lists_are_bounded() -> None:
    kept = KeptLists(ManualClock(), 600.0, limit_mb=0.01)
    for number in range(50):
        kept.put(f"p{number}", b"?", b"x" * 100)
    held = [number for number in range(50) if kept.get(f"p{number}", b"?") is not None]
    assert held == list(range(30, 50)) or (held[-1] == 49 and len(held) < 25)
    KeptLists(ManualClock(), 0.0).put("ann", b"?", b"x")
