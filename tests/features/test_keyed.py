"""Keyed features as a stage: the replay of a file equals events read one by one."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from promise.data.columns import Columns
from promise.errors import DataError
from promise.features.declare import Count, Distinct, Hour, Mean, Rate, Value
from promise.features.keyed import SEEN, VIEW, Keyed
from promise.features.online import Online
from promise.features.sets import FeatureSet
from promise.features.view import FeatureView
from promise.models.blend import matrix_column

MINUTE = np.timedelta64(1, "m")
START = np.datetime64("2026-03-01T10:00:00", "us")


def keyed() -> Keyed:
    card = FeatureView(
        "card", ("entity",), (Count("1h"), Mean("amount", "1d"), Distinct("other", "1d"))
    )
    shop = FeatureView("shop", ("other",), (Rate("label", "7d", delay="1h"),))
    now = FeatureView("now", (), (Value("amount"), Value("items"), Hour()))
    return Keyed(
        FeatureSet((now, card, shop)),
        {"id": "tx", "time": "when", "amount": "eur", "entity": "who", "other": "where"},
        numbers=("items",),
        label_delay="1h",
    )


def rows(n: int = 200) -> tuple[Columns, Columns]:
    rng = np.random.default_rng(4)
    times = START + rng.integers(0, 4000, n).cumsum() // 10 * MINUTE // 10
    shops = np.array([f"s{k}" for k in rng.integers(0, 4, n)], dtype=object)
    shops[rng.random(n) < 0.05] = None
    table = Columns(
        {
            "tx": np.array([f"t{k}" for k in range(n)], dtype=object),
            "when": times,
            "eur": np.where(rng.random(n) < 0.1, np.nan, rng.gamma(2.0, 20.0, n).round(2)),
            "who": np.array([f"c{k}" for k in rng.integers(0, 9, n)], dtype=object),
            "where": shops,
            "items": rng.integers(1, 5, n).astype(np.float64),
        }
    )
    return table, Columns({"label": np.where(rng.random(n) < 0.2, 1.0, 0.0)})


def test_a_replayed_file_sees_what_events_see_one_by_one() -> None:
    stage = keyed()
    table, labels = rows()
    seen = stage.replay(table, labels)[SEEN]
    online, history = Online(stage.features), stage.history(table, labels)
    slow = [online.take(record) for _, record in history.records()]
    np.testing.assert_array_equal(seen, np.array([v for v in slow if v is not None]))
    assert np.unique(seen[:, stage.features.columns.index("card.count_1h")]).size > 2


def test_given_states_are_read_and_unknown_entities_are_blank() -> None:
    stage = keyed()
    table, _ = rows()
    first, last = table.take(np.arange(199)), table.take(np.array([199]))
    online = Online(stage.features)
    for _, record in stage.history(first).records():
        online.take(record)
    state = dict(online.snapshots())
    assert set(stage.needs(last)) <= set(state)
    whole = stage.many(stage.replay(table), {}, None)[matrix_column(VIEW)]
    alone = stage.many(last, state, None)[matrix_column(VIEW)]
    np.testing.assert_array_equal(alone, whole[199:])
    blank = stage.many(last, {}, None)[matrix_column(VIEW)]
    assert blank[0, stage.features.columns.index("card.count_1h")] == 0.0


def test_a_missing_time_is_the_moment_of_the_request() -> None:
    stage = keyed()
    late = rows(1)[0].with_columns({"when": np.array(["NaT"], dtype="datetime64[us]")})
    at = datetime(2026, 3, 1, 21, 30, tzinfo=UTC)
    hour = stage.many(late, {}, at)[matrix_column(VIEW)]
    assert hour[0, stage.features.columns.index("now.hour")] == 21.0
    with pytest.raises(DataError, match="row 0 has no time in 'when'"):
        stage.many(late, {}, None)


def test_it_is_the_same_after_saving(tmp_path: Path) -> None:
    stage = keyed()
    stage.save(tmp_path)
    found = Keyed.load(tmp_path)
    assert found == stage
    assert found.versions == {"now": 1, "card": 1, "shop": 1}
