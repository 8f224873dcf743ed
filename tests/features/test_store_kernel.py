"""Vectors read through a store are the bits that the kernel gives without one."""

from __future__ import annotations

import random

import numpy as np
import pytest
from tests.features.places import Place

from promise.features.declare import Count, Distinct, Last, Mean, Rate, Recency, Sum
from promise.features.event import Event, Label, Record
from promise.features.kernel import Kernel
from promise.features.online import Online
from promise.features.sets import FeatureSet
from promise.features.store import Store
from promise.features.stores.folding import fold_long_tails
from promise.features.view import FeatureView

HOUR_US = 3_600_000_000
SET = FeatureSet(
    (
        FeatureView(
            "customer",
            ("entity",),
            (Count("1h"), Sum("amount", "3h"), Mean("amount", "1d"), Recency(), Last("amount")),
        ),
        FeatureView("shop", ("other",), (Count("1d"), Rate("label", "2d", delay="5h"))),
        FeatureView("pair", ("entity", "other"), (Count("1d"),)),
        FeatureView("device", ("device",), (Distinct("entity", "1d"),)),
    )
)


def stream(n: int) -> list[Record]:
    """Return events, some late, at the same moment or without a device, and labels after them."""
    rng = random.Random(3)
    records: list[Record] = []
    at = 1_700_000_000_000_000
    for i in range(n):
        at += rng.choice((0, 1, HOUR_US // 4))
        roles = {"entity": f"c{rng.randrange(4)}", "other": f"s{rng.randrange(3)}"}
        if rng.random() < 0.6:
            roles["device"] = f"d{rng.randrange(2)}"
        late = rng.choice((0, 0, 0, HOUR_US))
        amount = rng.choice((None, round(rng.uniform(0, 99), 2)))
        records.append(Event(f"e{i}", at - late, roles, amount))
        about = rng.choice([one for one in records if isinstance(one, Event)])
        if rng.random() < 0.4:
            label = float(rng.random() < 0.5)
            records.append(Label(about.id, label, at + 5 * HOUR_US, about.entities))
    return records


def through(store: Store, records: list[Record]) -> list[np.ndarray]:
    """Answer each event from what the store held before it, folding now and then."""
    kernels: dict[str, Kernel] = {}
    vectors = []

    def fold(key: str, snapshot: bytes | None, tail: tuple[bytes, ...]) -> bytes:
        return kernels[key].dump(kernels[key].restore(snapshot, tail))

    for i, one in enumerate(records):
        every = SET.keys(one.entities)
        kernels.update(
            (key, k) for key, k in zip(every, SET.kernels, strict=True) if key is not None
        )
        keys = [key for key in every if key is not None]
        name, at = (one.id, one.at) if isinstance(one, Event) else (f"label-{i}", one.known_at)
        held = dict(zip(keys, store.exchange(name, at, keys, one.packed()), strict=True))
        if isinstance(one, Event):
            states = [
                None if key is None else kernel.restore(held[key].snapshot, held[key].tail)
                for key, kernel in zip(every, SET.kernels, strict=True)
            ]
            vectors.append(SET.vector(one, states))
        fold_long_tails(store, keys, list(held.values()), fold, limit=6, keep=i % 3)
    return vectors


@pytest.mark.slow
@pytest.mark.parametrize("place", ["journal", "sqlite", "redis"], indirect=True)
def test_a_store_changes_no_bit(place: Place) -> None:
    records = stream(250)
    online = Online(SET)
    expected = [vector for one in records if (vector := online.take(one)) is not None]
    found = through(place.open(), records)
    assert len(found) == len(expected) == 250
    assert np.array(found).tobytes() == np.array(expected).tobytes()
    # every feature had something to tell
    assert (np.nanstd(np.array(found), axis=0) > 0).all()
