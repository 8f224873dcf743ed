"""The breaker opens on a share of failures, probes one at a time, and closes again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from promise.clock import ManualClock
from promise.serving.breaker import Breaker


def broken(clock: ManualClock) -> Breaker:
    breaker = Breaker(clock)
    for _ in range(5):
        breaker.failed()
    return breaker


def test_a_few_failures_among_many_successes_leave_it_closed() -> None:
    breaker = Breaker(ManualClock())
    for _ in range(4):
        breaker.failed()
        for _ in range(3):
            breaker.ok()
    breaker.failed()
    assert breaker.state == "closed"


def test_it_opens_refuses_probes_and_closes() -> None:
    clock = ManualClock()
    breaker = broken(clock)
    assert breaker.state == "open"
    assert not breaker.allows()
    breaker.ok()  # a late answer from before it opened changes nothing
    clock.advance(5.0)
    assert breaker.state == "half-open"
    for _ in range(3):
        assert breaker.allows()
        assert not breaker.allows()  # one probe at a time
        breaker.ok()
    assert breaker.state == "closed"


def test_a_failed_probe_doubles_the_wait_up_to_a_minute() -> None:
    clock = ManualClock()
    breaker = broken(clock)
    waits = []
    for _ in range(6):
        waited = 0.0
        while not breaker.allows():
            clock.advance(1.0)
            waited += 1.0
        waits.append(waited)
        breaker.failed()
    assert waits == [5.0, 10.0, 20.0, 40.0, 60.0, 60.0]


def test_a_probe_whose_end_nobody_tells_does_not_block_for_ever() -> None:
    clock = ManualClock()
    breaker = broken(clock)
    clock.advance(5.0)
    assert breaker.allows()
    clock.advance(5.0)
    assert breaker.allows()


def test_old_failures_are_forgotten() -> None:
    clock = ManualClock()
    breaker = Breaker(clock)
    for _ in range(20):
        breaker.failed()
        clock.advance(4.0)
    assert breaker.state == "closed"


@given(st.lists(st.sampled_from(["ok", "failed", "wait"]), max_size=60))
def test_whatever_happens_an_open_breaker_asks_again_within_a_minute(events: list[str]) -> None:
    clock = ManualClock()
    breaker = Breaker(clock)
    for event in events:
        if event == "wait":
            clock.advance(1.0)
        elif breaker.allows():
            breaker.ok() if event == "ok" else breaker.failed()
    clock.advance(60.0)
    assert breaker.allows()
