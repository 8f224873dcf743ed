"""Contributions beside the loop: what finds no time is counted, whatever the thread does."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from promise.serving import exact
from promise.serving.exact import ExactReasons


def test_what_is_owed_at_the_end_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread is busy for longer than anybody waits; closing ends nevertheless."""
    begun, go_on = threading.Event(), threading.Event()

    def slowly(self: Any, rows: Any) -> None:
        begun.set()
        go_on.wait()

    monkeypatch.setattr(ExactReasons, "_can_tell", lambda *_: True)
    monkeypatch.setattr(ExactReasons, "_tell", slowly)
    monkeypatch.setattr(exact, "_AT_ONCE", 1)
    dropped: list[str] = []
    reasons = ExactReasons(lambda: pytest.fail("nothing is told"), dropped.append)
    pipeline: Any = object()
    for number in range(5):
        reasons.add("guard", 1, f"a{number}", pipeline, np.zeros(3), 0.9)
        assert begun.wait(20)
    reasons.close(timeout_s=0.0)
    go_on.set()
    assert dropped == ["guard"] * 4


def test_the_oldest_that_find_no_room_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that nobody will ask about wait apart and are dropped without a word."""
    monkeypatch.setattr(exact, "MOST_OWED", 2)
    monkeypatch.setattr(ExactReasons, "_can_tell", lambda *_: True)
    monkeypatch.setattr(threading.Thread, "start", lambda self: None)
    dropped: list[str] = []
    reasons = ExactReasons(lambda: pytest.fail("nothing is told"), dropped.append)
    pipeline: Any = object()
    for number in range(5):
        reasons.add("guard", 1, f"a{number}", pipeline, np.zeros(3), 0.9)
        reasons.add("guard", 1, f"b{number}", pipeline, np.zeros(3), 0.1)
    assert (reasons.waiting, dropped) == (2, ["guard"] * 3)


def test_what_cannot_be_told_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A version that fails drops what it owed; what nobody will ask about is no loss."""
    told: list[int] = []

    def fails(self: Any, rows: Any) -> None:
        told.append(len(rows))
        raise ValueError("no contributions")

    monkeypatch.setattr(ExactReasons, "_can_tell", lambda *_: True)
    monkeypatch.setattr(ExactReasons, "_tell", fails)
    monkeypatch.setattr(exact, "_PAUSE_S", 0.0)
    all_counted, dropped = threading.Event(), list[str]()

    def count(model: str) -> None:
        dropped.append(model)
        if len(dropped) == 3:
            all_counted.set()

    reasons = ExactReasons(lambda: pytest.fail("nothing is told"), count)
    pipeline: Any = object()
    reasons.add("guard", 1, "b", pipeline, np.zeros(3), 0.1)
    for number in range(3):
        reasons.add("guard", 1, f"a{number}", pipeline, np.zeros(3), 0.9)
    assert all_counted.wait(20)
    reasons.close()
    assert dropped == ["guard"] * 3
