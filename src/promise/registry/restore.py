"""An installation from a backup: checked whole before anything is changed, then all or nothing."""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import sqlalchemy as sa

from promise.clock import Clock, SystemClock
from promise.errors import ArtifactError, StateError
from promise.registry.audit import CHAIN, chain_of, first_wrong
from promise.registry.backup_index import Files, Kept, read_index
from promise.registry.dump import count, load
from promise.registry.epoch import EPOCH, grow_epoch, read_epoch
from promise.registry.registry import Registry
from promise.registry.rooms import Rooms
from promise.registry.tables import VERSIONS
from promise.registry.vault import Vault, open_place
from promise.registry.versions import check_name, parse_reference
from promise.settings import Settings
from promise.state.artifacts import Artifacts
from promise.state.artifacts_local import MANIFEST, files_of, link_folder
from promise.state.database import Database, climb
from promise.state.failpoints import reach
from promise.state.files import check_digests, whole_file


@dataclass(frozen=True)
class Restored:
    """What a run of `restore` did.

    Parameters
    ----------
    rows
        Table to the number of rows that it has now.
    versions
        How many versions have their files.
    without
        `NAME@V` to why its files were not in the backup.
    chains
        How many chains of transitions were verified.
    """

    kept: Kept
    source: str
    rows: dict[str, int]
    versions: int
    without: dict[str, str]
    records: int
    chains: int
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Return what `promise restore --json` prints."""
        return {
            "from": self.source,
            "created": self.kept.created.isoformat(),
            "rows": self.rows,
            "versions": self.versions,
            "without_files": self.without,
            "records": self.records,
            "verified_chains": self.chains,
            "seconds": self.seconds,
        }


def restore(
    source: str,
    *,
    rooms: Rooms,
    settings: Settings | None = None,
    force: bool = False,
    clock: Clock | None = None,
) -> Restored:
    """Bring a backup back, from either database into either; all of it or nothing.

    Every file is fetched and checked first. Then one transaction makes the tables anew, fills
    them, climbs the migrations that came later, verifies every chain of transitions and puts
    the versions' folders in place.

    Parameters
    ----------
    source
        The folder or `s3://bucket/prefix` that `promise backup` filled.
    rooms
        The tables of the installation.
    force
        Whether an installation that is in use gives way.

    Raises
    ------
    StateError
        When the backup is absent, damaged or newer, or the installation is in use.
    """
    settings, clock = settings or Settings.load(), clock or SystemClock()
    begun = clock.monotonic()
    place = open_place(source)
    kept = read_index(place, rooms)
    registry = Registry.open(settings)
    database, store = registry.database, registry.store
    try:
        if not force:
            _refuse_in_use(database, rooms, settings)
        with tempfile.TemporaryDirectory() as scratch, contextlib.ExitStack() as drafts:
            vault = Vault(place)
            tables = _fetch_tables(kept, vault, Path(scratch))
            folders = {
                name: _fetch_version(name, files, vault, store, drafts)
                for name, files in kept.versions.items()
            }
            _fetch_records(kept, vault, settings.records, drafts)
            found = _Found(kept, rooms, tables, folders, store)
            chains = database.run(lambda connection: _fill(connection, found, settings))
        with database.reading() as connection:
            rows = {t: count(connection, t) for t in rooms.present(connection)}
    finally:
        database.close()
    return Restored(
        kept, place.where, rows, len(folders), dict(kept.without), len(kept.records), chains,
        clock.monotonic() - begun,
    )  # fmt: skip


def _refuse_in_use(database: Database, rooms: Rooms, settings: Settings) -> None:
    with database.reading() as connection:
        used = rooms.in_use(connection)
    if used:
        shown = sa.make_url(settings.database).render_as_string(hide_password=True)
        raise StateError(
            f"the installation at {shown} is in use ({', '.join(used[:4])} hold rows); restore "
            "into an empty one, or say --force to replace everything in it."
        )


def _refuse(vault: Vault, why: str) -> NoReturn:
    raise StateError(
        f"the backup at {vault.place.where} is damaged: {why}; nothing was restored; "
        "use another backup."
    )


@dataclass(frozen=True)
class _Place:
    """Where a version's files will lie, and the draft that is to be put there, if any."""

    title: str
    number: int
    location: str
    draft: Path | None


@dataclass(frozen=True)
class _Found:
    """Everything that was fetched and checked."""

    kept: Kept
    rooms: Rooms
    tables: dict[str, Path]
    folders: dict[str, _Place]
    store: Artifacts


def _fetch_tables(kept: Kept, vault: Vault, scratch: Path) -> dict[str, Path]:
    paths = {}
    for table, (_, _, blob) in kept.tables.items():
        paths[table] = scratch / f"{table}.jsonl.gz"
        vault.fetch(blob, paths[table], f"table {table}")
    return paths


def _fetch_version(
    name: str, files: Files, vault: Vault, store: Artifacts, drafts: contextlib.ExitStack
) -> _Place:
    """Fetch what the store lacks of a version; files that are there and whole stay."""
    title, number = parse_reference(name)
    if not isinstance(number, int):
        _refuse(vault, f"it names a version {name!r}")
    check_name(title)
    draft = drafts.enter_context(store.draft())
    vault.fetch(files[MANIFEST], draft / MANIFEST, f"{name}: {MANIFEST}")
    named = files_of((draft / MANIFEST).read_bytes(), name)
    if set(named) != set(files) - {MANIFEST}:
        _refuse(vault, f"{name} does not have the files that its manifest names")
    location = store.location(draft, title, number)
    digest = files[MANIFEST].sha256
    if (
        "://" not in location
        and store.exists(location)
        and not _whole(store, location, digest, named)
    ):
        # what lies there belongs to the installation that is there until the very commit
        location = f"{location}-{digest[:12]}"
    if _whole(store, location, digest, named):
        return _Place(title, number, location, None)
    for path, expected in named.items():
        if files[path].sha256 != expected:
            _refuse(vault, f"{name}: {path} is not the file that its manifest names")
        vault.fetch(files[path], draft / path, f"{name}: {path}")
    store.prepare(draft, title)
    return _Place(title, number, location, draft)


def _whole(store: Artifacts, location: str, digest: str, named: dict[str, str]) -> bool:
    if not store.exists(location):
        return False
    try:
        check_digests(store.local(location, digest), named)
    except ArtifactError:
        return False
    return True


def _fetch_records(kept: Kept, vault: Vault, folder: Path, drafts: contextlib.ExitStack) -> None:
    """Fetch the prediction log; it takes its place when `drafts` ends without an error."""
    for name, blob in kept.records.items():
        target = folder / name
        if not target.resolve().is_relative_to(folder.resolve()):
            _refuse(vault, f"it names a file outside the records, {name}")
        vault.fetch(blob, drafts.enter_context(whole_file(target)), f"records {name}")


def _fill(connection: sa.Connection, found: _Found, settings: Settings) -> int:
    """Make, fill and check the tables; return how many chains were verified."""
    kept, rooms = found.kept, found.rooms
    known = rooms.steps(connection)
    before = read_epoch(connection) if "epoch" in known else 0
    rooms.rebuild(connection, kept.steps)
    for table, (columns, rows, _) in kept.tables.items():
        load(connection, table, columns, found.tables[table])
        if count(connection, table) != rows:
            raise StateError(
                f"table {table} has {count(connection, table)} rows, {rows} were kept; "
                "nothing was restored."
            )
    # other rooms make their tables when they first need them
    for room in {*kept.steps, VERSIONS.room, CHAIN.room, EPOCH.room}:
        climb(connection, rooms.by_name[room])
    chains = _verify_chains(connection)
    reach("restore.filled")
    _place_versions(connection, found, settings)
    # running servers must notice, whatever number they saw last
    connection.execute(
        sa.text("UPDATE epoch SET number = :before WHERE number < :before"), {"before": before}
    )
    grow_epoch(connection)
    reach("restore.placed")
    return chains


def _verify_chains(connection: sa.Connection) -> int:
    names = connection.execute(sa.text("SELECT DISTINCT name FROM transitions")).scalars().all()
    for name in names:
        wrong = first_wrong(chain_of(connection, name))
        if wrong is not None:
            raise StateError(
                f"link {wrong} of the chain of {name} was changed after it was written; nothing "
                "was restored; use a backup from before, or keep this one as evidence."
            )
    return len(names)


def _place_versions(connection: sa.Connection, found: _Found, settings: Settings) -> None:
    """Let rows point into this installation's store, and put the drafts there."""
    old, new = found.kept.artifacts.rstrip("/"), settings.artifacts
    rows = connection.execute(sa.text("SELECT name, number, folder FROM versions")).all()
    moved = []
    for name, number, folder in rows:
        place = found.folders.get(f"{name}@{number}")
        if place is not None:
            there = place.location
        elif "://" not in folder + new and Path(folder).is_relative_to(Path(old).absolute()):
            # its files were not kept; copied by hand, they will be found under the new root
            there = str(Path(new).absolute() / Path(folder).relative_to(Path(old).absolute()))
        else:
            continue
        if there != folder:
            moved.append({"name": name, "number": number, "folder": there})
    if moved:
        update = "UPDATE versions SET folder = :folder WHERE name = :name AND number = :number"
        connection.execute(sa.text(update), moved)
    for place in found.folders.values():
        if place.draft is None:
            continue
        if found.store.location(place.draft, place.title, place.number) == place.location:
            found.store.publish(place.draft, place.title, place.number)
        else:
            link_folder(place.draft, Path(place.location))
