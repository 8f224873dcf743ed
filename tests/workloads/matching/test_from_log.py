"""Training from a model's own log: everything counts once, and only what came after is followed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from promise.cli.main import app
from promise.clock import SystemClock
from promise.data.synthetic_people import people_events, people_table
from promise.errors import ConfigError, DataError
from promise.kernels.people_activity import GOT_YES, MADE_NO, MADE_YES
from promise.pipeline.finding import Told
from promise.records.events import Event, Events
from promise.records.forgetting import Forgetting
from promise.records.history import History
from promise.registry.registry import Registry
from promise.settings import Settings
from promise.state.database import Database
from promise.training.train import Trained, train_version
from promise.workloads.matching.finder import PeopleFinder
from promise.workloads.matching.profiles import told_profiles

from .conftest import WORLD

YES, NO = ("like", "super_like", "message"), ("pass", "dislike")
Send = Callable[..., None]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Import people and events before there is a version; somebody is deleted then."""
    home = tmp_path_factory.mktemp("log") / "home"
    pq.write_table(people_table(WORLD), home.parent / "people.parquet")
    pq.write_table(people_events(WORLD), home.parent / "events.parquet")
    environment = {"PROMISE_HOME": str(home)}
    for file in ("people", "events"):
        words = ["events", "meet", str(home.parent / f"{file}.parquet"), "--workload", "matching"]
        done = CliRunner().invoke(app, [*words, "--json"], env=environment, catch_exceptions=False)
        assert json.loads(done.stdout)["accepted"] > 0
    settings = Settings.load(environment)
    registry = Registry.open(settings)
    Forgetting(registry.database, settings.records).forget("meet", "p7")
    yield home
    registry.database.close()


@pytest.fixture(scope="module")
def settings(home: Path) -> Settings:
    return Settings.load({"PROMISE_HOME": str(home)})


@pytest.fixture(scope="module")
def events(settings: Settings) -> Iterator[Events]:
    registry = Registry.open(settings)
    yield Events(registry.database, SystemClock())
    registry.database.close()


@pytest.fixture(scope="module")
def trained(settings: Settings) -> Trained:
    return train_version("matching", "log", name="meet", preset="reference", settings=settings)


def counted(finder: PeopleFinder, id: str) -> dict[int, int]:
    """Return the yeses and noes of a person as a server counts them now."""
    code = np.array([finder.world.register.code(id)])
    counts = finder.world.counted._states(code).counts[0]
    return {which: int(counts[which]) for which in (MADE_YES, MADE_NO, GOT_YES)}


def told(log: list[Event], id: str) -> dict[int, int]:
    """Return the same as the log tells it."""
    return {
        MADE_YES: sum(one.entity == id and one.type in YES for one in log),
        MADE_NO: sum(one.entity == id and one.type in NO for one in log),
        GOT_YES: sum(one.other == id and one.type in YES for one in log),
    }


def follow(finder: PeopleFinder, events: Events, since: int) -> None:
    """Let a finder take the log as its server does."""
    finder.take([Told(*one) for one in events.told_since(since, 100_000, model="meet")])


@pytest.mark.slow
def test_a_version_says_what_it_read_and_where_its_log_goes_on(
    trained: Trained, events: Events
) -> None:
    log = events.since(0, 100_000, model="meet")
    assert trained.to_json()["log"] == {"events": len(log), "number": log[-1].number}
    assert f"read {len(log):,} events of its log" in trained.sentence()
    assert trained.version.lineage["order"]["data"] == "log"
    assert trained.outcome.details["left_out"]["unknown_people"] == 0


@pytest.mark.slow
def test_everything_counts_once_and_what_came_after_counts_too(
    trained: Trained, events: Events
) -> None:
    finder = PeopleFinder.open(trained.version.folder)
    head = finder.follow_from()
    assert head == trained.to_json()["log"]["number"]
    people = [f"p{n}" for n in range(0, 40) if n != 7]
    follow(finder, events, since=0)  # as one that replays the whole log
    log = events.since(0, 100_000, model="meet")
    assert [counted(finder, id) for id in people] == [told(log, id) for id in people]
    before = counted(finder, "p1")
    like = {"event_id": "after", "entity": "p1", "other": "p2", "type": "like"}
    events.add("meet", [like, {"event_id": "new", "entity": "eva", "type": "person"}])
    follow(finder, events, since=head)
    log = events.since(0, 100_000, model="meet")
    assert counted(finder, "p1") == {**before, MADE_YES: before[MADE_YES] + 1} == told(log, "p1")
    assert finder.world.register.code("eva") >= 0


def test_who_was_deleted_is_in_no_file_of_the_version(trained: Trained) -> None:
    snapshot = PeopleFinder.open(trained.version.folder).world.snapshot
    assert snapshot.n == WORLD.people - 1
    assert "p7" not in snapshot.people.ids.tolist()


@pytest.mark.slow
def test_a_file_of_people_brings_nobody_back(home: Path, settings: Settings) -> None:
    file = str(home.parent / "people.parquet")
    again = train_version(
        "matching", "log", name="meet", people=file, preset="reference", settings=settings
    )
    ids = PeopleFinder.open(again.version.folder).world.snapshot.people.ids.tolist()
    assert (len(ids), "p7" in ids) == (WORLD.people - 1, False)


@pytest.mark.slow
def test_events_that_files_told_count_once_where_they_are_imported_too(
    home: Path, settings: Settings, events: Events
) -> None:
    files = {
        "data": str(home.parent / "events.parquet"), "people": str(home.parent / "people.parquet")
    }  # fmt: skip
    version = train_version("matching", name="meet", preset="reference", settings=settings, **files)
    finder = PeopleFinder.open(version.version.folder)
    assert finder.follow_from() == 0
    people = [f"p{n}" for n in range(0, 60) if n != 7]
    like = {"event_id": "own", "entity": "p1", "other": "p3", "type": "like"}
    events.add("meet", [like])
    follow(finder, events, since=0)
    log = events.since(0, 100_000, model="meet")
    assert [counted(finder, id) for id in people] == [told(log, id) for id in people]
    loose = finder.world.register.ids(finder.world.register.loose.tolist())
    assert [id for id in loose if id.startswith("p")] == []  # profiles are as they were


@pytest.mark.slow
def test_files_and_the_log_are_learned_from_together_each_event_once(
    home: Path, settings: Settings, events: Events
) -> None:
    log = events.since(0, 100_000, model="meet")
    first = train_version(
        "matching", str(home.parent / "events.parquet"), name="meet", preset="reference",
        people=str(home.parent / "people.parquet"), settings=settings,
    )  # fmt: skip
    profile = {"place": "Atlantis", "age": 31}
    events.add("meet", [
        {"event_id": "ada", "entity": "ada", "type": "person", "payload": profile},
        {"event_id": "ada-likes", "entity": "ada", "other": "p2", "type": "like"},
    ])  # fmt: skip
    cut = Events(events.database).head()
    events.add("meet", [{"event_id": "late", "entity": "ada", "other": "p4", "type": "like"}])
    again = train_version(
        "matching", str(home.parent / "events.parquet"), name="meet", start=str(first.version),
        people=str(home.parent / "people.parquet"), until=cut, settings=settings,
    )  # fmt: skip
    finder = PeopleFinder.open(again.version.folder)
    assert finder.follow_from() == cut
    assert again.version.lineage["parents"] == [str(first.version)]
    log = [one for one in events.since(0, 100_000, model="meet") if one.number <= cut]
    people = ["ada", *(f"p{n}" for n in range(0, 40) if n != 7)]
    assert [counted(finder, id) for id in people] == [told(log, id) for id in people]
    code = finder.world.register.code("ada")
    assert finder.world.snapshot.people.age[code] == 31
    assert "p7" not in finder.world.snapshot.people.ids.tolist()
    follow(finder, events, since=0)
    assert counted(finder, "ada")[MADE_YES] == 2


def test_an_empty_log_names_the_way_out(settings: Settings) -> None:
    with pytest.raises(DataError, match="the log of nobody has no events yet; import them by"):
        train_version("matching", "log", name="nobody", settings=settings)


def test_the_log_tells_its_number_itself(settings: Settings) -> None:
    with pytest.raises(ConfigError, match="tells its number itself"):
        train_version("matching", "log", name="meet", options={"number": "3"}, settings=settings)


def test_events_come_before_the_first_version_only_where_lists_are_given(home: Path) -> None:
    words = ["events", "other", str(home.parent / "events.parquet"), "--workload", "tabular"]
    done = CliRunner().invoke(app, words, env={"PROMISE_HOME": str(home)})
    assert done.exit_code != 0


def profile(number: int, id: str, **payload: Any) -> dict[str, Any]:
    return {"event_id": f"e{number}", "entity": id, "type": "person", "payload": payload}


def test_profiles_are_as_they_were_told_last(database: Database) -> None:
    events = Events(database, SystemClock())
    like = {"event_id": "like", "entity": "cem", "other": "ann", "type": "like"}
    given = [
        profile(1, "ann", city="Oslo", height=170, interests=["chess"], name="Ann"),
        profile(2, "bob", age="old"),
        profile(3, "ann", place="Rome", height="171", joined_at="2026-01-31T12:00:00Z"),
        like,
    ]
    events.add("meet", given)
    events.add("other", [{**like, "entity": "dan"}])
    table, said = told_profiles(History(database, "meet"))
    assert table is not None
    rows = table.select(["id", "place", "height", "interests"]).to_pylist()
    assert [tuple(row.values()) for row in rows] == [
        ("cem", None, None, None), ("ann", "Oslo", 170.0, ["chess"]), ("bob", None, None, []),
        ("ann", "Rome", 171.0, []),
    ]  # fmt: skip
    assert "name" not in table.column_names
    assert said == ("1 profiles of the log cannot be read whole; the rest counts",)


def test_a_log_is_read_in_batches_up_to_its_head(database: Database) -> None:
    events = Events(database, SystemClock())
    shown = {"type": "impression", "entity": "a", "at": "2026-01-31T12:00:00.25Z"}
    payload = {"position": 3, "propensity": "x"}
    given = [{**shown, "event_id": f"{n}", "other": f"b{n}", "payload": payload} for n in range(5)]
    events.add("meet", given)
    history = History(database, "meet")
    events.add("meet", [{**shown, "event_id": "late", "other": "c"}])
    parts = list(history.batches(chunk_rows=2))
    assert [(first, part.num_rows) for first, part in parts] == [(0, 2), (2, 2), (4, 1)]
    row = parts[0][1].to_pylist()[1]
    assert (row["other"], row["position"], row["propensity"]) == ("b1", 3.0, None)
    assert row["at"].isoformat() == "2026-01-31T12:00:00.250000"
    assert history.sample(3).num_rows == 3
    assert history.fingerprint() != History(database, "meet").fingerprint()
    with pytest.raises(DataError, match="did you mean 'other'"):
        list(history.batches(["othr"]))
