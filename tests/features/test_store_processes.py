"""Processes that share a store see one order of events, and a kill leaves no half of one."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.features.places import Place, fold, folded, joined, shared

from promise.features.stores.folding import fold_long_tails

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")


def in_processes(n: int, work: Callable[..., None], *arguments: Any) -> None:
    """Run `work` in n processes at once; every one of them must end well."""
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=work, args=(*arguments, i)) for i in range(n)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=60)
    assert [worker.exitcode for worker in workers] == [0] * n


def send(place: Place, n: int, notes: Path, who: int) -> None:
    """Send events to overlapping entities, fold now and then, note what was held before each."""
    place = replace(place, opened=[], databases=[])
    store = place.open()
    keys = ["a", "b", "c"][:: 1 if who % 2 else -1]
    with (notes / str(who)).open("w") as file:
        for i in range(n):
            # one in five is sent by everybody
            event = f"all-{i}" if i % 5 == 0 else f"{who}-{i}"
            seen = store.exchange(event, i, keys, event.encode())
            for key, one in zip(keys, seen, strict=True):
                before = b",".join(joined(one)).decode() if one.exact else "?"
                file.write(f"{key} {event} {int(one.duplicate)} {before}\n")
            if i % 7 == who:
                fold_long_tails(store, keys, seen, folded, limit=4)
    place.close()


@pytest.mark.slow
@shared
def test_processes_at_once_see_one_order_of_events(place: Place, tmp_path: Path) -> None:
    place.open()
    notes = tmp_path / "notes"
    notes.mkdir()
    in_processes(4, send, place, 30, notes)
    final = {
        key: [payload.decode() for payload in joined(state)]
        for key, state in zip("abc", place.opened[0].read(list("abc")), strict=True)
    }
    for key in "abc":
        assert len(final[key]) == len(set(final[key])) == 6 + 4 * 24
    counted = 0
    for note in notes.iterdir():
        for line in note.read_text().splitlines():
            key, event, duplicate, before = line.split(" ")
            counted += not int(duplicate)
            if before != "?":
                # exactly the events that stand before it, whoever sent them
                stood = final[key][: final[key].index(event)]
                assert before.split(",") == stood if stood else before == ""
    assert counted == 3 * (6 + 4 * 24)


def compact_often(place: Place, n: int, who: int) -> None:
    """Half of the processes append, half fold what they read."""
    place = replace(place, opened=[], databases=[])
    store = place.open()
    for i in range(n):
        if who % 2:
            store.exchange(f"{who}-{i}", i, ["a"], b"%d-%d" % (who, i))
        else:
            (state,) = store.read(["a"])
            if state.tail:
                store.compact("a", state.version, fold(state.snapshot, state.tail))
    place.close()


@pytest.mark.slow
@shared
def test_compactions_at_once_lose_and_double_nothing(place: Place) -> None:
    place.open()
    in_processes(4, compact_often, place, 40)
    found = joined(place.opened[0].read(["a"])[0])
    assert len(found) == len(set(found)) == 80
    for who in (1, 3):
        mine = [payload for payload in found if payload.startswith(b"%d-" % who)]
        assert mine == [b"%d-%d" % (who, i) for i in range(40)]


def send_until_killed(place: Place, told: Any) -> None:
    store = replace(place, opened=[], databases=[]).open()
    for i in range(100_000):
        store.exchange(f"e{i}", i, ["a", "b", "c"], b"%d" % i)
        told.send(i)


@pytest.mark.slow
@shared
@pytest.mark.parametrize("after", [1, 17, 40])
def test_a_kill_leaves_each_event_with_all_of_its_entities_or_none(
    place: Place, after: int
) -> None:
    store = place.open()
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    sender = context.Process(target=send_until_killed, args=(place, theirs))
    sender.start()
    theirs.close()
    last = -1
    with contextlib.suppress(EOFError):
        while True:
            last = ours.recv()
            if last >= after:
                sender.kill()
    sender.join(30)
    assert sender.exitcode == -signal.SIGKILL
    # a server may still be at work on what was sent before the kill: another exchange waits for it
    store.exchange("after", 0, ["a", "b", "c"], b"end")
    lists = [joined(one) for one in store.read(["a", "b", "c"])]
    assert lists[0] == lists[1] == lists[2]
    kept = len(lists[0]) - 1
    assert last + 1 <= kept <= last + 2
    # the event that was never acknowledged is sent again and counts once
    store.exchange(f"e{last + 1}", 0, ["a", "b", "c"], b"again")
    assert len(joined(store.read(["b"])[0])) == last + 3
