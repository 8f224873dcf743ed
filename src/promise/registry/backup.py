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
from promise.registry.backup_index import Kept, write_index
from promise.registry.dump import dump, present, snapshot, steps
from promise.registry.registry import Registry
from promise.registry.route import Route
from promise.registry.vault import Vault, open_place
from promise.settings import Settings
from promise.state.artifacts import MANIFEST, Artifacts, files_of
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
    """

    to: str
    kept: Kept
    copied: int
    copied_mb: float
    pruned: int
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
            "seconds": self.seconds,
        }


def backup(
    to: str,
    *,
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
    live_only
        Whether only files of versions that a route has loaded are kept, beside all metadata.
    with_records
        Whether the prediction log is kept too.
    prune
        Whether files that only earlier backups needed are removed afterwards.

    Raises
    ------
    StateError
        When the database was written by a newer Promise, or is away.
    """
    settings, clock = settings or Settings.load(), clock or SystemClock()
    begun = clock.monotonic()
    place = open_place(to)
    vault = Vault(place)
    database = Database(settings.database)
    try:
        with tempfile.TemporaryDirectory() as scratch, snapshot(database) as connection:
            kept = _keep_database(connection, vault, Path(scratch), settings, clock, live_only)
            wanted = _wanted(connection, live_only)
    finally:
        database.close()
    _keep_versions(kept, vault, wanted, Registry.open(settings).store)
    if with_records:
        _keep_records(kept, vault, settings.records)
    place.settle()
    reach("backup.copied")
    write_index(kept, place)
    reach("backup.written")
    pruned = vault.forget_all_but({blob.name for blob in kept.blobs()}) if prune else 0
    return BackedUp(
        place.where, kept, vault.copied, vault.copied_bytes / 2**20, pruned,
        clock.monotonic() - begun,
    )  # fmt: skip


def _keep_database(
    connection: sa.Connection,
    vault: Vault,
    scratch: Path,
    settings: Settings,
    clock: Clock,
    live_only: bool,
) -> Kept:
    done = steps(connection)
    if not done:
        shown = sa.make_url(settings.database).render_as_string(hide_password=True)
        raise StateError(
            f"there is nothing to back up: {shown} holds no installation of Promise; check "
            "PROMISE_HOME and PROMISE_DATABASE."
        )
    where = settings.artifacts
    root = where if "://" in where else str(Path(where).absolute())
    tables = {}
    for table in present(connection):
        path = scratch / f"{table}.jsonl.gz"
        dumped = dump(connection, table, path)
        tables[table] = (dumped.columns, dumped.rows, vault.keep(path))
        path.unlink()
    return Kept(clock.now(), metadata.version("promise-ml"), root, live_only, done, tables)


def _wanted(connection: sa.Connection, live_only: bool) -> dict[str, tuple[str, str]]:
    """Return `NAME@V` to location and digest of the versions whose files are wanted."""
    if "versions" not in present(connection):
        return {}
    query = sa.text("SELECT * FROM versions ORDER BY name, number")
    rows = connection.execute(query).mappings().all()
    loaded = _loaded(connection) if live_only else None
    return {
        f"{row['name']}@{row['number']}": (row["folder"], row["digest"])
        for row in rows
        if (loaded is None or (row["name"], row["number"]) in loaded)
        and not row.get("purged")  # archived: the row is all that was to be kept
    }


def _loaded(connection: sa.Connection) -> set[tuple[str, int]]:
    if "transitions" not in present(connection):
        return set()
    routes = [Route.from_json(json.loads(link["route"])) for link in newest_links(connection)]
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
