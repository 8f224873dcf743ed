"""A check of what was served finds what differs, and says what it cannot tell."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from promise.data.columns import Columns
from promise.features.declare import Count, Mean, Value
from promise.features.event import Event
from promise.features.feed import Feed
from promise.features.keyed import Keyed
from promise.features.model_views import ModelViews
from promise.features.seen_log import Seen, SeenLog, read_seen
from promise.features.served import check_served
from promise.features.sets import FeatureSet
from promise.features.states import states
from promise.features.store import Entry
from promise.features.stores.memory import MemoryStore
from promise.features.view import FeatureView
from promise.settings import Settings

KEYED = Keyed(
    FeatureSet(
        (
            FeatureView("now", (), (Value("amount"),)),
            FeatureView("card", ("entity",), (Count("1h"), Mean("amount", "1d"))),
            FeatureView("shop", ("other",), (Count("1d"),)),
        )
    ),
    {"id": "tx", "time": "when", "entity": "card", "other": "shop", "amount": "eur"},
)
VIEWS = ModelViews("guard", {1: KEYED})
MINUTE = 60_000_000


def served(n: int, store: MemoryStore | None = None, start: int = 0) -> list[Seen]:
    """Return what a worker logs of events."""
    store, lines = store or MemoryStore(), []
    for k in range(n):
        at = (start + k) * MINUTE
        event = Event(f"t{start + k}", at, {"entity": f"c{k % 3}", "other": f"s{k % 2}"}, 1.5 * k)
        keys = VIEWS.keys(event)
        held = dict(
            zip(keys, store.exchange(event.id, event.at, keys, event.packed()), strict=True)
        )
        vector = VIEWS.vector(1, event, held).astype(np.float32)
        before = {key: one.version for key, one in held.items()}
        lines.append(Seen(event.id, "event", at, event, before, 1, vector))
    return lines


def test_any_order_of_lines_is_put_right() -> None:
    """Two workers write two files: the versions tell what came first."""
    lines = served(60)
    shuffled = [lines[k] for k in np.random.default_rng(1).permutation(60)]
    late = [replace(one, at=0) for one in shuffled]  # clocks that nobody can trust
    found = check_served(VIEWS, late)
    assert found.holds
    assert (found.rows, found.events) == (60, 60)
    assert not found.left_out


def test_a_feature_that_differs_is_named() -> None:
    """By how much, where first, and in how many rows."""
    lines = served(40)
    bent = lines[7].vector.copy()  # type: ignore[union-attr]
    bent[KEYED.features.columns.index("card.mean_amount_1d")] += 1.0
    found = check_served(VIEWS, [*lines[:7], replace(lines[7], vector=bent), *lines[8:]])
    assert not found.holds
    (one,) = found.versions[1].differences
    assert (one.feature, one.n_rows, one.first) == ("card.mean_amount_1d", 1, "t7")
    assert found.to_json()["differences"] == 1


def test_lost_lines_leave_out_what_they_hide() -> None:
    """Features of entities whose records are missing are not compared, and that is said."""
    lines = served(40)
    found = check_served(VIEWS, lines[:10] + lines[11:])
    assert found.holds
    assert found.left_out == {"records of the entity are missing from the log": 9 + 14}


def test_state_from_elsewhere_needs_the_file_that_it_came_from() -> None:
    """After a backfill the file is replayed first; without it nothing is claimed."""
    past = Columns(
        {
            "tx": np.array([f"p{k}" for k in range(30)], dtype=object),
            "when": (np.arange(30) * MINUTE).astype("datetime64[us]"),
            "card": np.array([f"c{k % 3}" for k in range(30)], dtype=object),
            "shop": np.array([f"s{k % 2}" for k in range(30)], dtype=object),
            "eur": np.arange(30.0),
        }
    )
    history = KEYED.history(past)
    store = MemoryStore()
    store.import_(Entry(f"guard/{key}", s, ()) for key, s in states(KEYED.features, history))
    lines = served(40, store, start=40)
    assert check_served(VIEWS, lines, before=history).holds
    assert not check_served(VIEWS, lines, before=history).left_out
    alone = check_served(VIEWS, lines)
    assert alone.left_out == {"the entity's state came from elsewhere": 80}


def test_a_retry_with_other_values_is_not_compared() -> None:
    """It counts once, as it came first; what was served of the other cannot be told from that."""
    store = MemoryStore()
    lines = served(20, store)
    event = replace_amount(lines[-1], 77.0)
    keys = VIEWS.keys(event)
    held = dict(zip(keys, store.exchange(event.id, event.at, keys, event.packed()), strict=True))
    vector = VIEWS.vector(1, event, held).astype(np.float32)
    before = {key: one.version for key, one in held.items()}
    again = Seen("a2", "again", lines[-1].at + 1, event, before, 1, vector)
    found = check_served(VIEWS, [*lines, again])
    assert found.holds, found.to_json()
    assert found.rows == 20
    assert found.left_out == {"the event came again with other values": 1}


def replace_amount(seen: Seen, amount: float) -> Event:
    """Return the event of a line with another amount."""
    assert isinstance(seen.record, Event)
    return Event(seen.record.id, seen.record.at, seen.record.entities, amount)


def test_lines_that_nobody_can_read_are_left_out(tmp_path: object) -> None:
    """A damaged line hides what it tells, not the lines beside it."""
    settings = Settings.load({"PROMISE_HOME": str(tmp_path)})
    log = SeenLog(settings, "tool")
    log.note("guard", "t1", "event", b"no record", {})
    log.append("guard", {"id": "t2", "kind": "event", "at": 1, "record": "", "before": []})
    log.note("guard", "t3", "event", Event("t3", 0, {"entity": "c1"}).packed(), {})
    log.close()
    assert [one.id for one in read_seen(settings, "guard")] == ["t3"]


def test_nothing_served_proves_nothing() -> None:
    """No rows, no proof."""
    assert not check_served(VIEWS, []).holds


def test_events_and_labels_from_threads_are_logged_once(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sent again they change nothing; a label of no event is told."""
    settings = Settings.load({"PROMISE_HOME": str(tmp_path)})
    log = SeenLog(settings, "tool")
    feed = Feed(VIEWS, MemoryStore(), log)
    event = Event("t1", 0, {"entity": "c1"}, 4.0)
    assert feed.event(event)
    assert not feed.event(event)
    assert feed.label("nobody", 1.0, 5, id="nobody/api/1") is None
    assert feed.label("t1", 1.0, 5, id="t1/api/1") is False  # no view here reads labels
    log.close()
    assert [one.kind for one in read_seen(settings, "guard")] == ["event", "again"]
