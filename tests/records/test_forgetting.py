"""Who is deleted leaves no trace, does not come back, and disturbs nobody who reads or writes."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pytest
import sqlalchemy as sa

from promise.clock import ManualClock
from promise.errors import DataError
from promise.records.bulk import GIVEN, BulkEvents
from promise.records.events import EventConflict, Events
from promise.records.exposures import read_exposures
from promise.records.forgetting import SETTLE_S, Forgetting
from promise.records.forgotten import Forgotten
from promise.records.labels import Labels
from promise.records.predictions import PredictionLog
from promise.records.scrubbing import scrub
from promise.state.database import Database


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def did(id: str, entity: str, other: str | None, type: str = "like", **more: Any) -> dict[str, Any]:
    return {"event_id": id, "entity": entity, "other": other, "type": type, **more}


def everything(database: Database) -> str:
    """Return all that a database holds, as text."""
    with database.reading() as connection:
        names = sa.inspect(connection).get_table_names()
        found = [connection.execute(sa.text(f"SELECT * FROM {name}")).all() for name in names]
    return str(found)


def test_a_deleted_person_leaves_no_row_and_numbers_go_on(
    database: Database, clock: ManualClock, tmp_path: Path
) -> None:
    events, labels = Events(database, clock), Labels(database, clock)
    events.add("meet", [did("a", "zed", "ann"), did("b", "ann", "zed"), did("c", "ann", "bob")])
    events.add("other", [did("a", "zed", "ann")])
    labels.add([{"prediction_id": "m.0-a-1", "label": "zed", "model": "meet"}])
    labels.add([{"prediction_id": "m.0-a-2", "label": 41, "model": "meet"}])
    forgetting = Forgetting(database, tmp_path, clock, "one")
    done = forgetting.forget("meet", "zed")
    assert (done.events, done.labels, done.number) == (2, 1, 5)
    left = events.since(0, model="meet")
    assert [(e.event_id, e.entity, e.type) for e in left] == [
        ("c", "ann", "like"), ("forget\x1f5", "zed", "forget"),
    ]  # fmt: skip
    assert events.head() == 5
    late = events.add("meet", [did("d", "bob", "zed"), did("e", "bob", "ann")])
    assert (late.added, late.forgotten, len(late.events)) == (1, 1, 1)
    assert Forgotten(database).among("meet", ["zed", "ann"]) == {"zed"}
    assert Forgotten(database).among("other", ["zed"]) == set()
    assert forgetting.tidy() == 0  # answers may still be on their way
    clock.advance(SETTLE_S + 1)
    assert forgetting.tidy() == 1
    assert forgetting.tidy() == 0
    assert not forgetting.pending()
    Forgetting(database, tmp_path, clock, "one").forget("other", "zed")
    clock.advance(SETTLE_S + 1)
    forgetting.tidy()
    assert "zed" not in everything(database)
    again = forgetting.forget("meet", "zed")  # the same id once more
    assert again.events == 0
    assert forgetting.pending()
    assert forgetting.forget("meet", "41").labels == 1  # a label told as a number


def test_no_event_of_a_client_stands_in_the_way_of_a_deletion(
    database: Database, clock: ManualClock, tmp_path: Path
) -> None:
    Events(database, clock).add("meet", [did("forget-2", "ann", "zed")])
    assert Forgetting(database, tmp_path, clock).forget("meet", "zed").number == 2


def test_the_id_stays_until_every_machine_has_cleaned_its_logs(
    database: Database, clock: ManualClock, tmp_path: Path
) -> None:
    one = Forgetting(database, tmp_path / "one", clock, "one")
    two = Forgetting(database, tmp_path / "two", clock, "two")
    two.tidy()  # it serves, too
    one.forget("meet", "zed")
    clock.advance(SETTLE_S + 1)
    assert one.tidy() == 1
    assert "zed" in everything(database)
    assert two.tidy() == 1
    assert "zed" not in everything(database)
    one.forget("meet", "eva")
    clock.advance(timedelta(days=8).total_seconds())  # the second machine is gone for good
    assert one.tidy() == 1
    assert "eva" not in everything(database)


def test_a_machine_whose_clock_is_ahead_is_waited_for(
    database: Database, clock: ManualClock, tmp_path: Path
) -> None:
    ahead = ManualClock(clock.now() + timedelta(seconds=10))
    Forgetting(database, tmp_path, ahead, "ahead").forget("meet", "eva")
    here = Forgetting(database, tmp_path, clock, "here")
    here.forget("meet", "zed")
    clock.advance(SETTLE_S + 1)
    assert here.tidy() == 0  # not past the one before, whose answers may be on their way
    clock.advance(10)
    assert here.tidy() == 2


def test_a_deletion_holds_up_no_writer_while_somebody_reads(
    clock: ManualClock, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'state.db'}"
    database, reader = Database(url), Database(url)
    Events(database, clock).add("meet", [did(f"e{n}", "zed", "ann") for n in range(50)])
    waits: list[int] = []

    @sa.event.listens_for(database.engine, "before_cursor_execute")
    def note(_: Any, cursor: Any, statement: str, *__: Any) -> None:
        if "wal_checkpoint" in statement:
            waits.append(cursor.connection.execute("PRAGMA busy_timeout").fetchone()[0])

    forgetting = Forgetting(database, tmp_path / "records", clock)
    with reader.reading() as connection:
        rows = connection.execute(sa.text("SELECT * FROM events"))
        assert rows.fetchone() is not None
        assert forgetting.forget("meet", "zed").events == 50
        rows.close()
    clock.advance(SETTLE_S + 1)
    forgetting.tidy()
    assert len(waits) == 2
    assert max(waits) <= 50  # ms
    for one in (database, reader):
        one.close()
    files = [path for path in tmp_path.iterdir() if path.is_file()]
    assert files
    assert not any(b"zed" in path.read_bytes() for path in files)


def test_a_bad_id_is_refused(database: Database, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="printable"):
        Forgetting(database, tmp_path).forget("meet", "a\nb")


def line(id: str, entity: str | None, items: list[str], arm: str = "live") -> bytes:
    listed = [{"id": one, "source": "likes", "propensity": 0.5} for one in items]
    return msgspec.json.encode(
        {
            "id": id, "model": "meet", "version": 3, "arm": arm, "at": 1.7e9, "ms": 1.0,
            "entity": entity, "row": {"id": entity},
            "answer": {"items": listed, "features": "f1"}, "source": "model",
        }
    )  # fmt: skip


@pytest.mark.parametrize("who", ["zed", 'z"d', "zé", "z\\d"])
def test_an_id_is_taken_out_of_logs_that_are_being_written(tmp_path: Path, who: str) -> None:
    log = PredictionLog(tmp_path, "0", flush_s=0.01)
    log.append("meet", line("l1", who, ["ann", who + "dy"]))
    log.append("meet", line("l2", "ann", ["bob", who, "cem"]))
    log.append("meet", line("l3", "ann", ["bob"], arm="shadow"))
    log.append("meet", line("l4", None, ["bob"]))
    while log.stats().waiting:
        pass
    size = sum(path.stat().st_size for path in (tmp_path / "meet").iterdir())
    assert scrub(tmp_path, "meet", [who]) == 3
    assert scrub(tmp_path, "meet", [who]) == 0
    log.append("meet", line("l5", "bob", ["ann"]))
    log.close()
    assert sum(path.stat().st_size for path in (tmp_path / "meet").iterdir()) > size
    found = list(read_exposures(tmp_path, "meet"))
    assert [(one.id, one.other, one.position) for one in found] == [
        ("l2", "bob", 1), ("l2", "cem", 3), ("l4", "bob", 1), ("l5", "ann", 1),
    ]  # fmt: skip
    assert (found[0].propensity, found[0].features, found[0].version) == (0.5, "f1", 3)


def test_an_id_is_found_wherever_it_stands_in_a_long_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "meet").mkdir()
    path = tmp_path / "meet" / "k3x9qa.0-1767225600000.jsonl"
    text = b"".join(line(f"l{n}", "zed", ["zed", "bob", "eva"]) + b"\n" for n in range(40))
    for part in (7, 64, 1 << 20):  # parts end in the middle of ids
        monkeypatch.setattr("promise.records.scrubbing._PART", part)
        path.write_bytes(text)
        assert scrub(tmp_path, "meet", ["zed", "eva"]) == 160
        assert path.read_bytes() == text.replace(b'"zed"', b'"***"').replace(b'"eva"', b'"***"')


def table(rows: list[tuple[str, ...]]) -> pa.Table:
    columns = zip(*rows, strict=True)
    return pa.table(dict(zip(GIVEN, map(pa.array, columns), strict=True)))


AT = "2026-01-01T00:00:00.000000+00:00"


def test_tables_of_events_are_kept_as_single_ones_are(
    database: Database, clock: ManualClock, tmp_path: Path
) -> None:
    bulk, events = BulkEvents(database, clock), Events(database, clock)
    events.add("meet", [did("a", "ann", "bob", at=AT, payload={"n": 1, "m": "ü"})])
    Forgetting(database, tmp_path, clock).forget("meet", "zed")
    rows = [
        ("a", "ann", "bob", "like", AT, '{"m": "ü", "n": 1}'),
        ("b", 'a"n,n', "", "person", AT, '{"place": "Oslo, \\"N\\""}'),
        ("b", 'a"n,n', "", "person", AT, '{"place": "Oslo, \\"N\\""}'),
        ("c", "zed", "bob", "like", AT, "{}"),
        ("d", "bob", "zed", "like", AT, "{}"),
        ("e", "bob", "ann", "pass", AT, "{}"),
    ]
    kept = bulk.add("meet", table(rows))
    assert (kept.added, kept.unchanged, kept.forgotten) == (2, 2, 2)
    assert bulk.add("meet", table(rows)).added == 0
    found = [e for e in events.since(0) if e.type != "forget"]
    assert [(e.number, e.event_id, e.entity, e.other) for e in found] == [
        (1, "a", "ann", "bob"), (3, "b", 'a"n,n', ""), (4, "e", "bob", "ann"),
    ]  # fmt: skip
    assert found[1].payload == {"place": 'Oslo, "N"'}
    assert found[1] == events.add("meet", [
        did("b", 'a"n,n', None, "person", at=AT, payload=found[1].payload)
    ]).events[0]  # fmt: skip
    for other in (
        ("a", "ann", "cem", "like", AT, '{"m": "ü", "n": 1}'),
        ("a", "ann", "bob", "like", AT, "{}"),
    ):
        with pytest.raises(EventConflict, match="'a' is already kept with another content"):
            bulk.add("meet", table([("f", "x", "y", "like", AT, "{}"), other]))
    with pytest.raises(EventConflict, match="'g' is already kept"):
        bulk.add("meet", table([
            ("g", "x", "y", "like", AT, "{}"), ("g", "x", "y", "pass", AT, "{}"),
        ]))  # fmt: skip
    assert events.head() == 4


def test_what_a_table_brings_again_at_its_end_leaves_no_gap(
    database: Database, clock: ManualClock
) -> None:
    bulk = BulkEvents(database, clock)
    rows = [(id, "ann", "bob", "like", AT, "{}") for id in "cdab"]
    assert bulk.add("meet", table(rows[2:])).added == 2
    kept = bulk.add("meet", table(rows))
    assert (kept.added, kept.unchanged) == (2, 2)
    found = [(event.number, event.event_id) for event in Events(database, clock).since(0)]
    assert found == [(1, "a"), (2, "b"), (3, "c"), (4, "d")]
    other = ("b", "ann", "cem", "like", AT, "{}")
    with pytest.raises(EventConflict, match="'b' is already kept"):
        bulk.add("meet", table([("e", "ann", "bob", "like", AT, "{}"), other]))
    assert Events(database, clock).head() == 4
