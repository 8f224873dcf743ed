"""Who ends when a bound is reached, without any process."""

from __future__ import annotations

import threading
from typing import Any

from promise.engine.bounds import DYING_S, Bounds
from promise.engine.handle import LocalHandle


def handle(
    number: int, *, deadline_s: float | None = None, memory_mb: float | None = None
) -> LocalHandle[Any]:
    return LocalHandle(
        f"work {number}", number, None, deadline_s, memory_mb, 1, threading.Condition()
    )


def ended(bounds: Bounds, held: dict[int, float], total_mb: float, **given: Any) -> list[int]:
    running = given.get("running") or {number: handle(number) for number in held}
    return [o.handle.number for o in bounds.heavy(running, held, total_mb, now=100.0)]


def test_the_newest_that_suffices_ends_else_the_largest() -> None:
    bounds = Bounds(memory_mb=1000.0, grace_s=2.0)
    assert ended(bounds, {1: 300.0, 2: 300.0, 3: 50.0}, 1000.0) == []
    assert ended(bounds, {1: 300.0, 2: 300.0, 3: 50.0}, 1200.0) == [2]
    assert ended(bounds, {1: 300.0, 2: 200.0}, 2000.0) == [1]
    assert ended(Bounds(None, 2.0), {1: 300.0}, 1e9) == []


def test_nothing_more_ends_while_memory_is_on_its_way_back() -> None:
    running = {1: handle(1), 2: handle(2)}
    running[1].killed, running[1].killed_s = ("memory", "why"), 100.0 - DYING_S / 2
    bounds, held = Bounds(1000.0, 2.0), {1: 300.0, 2: 300.0}
    assert ended(bounds, held, 1200.0, running=running) == []
    running[1].killed_s = 100.0 - 2 * DYING_S
    assert ended(bounds, held, 1200.0, running=running) == [2]


def test_work_over_its_own_memory_ends_alone() -> None:
    running = {1: handle(1, memory_mb=100.0), 2: handle(2)}
    assert ended(Bounds(None, 2.0), {1: 101.0, 2: 900.0}, 1001.0, running=running) == [1]
    assert ended(Bounds(1000.0, 2.0), {1: 101.0, 2: 900.0}, 1001.0, running=running) == [1]


def test_deadlines_have_a_grace_once_work_has_started() -> None:
    bounds = Bounds(None, grace_s=2.0)
    running, queue = {1: handle(1, deadline_s=10.0)}, [handle(2, deadline_s=10.0), handle(3)]
    told = [[o.handle.number for o in bounds.late(running, queue, now)] for now in (9, 11, 13)]
    assert told == [[], [2], [1, 2]]
