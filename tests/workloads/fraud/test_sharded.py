"""The replay by shards is the whole replay, bit for bit; the spool is the file, in order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from promise.data.source import open_source
from promise.data.synthetic_events import World, fraud_events
from promise.errors import DataError
from promise.features.keyed import SEEN
from promise.pipeline.order import Order
from promise.workloads.fraud import sharded as module
from promise.workloads.fraud.events import Events, read_events
from promise.workloads.fraud.plan import Plan, plan_of
from promise.workloads.fraud.sharded import Sharded, replay_sharded
from promise.workloads.fraud.spool import Spool, spool

WORLD = World(days=30, per_day=100, cards=120, shops=30)


def read(data: pa.Table, folder: Path) -> tuple[Plan, Events, Spool]:
    source = open_source(data)
    plan = plan_of(source, Order(name="guard", work=folder))
    events = read_events(source, plan.formats, plan.columns, ())
    return plan, events, spool(source, plan.formats, plan.columns, (), folder / "columns")


def shuffled(data: pa.Table) -> pa.Table:
    """Return rows out of order, one of them twice, some labels unknown."""
    order = np.random.default_rng(5).permutation(data.num_rows)
    labels = data["fraud"].to_pylist()
    labels[10] = None
    data = data.set_column(data.column_names.index("fraud"), "fraud", pa.array(labels))
    return data.take(np.append(order, 50))


@pytest.mark.parametrize("prepare", [lambda data: data, shuffled])
def test_the_spool_holds_what_the_reader_in_memory_reads(prepare, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    _, events, kept = read(prepare(fraud_events(WORLD)), tmp_path)
    assert kept.n_rows == len(events.y)
    assert (kept.column("row") == events.rows).all()
    assert np.array_equal(kept.column("y"), events.y, equal_nan=True)
    assert (kept.column("number:amount") == events.columns["amount"]).all()
    assert (kept.column("at").astype("M8[us]") == events.columns["when"]).all()
    assert kept.answer == events.answer
    positions = np.arange(3, kept.n_rows, 7)
    assert (kept.pick("row", positions) == events.rows[positions]).all()


@pytest.mark.slow
@pytest.mark.parametrize("prepare", [lambda data: data, shuffled])
@pytest.mark.parametrize("shard_rows", [250, 10**6])
def test_shards_give_the_bits_of_the_whole_replay(  # type: ignore[no-untyped-def]
    prepare, shard_rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHUNK_ROWS", 700)
    plan, events, kept = read(prepare(fraud_events(WORLD)), tmp_path)
    keyed = plan.keyed(0.02)
    whole = keyed.replay(events.columns, events.labels)[SEEN].astype(np.float32)
    found = replay_sharded(kept, keyed, tmp_path / "features", shard_rows=shard_rows)
    assert isinstance(found, Sharded)
    together = np.concatenate([matrix for _, matrix in found.chunks()])
    assert np.array_equal(together, whole, equal_nan=True)
    rows = np.array([0, 3, 699, 700, 2500])
    assert np.array_equal(found.gather(rows), whole[rows], equal_nan=True)
    until = np.concatenate([matrix for _, matrix in found.chunks(stop=1000)])
    assert np.array_equal(until, whole[:1000], equal_nan=True)


@pytest.mark.slow
def test_times_at_which_labels_became_known_are_kept(tmp_path: Path) -> None:
    data = fraud_events(WORLD)
    known = data["when"].to_numpy() + np.timedelta64(2, "D")
    known[::5] = np.datetime64("NaT")
    data = data.append_column("reported_at", pa.array(known))
    plan, events, kept = read(data, tmp_path)
    assert plan.columns["known_at"] == "reported_at"
    keyed = plan.keyed(0.02)
    whole = keyed.replay(events.columns, events.labels)[SEEN].astype(np.float32)
    found = replay_sharded(kept, keyed, tmp_path / "features", shard_rows=300)
    together = np.concatenate([matrix for _, matrix in found.chunks()])
    assert np.array_equal(together, whole, equal_nan=True)


def test_the_spool_refuses_what_the_reader_in_memory_refuses(tmp_path: Path) -> None:
    data = fraud_events(WORLD)
    times = data["when"].to_pylist()
    times[17] = None
    broken = data.set_column(1, "when", pa.array(times, pa.timestamp("us")))
    with pytest.raises(DataError, match="row 17 has no time"):
        read(broken, tmp_path)


def test_the_rarer_of_two_words_is_the_fraud_however_often_both_come(tmp_path: Path) -> None:
    data = fraud_events(WORLD)
    words = ["stolen" if row % 5 < 2 else "fine" for row in range(data.num_rows)]
    place = data.column_names.index("fraud")
    _, events, kept = read(data.set_column(place, "fraud", pa.array(words)), tmp_path)
    assert kept.answer == events.answer
    assert kept.answer.outcomes == ("fine", "stolen")


def test_an_id_that_repeats_everywhere_is_none_in_the_spool_either(tmp_path: Path) -> None:
    data = fraud_events(WORLD)
    place = data.column_names.index("event_id")
    broken = data.set_column(place, "event_id", pa.array(["one"] * data.num_rows))
    source = open_source(broken)
    plan = plan_of(source, Order(name="guard", work=tmp_path, columns={"event_id": "id"}))
    with pytest.raises(DataError, match="so it is no id of events"):
        spool(source, plan.formats, plan.columns, (), tmp_path / "columns")


def test_a_label_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    data = fraud_events(WORLD)
    place = data.column_names.index("fraud")
    source = open_source(data)
    plan = plan_of(source, Order(name="guard", work=tmp_path))
    gone = data.set_column(place, "fraud", pa.array([None] * data.num_rows, pa.float64()))
    with pytest.raises(DataError, match=f"missing in all {data.num_rows:,} rows"):
        spool(open_source(gone), plan.formats, plan.columns, (), tmp_path / "columns")
