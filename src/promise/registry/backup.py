"""A backup: one moment of the database, and the files of its versions, each content once."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from promise.clock import Clock, SystemClock
from promise.errors import ArtifactError, StateError
from promise.registry.audit import newest_links
from promise.registry.backup_index import Kept, read_index, write_index
from promise.registry.dump import dump, snapshot
from promise.registry.marks import Mark, filling, pruning
from promise.registry.registry import Registry
from promise.registry.rooms import Rooms
from promise.registry.route import Route
from promise.registry.vault import Vault, open_place
from promise.settings import Settings
from promise.state.artifacts import Artifacts
from promise.state.artifacts_local import MANIFEST, files_of
from promise.state.database import Database
from promise.state.failpoints import reach


@dataclass(frozen=True)
class BackedUp:
    """What a run of `backup` did.

    Parameters
    ----------
    copied, copied_mb
        Files that were not at the target yet.
    pruned
        Files of earlier backups that were removed.
    not_pruned
        Why they were not, though that was asked for.
    """

    to: str
    kept: Kept
    copied: int
    copied_mb: float
    pruned: int
    not_pruned: str
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Return what `promise backup --json` prints."""
        return {
            "to": self.to,
            "created": self.kept.created.isoformat(),
            "tables": {name: rows for name, (_, rows, _) in self.kept.tables.items()},
            "versions": len(self.kept.versions),
            "without_files": self.kept.without,
            "records": len(self.kept.records),
            "copied_files": self.copied,
            "copied_mb": self.copied_mb,
            "pruned_files": self.pruned,
            "not_pruned": self.not_pruned,
            "seconds": self.seconds,
        }


def backup(
    to: str,
    *,
    rooms: Rooms,
    settings: Settings | None = None,
    live_only: bool = False,
    with_records: bool = False,
    prune: bool = False,
    clock: Clock | None = None,
) -> BackedUp:
    """Keep one consistent moment of an installation, while it goes on serving.

    Parameters
    ----------
    to
        A folder or `s3://bucket/prefix`; a backup that is there already is added to, so that
        files which it holds are not copied again, and replaced only when the new one is whole.
    rooms
        The tables of the installation.
    live_only
        Whether only files of versions that a route has loaded are kept, beside all metadata.
    with_records
        Whether the prediction log is kept too.
    prune
        Whether files that only earlier backups needed are removed afterwards; they stay, and
        `not_pruned` says so, while another backup is written to the same place.

    Raises
    ------
    StateError
        When the database was written by a newer Promise, or is away.
    """
    settings, clock = settings or Settings.load(), clock or SystemClock()
    begun = clock.monotonic()
    place = open_place(to)
    with filling(place, clock) as mark:
        vault = Vault(place)
        kept = _keep(vault, settings, rooms, clock, live_only, with_records)
        place.settle()
        reach("backup.copied")
        mark.check()
        write_index(kept, place)
        reach("backup.written")
        pruned, why = _prune(vault, rooms, mark, clock) if prune else (0, "")
    return BackedUp(
        place.where, kept, vault.copied, vault.copied_bytes / 2**20, pruned, why,
        clock.monotonic() - begun,
    )  # fmt: skip


def _keep(
    vault: Vault,
    settings: Settings,
    rooms: Rooms,
    clock: Clock,
    live_only: bool,
    with_records: bool,
) -> Kept:
    """Copy everything that the place lacks."""
    database = Database(settings.database)
    try:
        with tempfile.TemporaryDirectory() as scratch, snapshot(database) as connection:
            tables = _Tables(connection, rooms)
            kept = tables.keep(vault, Path(scratch), settings, clock, live_only)
            wanted = tables.wanted(live_only)
    finally:
        database.close()
    _keep_versions(kept, vault, wanted, Registry.open(settings).store)
    if with_records:
        _keep_records(kept, vault, settings.records)
    return kept


def _prune(vault: Vault, rooms: Rooms, mark: Mark, clock: Clock) -> tuple[int, str]:
    """Remove what the newest backup does not need; return how many files, or why none."""
    with pruning(vault.place, clock, mark) as busy:
        if busy:
            return 0, busy
        reach("backup.pruning")
        kept = read_index(vault.place, rooms)  # another may have ended since ours was written
        return vault.forget_all_but({blob.name for blob in kept.blobs()}), ""


@dataclass(frozen=True)
class _Tables:
    """The database at one moment."""

    connection: sa.Connection
    rooms: Rooms

    def keep(
        self, vault: Vault, scratch: Path, settings: Settings, clock: Clock, live_only: bool
    ) -> Kept:
        """Keep every table."""
        done = self.rooms.steps(self.connection)
        if not done:
            shown = sa.make_url(settings.database).render_as_string(hide_password=True)
            raise StateError(
                f"there is nothing to back up: {shown} holds no installation of Promise; check "
                "PROMISE_HOME and PROMISE_DATABASE."
            )
        where = settings.artifacts
        root = where if "://" in where else str(Path(where).absolute())
        tables = {}
        for table in self.rooms.present(self.connection):
            path = scratch / f"{table}.jsonl.gz"
            dumped = dump(self.connection, table, path)
            tables[table] = (dumped.columns, dumped.rows, vault.keep(path))
            path.unlink()
        return Kept(clock.now(), metadata.version("promise-ml"), root, live_only, done, tables)

    def wanted(self, live_only: bool) -> dict[str, tuple[str, str]]:
        """Return `NAME@V` to location and digest of the versions whose files are wanted."""
        if "versions" not in self.rooms.present(self.connection):
            return {}
        query = sa.text("SELECT * FROM versions ORDER BY name, number")
        rows = self.connection.execute(query).mappings().all()
        loaded = self._loaded() if live_only else None
        return {
            f"{row['name']}@{row['number']}": (row["folder"], row["digest"])
            for row in rows
            if (loaded is None or (row["name"], row["number"]) in loaded)
            and not row.get("purged")  # archived: the row is all that was to be kept
        }

    def _loaded(self) -> set[tuple[str, int]]:
        if "transitions" not in self.rooms.present(self.connection):
            return set()
        links = newest_links(self.connection)
        routes = [Route.from_json(json.loads(link["route"])) for link in links]
        return {(route.name, version) for route in routes for version in route.loaded}


def _keep_versions(
    kept: Kept, vault: Vault, wanted: Mapping[str, tuple[str, str]], store: Artifacts
) -> None:
    """Keep each version's files; one that is damaged is named, and the others are kept."""
    for name, (location, digest) in wanted.items():
        try:
            folder = store.local(location, digest)
            named = files_of((folder / MANIFEST).read_bytes(), location)
            kept.versions[name] = {
                path: vault.keep(folder / path, expected)
                for path, expected in (*named.items(), (MANIFEST, digest))
            }
        except (ArtifactError, FileNotFoundError, ValueError) as error:
            kept.without[name] = str(error)


def _keep_records(kept: Kept, vault: Vault, folder: Path) -> None:
    """Keep the segments as they are now; writers go on appending to the newest of them."""
    with tempfile.TemporaryDirectory() as scratch:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            copy = Path(scratch) / "segment"
            with suppress(FileNotFoundError):  # pruned meanwhile
                shutil.copyfile(path, copy)
                kept.records[path.relative_to(folder).as_posix()] = vault.keep(copy)
