from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from promise.data.synthetic_events import KINDS, World, event_days, fraud_events

WORLD = World(days=40, per_day=200, cards=300, shops=60)


def test_the_same_seed_gives_the_same_events_and_another_one_others() -> None:
    assert fraud_events(WORLD).equals(fraud_events(WORLD))
    other = World(days=40, per_day=200, cards=300, shops=60, seed=8)
    assert not fraud_events(WORLD).equals(fraud_events(other))


def test_events_are_in_order_and_have_an_id_each() -> None:
    table = fraud_events(WORLD)
    times = table["when"].to_numpy()
    assert table.num_rows == 40 * 200
    assert (np.diff(times.astype(np.int64)) >= 0).all()
    assert pc.count_distinct(table["event_id"]).as_py() == table.num_rows


def test_days_one_by_one_are_the_whole() -> None:
    whole = fraud_events(WORLD, planted=True)
    assert pa.concat_tables(list(event_days(WORLD))).equals(whole)


def test_every_kind_of_fraud_is_planted_and_the_label_says_whether() -> None:
    table = fraud_events(WORLD, planted=True)
    kinds = np.array(table["planted"].to_pylist())
    assert set(kinds) == set(KINDS)
    assert ((kinds != "none") == (table["fraud"].to_numpy() == 1)).all()
    assert 0.01 < (kinds != "none").mean() < 0.1


def test_a_bad_device_pays_with_many_cards_and_a_ring_shares_an_address() -> None:
    table = fraud_events(WORLD, planted=True).to_pandas()
    per_device = table[table.planted == "device"].groupby("device").card.nunique()
    honest = table[table.planted == "none"].groupby("device").card.nunique()
    assert per_device.max() > 5 > honest.quantile(0.99)
    ring = table[table.planted == "ring"]
    assert (ring.groupby("card").size() == 1).all()
    assert ring.groupby("ip").card.nunique().max() > 5


def test_the_label_is_all_that_tells_frauds_by_device_from_honest_events() -> None:
    """Amounts, hours and shops of device and ring frauds are drawn as those of honest ones."""
    table = fraud_events(World(days=120, per_day=300), planted=True).to_pandas()
    hidden = table[table.planted.isin(["device", "ring"])]
    honest = table[table.planted == "none"]
    assert abs(hidden.amount.median() / honest.amount.median() - 1) < 0.15
    assert abs(hidden.when.dt.hour.mean() - honest.when.dt.hour.mean()) < 0.7
