"""A backup comes back whole, into either database, or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pkgutil
import signal
import sqlite3
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

import promise
from promise.cli.rooms import ROOMS
from promise.clock import ManualClock
from promise.errors import PromiseError, StateError
from promise.records.labels import Labels
from promise.registry import backup as backing
from promise.registry import restore as restoring
from promise.registry.backup import BackedUp
from promise.registry.backup_index import INDEX
from promise.registry.dump import count, snapshot
from promise.registry.keys import Keys
from promise.registry.registry import Registry
from promise.registry.rooms import Rooms
from promise.registry.route import Route
from promise.rollout.wishes import WISHES
from promise.settings import Settings
from promise.state.database import Database, Migrations
from promise.state.files import digests, write_json


def backup(to: str, **given: Any) -> BackedUp:
    """Back this installation's rooms up."""
    return backing.backup(to, rooms=ROOMS, **given)


def restore(source: str, **given: Any) -> restoring.Restored:
    """Restore this installation's rooms."""
    return restoring.restore(source, rooms=ROOMS, **given)


def settings_of(home: Path, url: str | None = None, artifacts: str | None = None) -> Settings:
    """Return the settings of an installation of its own."""
    given = {"PROMISE_HOME": str(home)}
    given |= {} if url is None else {"PROMISE_DATABASE": url}
    return Settings.load(given | ({} if artifacts is None else {"PROMISE_ARTIFACTS": artifacts}))


def write(folder: Path, weights: str = "w") -> None:
    """Write a version folder that has a manifest and two files."""
    (folder / "weights").mkdir()
    (folder / "weights" / "model.txt").write_text(weights)
    (folder / "card.md").write_text("# card\n")
    manifest = {
        "format": 1, "task": {"workload": "tabular"}, "metrics": {"score": 0.5}, "lineage": {},
        "digests": digests(folder),
    }  # fmt: skip
    write_json(folder / "manifest.json", manifest)


def fill(settings: Settings, versions: int = 3, weights: str = "weights") -> Registry:
    """Make an installation with versions, a live one, keys and labels."""
    clock = ManualClock()
    registry = Registry.open(settings)
    for number in range(versions):
        registry.register("churn", lambda folder, n=number: write(folder, f"{weights} {n}"))
    life = registry.lifecycle
    first = life.commit(None, "promote", Route("churn", "steady", live=1), reason="first")
    life.commit(first, "promote", Route("churn", "steady", live=2, standby=1), reason="better")
    Keys(registry.database, clock).create("shop", ("predict",))
    Labels(registry.database, clock).add(
        [{"prediction_id": f"p{i}", "label": "é" if i % 2 else 0.1 * i, "model": "churn"}
         for i in range(20)]
    )  # fmt: skip
    return registry


def everything(settings: Settings) -> dict[str, list[tuple[Any, ...]]]:
    """Return every row, but where versions lie and the epoch, which moves on."""
    database = Database(settings.database)
    found = {}
    with database.reading() as connection:
        for table in ROOMS.present(connection):
            rows = connection.execute(sa.text(f'SELECT * FROM "{table}"')).mappings().all()
            kept = [{k: v for k, v in row.items() if k != "folder"} for row in rows]
            found[table] = sorted(tuple(row.values()) for row in kept)
    database.close()
    found.pop("epoch")
    return {table: rows for table, rows in found.items() if rows}


def same_rows(target: Settings, source: Settings) -> bool:
    """Say whether every row of the source is in the target, and no others."""
    there, here = everything(source), everything(target)
    new = {table: rows for table, rows in here.items() if table not in there}
    assert {table: here.get(table) for table in there} == there
    return all(len(rows) == ROOMS.fresh[table][1] for table, rows in new.items())


@contextlib.contextmanager
def empty_database(request: pytest.FixtureRequest, home: Path) -> Iterator[Settings]:
    """Yield an empty installation: a SQLite file, or a schema of its own in Postgres."""
    if request.param == "sqlite":
        yield settings_of(home)
        return
    url = sa.make_url(request.getfixturevalue("postgres_url"))
    schema = f"t{uuid.uuid4().hex[:12]}"
    admin = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.pool.NullPool)
    with admin.connect() as connection:
        connection.execute(sa.text(f"CREATE SCHEMA {schema}"))
    own = url.update_query_dict({"options": f"-csearch_path={schema}"})
    yield settings_of(home, own.render_as_string(hide_password=False))
    with admin.connect() as connection:
        connection.execute(sa.text(f"DROP SCHEMA {schema} CASCADE"))


@pytest.fixture(params=["sqlite", "postgres"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Settings]:
    """Yield a filled installation on each database."""
    with empty_database(request, tmp_path / "source") as settings:
        fill(settings).database.close()
        yield settings


@pytest.fixture(params=["sqlite", "postgres"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Settings]:
    """Yield an empty installation on each database."""
    with empty_database(request, tmp_path / "target") as settings:
        yield settings


@pytest.mark.slow
def test_either_database_comes_back_into_either(
    source: Settings, target: Settings, tmp_path: Path
) -> None:
    kept = backup(str(tmp_path / "backup"), settings=source)
    done = restore(str(tmp_path / "backup"), settings=target)
    assert same_rows(target, source)
    assert (done.versions, done.chains, len(kept.kept.without)) == (3, 1, 0)
    registry = Registry.open(target)
    for number in (1, 2, 3):
        version = registry.find(f"churn@{number}")
        assert version.folder.is_relative_to(Path(target.artifacts).absolute())
        assert (version.folder / "weights" / "model.txt").read_text() == f"weights {number - 1}"
    # numbers and chains go on where they were, and the chain is still append-only
    assert str(registry.register("churn", write)) == "churn@4"
    life = registry.lifecycle
    life.commit(life.last("churn"), "rollback", Route("churn", "steady", live=1), reason="worse")
    assert life.verify("churn") is None
    labels = Labels(registry.database, ManualClock())
    newest = labels.since(0)[-1].number
    assert labels.add([{"prediction_id": "p99", "label": 1}])[0].number > newest
    with pytest.raises(sa.exc.DBAPIError, match="append-only"):
        registry.database.run(lambda c: c.execute(sa.text("DELETE FROM transitions")))
    registry.database.close()


def test_a_second_backup_copies_only_what_is_new(tmp_path: Path) -> None:
    source, to = settings_of(tmp_path / "source"), str(tmp_path / "backup")
    registry = fill(source)
    first = backup(to, settings=source)
    again = backup(to, settings=source)
    assert (again.copied, again.kept.tables) == (0, first.kept.tables)
    registry.register("churn", lambda folder: write(folder, "new"))
    more = backup(to, settings=source, prune=True)
    # the new version's two own files (its card is known) and the table of versions
    assert more.copied == 3
    assert more.pruned == 1
    assert restore(to, settings=settings_of(tmp_path / "target")).versions == 4


def test_live_only_keeps_all_rows_and_the_files_of_loaded_versions(tmp_path: Path) -> None:
    source, target = settings_of(tmp_path / "source"), settings_of(tmp_path / "target")
    fill(source)
    kept = backup(str(tmp_path / "backup"), settings=source, live_only=True).kept
    assert set(kept.versions) == {"churn@1", "churn@2"}
    restore(str(tmp_path / "backup"), settings=target)
    registry = Registry.open(target)
    assert len(registry.versions("churn")) == 3
    # rows whose files were not kept point to where a copy by hand would lie
    assert registry.versions("churn")[2].folder == Path(target.artifacts).absolute() / "churn" / "3"


def test_an_installation_in_use_is_not_replaced_unasked(tmp_path: Path) -> None:
    source, target = settings_of(tmp_path / "source"), settings_of(tmp_path / "target")
    fill(source)
    fill(target, versions=5).register("other", write)
    backup(str(tmp_path / "backup"), settings=source)
    before = everything(target)
    with pytest.raises(StateError, match=r"in use .*--force"):
        restore(str(tmp_path / "backup"), settings=target)
    assert everything(target) == before
    epoch = Registry.open(target).lifecycle.epoch()
    restore(str(tmp_path / "backup"), settings=target, force=True)
    assert same_rows(target, source)
    assert Registry.open(target).lifecycle.epoch() > epoch


@pytest.mark.slow
@pytest.mark.parametrize("harm", ["blob", "missing", "index", "half", "newer", "newer room"])
def test_a_damaged_or_newer_backup_changes_nothing(tmp_path: Path, harm: str) -> None:
    source, target = settings_of(tmp_path / "source"), settings_of(tmp_path / "target")
    fill(source)
    fill(target, weights="other")
    to = tmp_path / "backup"
    kept = backup(str(to), settings=source).kept
    blob = to / kept.versions["churn@2"]["weights/model.txt"].name
    if harm == "blob":
        blob.write_text("weights X")
    elif harm == "missing":
        blob.unlink()
    elif harm == "half":
        (to / INDEX).unlink()
    elif harm == "index":
        (to / INDEX).write_text((to / INDEX).read_text().replace("churn@2", "churn@9"))
    elif harm == "newer":
        rewrite(to, lambda _: None, written=9)
    else:
        rewrite(to, lambda kept: kept["steps"].update(registry=99))
    before, files = everything(target), digests(Path(target.artifacts))
    expected = {"half": "there is no backup", "newer": "format 9", "newer room": "newer Promise"}
    with pytest.raises(StateError, match=expected.get(harm, "damaged")):
        restore(str(to), settings=target, force=True)
    assert everything(target) == before
    assert digests(Path(target.artifacts)) == files


def rewrite(to: Path, change: Callable[[Any], object], *, written: int = 1) -> None:
    """Write a changed index, of any format, with a digest that is right."""
    said = json.loads((to / INDEX).read_text().splitlines()[1])
    change(said)
    content = json.dumps(said)
    head = {"format": written, "sha256": hashlib.sha256(content.encode()).hexdigest()}
    (to / INDEX).write_text(f"{json.dumps(head)}\n{content}\n")


def test_a_chain_that_was_tampered_with_is_not_brought_back(tmp_path: Path) -> None:
    source, target = settings_of(tmp_path / "source"), settings_of(tmp_path / "target")
    fill(source).database.close()
    with sqlite3.connect(source.database.removeprefix("sqlite:///")) as raw:
        triggers = raw.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for (name,) in triggers:
            raw.execute(f"DROP TRIGGER {name}")
        raw.execute("UPDATE transitions SET reason = 'all was well' WHERE seq = 1")
    backup(str(tmp_path / "backup"), settings=source)
    with pytest.raises(StateError, match="link 1 of the chain of churn was changed"):
        restore(str(tmp_path / "backup"), settings=target)
    database = Database(target.database)
    with database.reading() as connection:
        assert ROOMS.present(connection) == []


def test_what_is_not_brought_back_leaves_the_prediction_log_alone(tmp_path: Path) -> None:
    source, target = settings_of(tmp_path / "source"), settings_of(tmp_path / "target")
    for settings, text in ((source, "theirs"), (target, "ours")):
        fill(settings).database.close()
        settings.records.mkdir(parents=True)
        (settings.records / "0-1.jsonl").write_text(text)
    to = tmp_path / "backup"
    backup(str(to), settings=source, with_records=True)
    rewrite(to, lambda kept: kept["tables"]["versions"].__setitem__(1, 99))
    with pytest.raises(StateError, match="nothing was restored"):
        restore(str(to), settings=target, force=True)
    assert [path.read_text() for path in target.records.iterdir()] == ["ours"]


@pytest.mark.slow
def test_a_table_of_others_in_a_shared_database_is_left_alone(
    target: Settings, tmp_path: Path
) -> None:
    source = settings_of(tmp_path / "source")
    fill(source).database.close()
    taken = next(t for t, (room, _) in ROOMS.fresh.items() if room == WISHES.room)
    database = Database(target.database)
    for statement in (f"CREATE TABLE {taken} (ours TEXT)", f"INSERT INTO {taken} VALUES ('kept')"):
        database.run(lambda connection, said=statement: connection.execute(sa.text(said)))
    backup(str(tmp_path / "backup"), settings=source)
    restore(str(tmp_path / "backup"), settings=target)
    kept = backup(str(tmp_path / "second"), settings=target).kept
    assert taken not in kept.tables
    restore(str(tmp_path / "backup"), settings=target, force=True)
    with database.reading() as connection:
        assert connection.execute(sa.text(f"SELECT ours FROM {taken}")).scalars().all() == ["kept"]
    database.close()


@pytest.mark.parametrize("name", ["../../out@1", "churn@../1", "churn@live", "churn"])
def test_a_version_whose_name_leads_elsewhere_is_not_brought_back(
    tmp_path: Path, name: str
) -> None:
    source, target = settings_of(tmp_path / "source"), settings_of(tmp_path / "target")
    fill(source).database.close()
    to = tmp_path / "backup"
    backup(str(to), settings=source)
    rewrite(to, lambda kept: kept["versions"].update({name: kept["versions"]["churn@1"]}))
    with pytest.raises(PromiseError):
        restore(str(to), settings=target)
    assert not (tmp_path / "out").exists()
    assert not Registry.open(target).versions()


def test_a_damaged_version_is_named_and_the_others_are_kept(tmp_path: Path) -> None:
    source = settings_of(tmp_path / "source")
    registry = fill(source)
    (registry.find("churn@1").folder / "card.md").write_text("other")
    kept = backup(str(tmp_path / "backup"), settings=source).kept
    assert set(kept.versions) == {"churn@2", "churn@3"}
    assert "card.md has changed" in kept.without["churn@1"]


def test_the_prediction_log_comes_along_when_asked(tmp_path: Path) -> None:
    source, target = settings_of(tmp_path / "source"), settings_of(tmp_path / "target")
    fill(source)
    (source.records / "churn").mkdir(parents=True)
    (source.records / "churn" / "0-1.jsonl").write_text('{"id": "a"}\n')
    backup(str(tmp_path / "backup"), settings=source, with_records=True)
    assert restore(str(tmp_path / "backup"), settings=target).records == 1
    assert (target.records / "churn" / "0-1.jsonl").read_text() == '{"id": "a"}\n'


def test_a_backup_is_one_moment_while_others_write(source: Settings, tmp_path: Path) -> None:
    """Each write adds a transition and a label in one transaction: no backup sees half of it."""
    database = Database(source.database)
    stop = threading.Event()

    def go_on() -> None:
        for number in range(10_000):
            if stop.is_set():
                return

            def both(connection: sa.Connection, n: int = number) -> None:
                for table in ("left_hand", "right_hand"):
                    connection.execute(sa.text(f"INSERT INTO {table} VALUES (:n)"), {"n": n})

            database.run(both)

    hands = tuple(
        Migrations(name, (f"CREATE TABLE {name} (n INTEGER PRIMARY KEY)",))
        for name in ("left_hand", "right_hand")
    )
    for hand in hands:
        database.migrate(hand)
    writer = threading.Thread(target=go_on)
    writer.start()
    try:
        for _ in range(10):
            with snapshot(database) as connection:
                counts = [count(connection, hand.room) for hand in hands]
            assert counts[0] == counts[1]
    finally:
        stop.set()
        writer.join()
        database.close()


def test_an_older_backup_climbs_the_later_steps(
    tmp_path: Path,
) -> None:
    source, target = settings_of(tmp_path / "source"), settings_of(tmp_path / "target")
    fill(source)
    backup(str(tmp_path / "backup"), settings=source)
    known = ROOMS.by_name["registry"]
    step = "ALTER TABLE versions ADD COLUMN colour TEXT NOT NULL DEFAULT 'blue'"
    later = Migrations("registry", (*known.steps, step))
    others = tuple(made for made in ROOMS.migrations if made is not known)
    restoring.restore(str(tmp_path / "backup"), rooms=Rooms((*others, later)), settings=target)
    database = Database(target.database)
    with database.reading() as connection:
        assert set(connection.execute(sa.text("SELECT colour FROM versions")).scalars()) == {"blue"}
    database.close()


def command(settings: Settings, *arguments: str, failpoint: str = "") -> int:
    """Run a command in a process of its own; return its exit code."""
    env = {
        **os.environ, "PROMISE_HOME": str(settings.home), "PROMISE_DATABASE": settings.database,
        "PROMISE_FAILPOINT": failpoint,
    }  # fmt: skip
    called = [sys.executable, "-m", "promise.cli.main", *arguments]
    return subprocess.run(called, env=env, capture_output=True, check=False).returncode


@pytest.mark.slow
def test_a_kill_leaves_the_backup_before_or_this_one(tmp_path: Path) -> None:
    source, to = settings_of(tmp_path / "source"), str(tmp_path / "backup")
    registry = fill(source)
    backup(to, settings=source)
    registry.register("churn", lambda folder: write(folder, "new"))
    for point, versions in (("backup.copied", 3), ("backup.written", 4)):
        assert command(source, "backup", to, failpoint=point) == -signal.SIGKILL
        target = settings_of(tmp_path / point)
        assert restore(to, settings=target).versions == versions


@pytest.mark.slow
@pytest.mark.parametrize("target", ["sqlite", "postgres"], indirect=True)
def test_a_kill_during_a_restore_leaves_what_was_there(target: Settings, tmp_path: Path) -> None:
    source, to = settings_of(tmp_path / "source"), str(tmp_path / "backup")
    fill(source)
    fill(target, versions=5, weights="other").database.close()
    backup(to, settings=source)
    before = everything(target)
    for point in ("restore.filled", "restore.placed"):
        code = command(target, "restore", to, "--force", failpoint=point)
        assert code == -signal.SIGKILL
        assert everything(target) == before
        assert weights(target) == [f"other {n}" for n in range(5)]
    assert command(target, "restore", to, "--force") == 0
    assert same_rows(target, source)
    assert weights(target) == [f"weights {n}" for n in range(3)]


def weights(settings: Settings) -> list[str]:
    """Return what every version's checked files hold."""
    registry = Registry.open(settings)
    found = [registry.fetch(version) for version in registry.versions("churn")]
    registry.database.close()
    return [(version.folder / "weights" / "model.txt").read_text() for version in found]


def test_every_room_with_tables_is_kept_or_left_apart() -> None:
    found: dict[str, Migrations] = {}
    for module in pkgutil.walk_packages(promise.__path__, "promise."):
        if ".cli" in module.name or "__main__" in module.name:
            continue
        try:
            values = vars(import_module(module.name)).values()
        except ModuleNotFoundError as error:
            if str(error.name).startswith("promise"):
                raise
            continue  # it needs an extra
        found |= {made.room: made for made in values if isinstance(made, Migrations)}
    local = {"index"}  # a file of each machine, made again from its log and the labels
    assert set(found) == set(ROOMS.by_name) | set(ROOMS.apart) | local


def test_what_is_apart_is_neither_kept_nor_cleared(target: Settings, tmp_path: Path) -> None:
    source = settings_of(tmp_path / "source")
    fill(source).database.close()
    apart = Migrations("feature_state", ("CREATE TABLE feature_entities (key TEXT)",))
    for settings in (source, target):
        database = Database(settings.database)
        database.migrate(apart)
        database.run(lambda c: c.execute(sa.text("INSERT INTO feature_entities VALUES ('e')")))
        database.close()
    kept = backup(str(tmp_path / "backup"), settings=source)
    assert not {"feature_entities", "feature_state"} & (
        set(kept.kept.tables) | set(kept.kept.steps)
    )
    restore(str(tmp_path / "backup"), settings=target, force=True)
    again = Database(target.database)
    again.migrate(apart)  # its steps are still known to be done
    with again.reading() as connection:
        assert count(connection, "feature_entities") == 1
    again.close()


def test_nothing_to_back_up_is_told(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="nothing to back up"):
        backup(str(tmp_path / "backup"), settings=settings_of(tmp_path / "empty"))


@pytest.mark.slow
def test_a_backup_on_s3_and_versions_on_s3(s3_bucket: str, tmp_path: Path) -> None:
    bucket = f"s3://{s3_bucket}"
    source = settings_of(tmp_path / "source", artifacts=f"{bucket}/artifacts")
    target = settings_of(tmp_path / "target")
    fill(source)
    to = f"{bucket}/backups/daily"
    assert backup(to, settings=source).copied > 0
    assert backup(to, settings=source, prune=True).copied == 0
    restore(to, settings=target)
    assert same_rows(target, source)
    version = Registry.open(target).find("churn@2")
    assert (version.folder / "weights" / "model.txt").read_text() == "weights 1"
    # and back into a store on S3, which has other locations
    there = settings_of(tmp_path / "third", artifacts=f"{bucket}/elsewhere")
    restore(to, settings=there)
    assert Registry.open(there).find("churn@2").location.startswith(f"{bucket}/elsewhere/churn/")
    with pytest.raises(StateError, match=f"there is no backup at {bucket}/nothing"):
        restore(f"{bucket}/nothing", settings=target, force=True)
    with pytest.raises(StateError, match=r"s3://elsewhere/x does not serve: .*bucket"):
        backup("s3://elsewhere/x", settings=source)
    later = backup(to, settings=source, live_only=True, prune=True)
    assert (later.pruned > 0, later.not_pruned) == (True, "")
