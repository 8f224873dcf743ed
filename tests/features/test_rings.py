"""States that are remembered are those that are built anew, whatever came between."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promise.clock import ManualClock
from promise.errors import ConfigError
from promise.features.declare import Count, Mean, Rate
from promise.features.event import Event, Label
from promise.features.kernel import Kernel
from promise.features.rings import Rings
from promise.features.store import Held
from promise.features.stores.folding import fold_long_tails
from promise.features.stores.memory import MemoryStore
from promise.features.view import FeatureView

HOUR = 3_600_000_000
KERNEL = Kernel(
    (
        FeatureView(
            "card",
            ("entity",),
            (Count("1d"), Mean("amount", "1d"), Rate("label", "1d", delay="1h", smoothing=1.0)),
        ),
    )
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 48), st.integers(0, 5)), max_size=80),
    st.integers(1, 400),
)
def test_remembered_states_read_like_new_ones(steps: list[tuple[str, int, int]], most: int) -> None:
    """Folds, labels, retries, other writers and a small memory change nothing."""
    store, rings, other = MemoryStore(), Rings(most_events=most), Rings()
    told: list[Event] = []
    for n, (key, hour, what) in enumerate(steps):
        event = Event(f"e{n}", hour * HOUR, {"entity": key}, float(n))
        if what == 1 and told:
            event = told[n % len(told)]  # a retry
        if what == 2 and told:
            label = Label(told[-1].id, 1.0, told[-1].at + HOUR, told[-1].entities)
            store.exchange(f"l{n}", 0, [told[-1].entities["entity"]], label.packed())
            continue
        name = event.entities["entity"]
        (held,) = store.exchange(event.id, event.at, [name], event.packed())
        if what != 3:  # another worker's: this one hears of it with the next event
            ring = rings.at(KERNEL, name, held)
            fresh = KERNEL.restore(held.snapshot, held.tail)
            assert repr(KERNEL.values(ring or KERNEL.nothing, event)) == repr(
                KERNEL.values(fresh, event)
            )
        told.append(event)
        if what == 4:
            fold_long_tails(
                store, [name], [held], lambda _, s, t: KERNEL.dump(KERNEL.restore(s, t)),
                limit=3, keep=1,
            )  # fmt: skip
        if what == 5:
            other.at(KERNEL, name, held)
    kept = sum(len(ring.at) for *_, ring in rings._kept.values())
    assert kept <= most or len(rings._kept) == 1


def test_entities_with_few_events_do_not_fill_the_memory() -> None:
    """A million cards that were seen once are bounded, too."""
    rings = Rings(most_events=90)
    for n in range(50):
        event = Event(f"e{n}", n, {"entity": f"c{n}"})
        rings.at(KERNEL, f"c{n}", Held(None, (event.packed(),), 1))
    assert len(rings) == 10


def test_an_entity_that_nobody_asks_for_is_let_go_after_five_minutes() -> None:
    clock = ManualClock()
    rings = Rings(clock=clock)
    tails = [tuple(Event(f"{c}{n}", n, {"entity": c}).packed() for n in range(3)) for c in "ab"]
    for name, tail in zip("ab", tails, strict=True):
        rings.at(KERNEL, name, Held(None, tail, 3))
    clock.advance(200)
    first = rings.at(KERNEL, "a", Held(None, tails[0], 3))
    clock.advance(100)  # `b` was last read 300 s ago
    assert rings.at(KERNEL, "a", Held(None, tails[0], 3)) is first
    assert len(rings) == 1
    clock.advance(300)
    again = rings.at(KERNEL, "a", Held(None, tails[0], 3))
    assert again is not first
    assert again is not None
    assert len(again.at) == 3


def test_a_lifetime_of_nothing_remembers_nothing_and_a_negative_one_is_refused() -> None:
    rings = Rings(lifetime_s=0)
    event = Event("e", 0, {"entity": "a"})
    ring = rings.at(KERNEL, "a", Held(None, (event.packed(),), 1))
    assert ring is not None
    assert len(rings) == 0
    with pytest.raises(ConfigError, match="0 or more"):
        Rings(lifetime_s=-1)
