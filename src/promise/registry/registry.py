"""The registry: every version of every name, in one database, written in one transaction."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from promise.clock import Clock, SystemClock
from promise.errors import ConfigError, DataError, near
from promise.pipeline.artifact import read_manifest
from promise.registry.versions import Version, check_name, parse_reference
from promise.settings import Settings
from promise.state.database import Database, Migrations
from promise.state.files import sha256

_TABLES = Migrations(
    "registry",
    (
        """CREATE TABLE versions (
            name VARCHAR(63) NOT NULL,
            number INTEGER NOT NULL,
            created VARCHAR(40) NOT NULL,
            workload VARCHAR(63) NOT NULL,
            folder TEXT NOT NULL,
            digest CHAR(64) NOT NULL,
            metrics TEXT NOT NULL,
            lineage TEXT NOT NULL,
            labels TEXT NOT NULL,
            PRIMARY KEY (name, number)
        )""",
    ),
)


@dataclass
class Registry:
    """Registers version folders under a name and finds them again.

    Parameters
    ----------
    database
        Where the rows live.
    artifacts
        The folder under which version folders lie, as `NAME/NUMBER`.
    """

    database: Database
    artifacts: Path
    clock: Clock = field(default_factory=SystemClock)

    @classmethod
    def open(cls, settings: Settings | None = None) -> Registry:
        """Open the registry of this installation; tables are made at first use."""
        settings = settings or Settings.load()
        if "://" in settings.artifacts:
            raise ConfigError(
                f"PROMISE_ARTIFACTS is {settings.artifacts!r}; version folders are kept in a local "
                "or mounted folder: name one."
            )
        return cls(Database(settings.database), Path(settings.artifacts).absolute())

    def register(self, name: str, write: Callable[[Path], None]) -> Version:
        """Make the next version of a name: `write` fills its folder, then the row is committed.

        The folder takes its final place inside the transaction that adds the row, so a kill
        leaves at most an unregistered folder, which the next registration replaces.
        """
        check_name(name)
        self.database.migrate(_TABLES)
        self.artifacts.mkdir(parents=True, exist_ok=True)
        draft = self.artifacts / f".draft-{uuid.uuid4().hex}"
        draft.mkdir()
        try:
            write(draft)
            return self._commit(name, draft)
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def _commit(self, name: str, draft: Path) -> Version:
        manifest = read_manifest(draft)
        with self.database.transaction() as connection:
            newest = connection.execute(
                sa.text("SELECT COALESCE(MAX(number), 0) FROM versions WHERE name = :name"),
                {"name": name},
            ).scalar_one()
            folder = self.artifacts / name / str(newest + 1)
            if folder.exists():  # left by a kill between the rename and the commit
                shutil.rmtree(folder)
            folder.parent.mkdir(parents=True, exist_ok=True)
            version = Version(
                name=name,
                number=newest + 1,
                created=self.clock.now(),
                workload=manifest["task"]["workload"],
                folder=folder,
                digest=sha256(draft / "manifest.json"),
                metrics=manifest["metrics"],
                lineage=manifest["lineage"],
                labels={},
            )
            connection.execute(
                sa.text(
                    "INSERT INTO versions VALUES (:name, :number, :created, :workload, :folder, "
                    ":digest, :metrics, :lineage, :labels)"
                ),
                _to_row(version),
            )
            draft.rename(folder)
        return version

    def versions(self, name: str | None = None) -> list[Version]:
        """List the versions of one name or of all, oldest first."""
        self.database.migrate(_TABLES)
        clause = "" if name is None else " WHERE name = :name"
        query = f"SELECT * FROM versions{clause} ORDER BY name, number"
        with self.database.reading() as connection:
            rows = connection.execute(sa.text(query), {} if name is None else {"name": name})
            return [_from_row(dict(row)) for row in rows.mappings()]

    def find(self, reference: str) -> Version:
        """Return the version `NAME@V`, or the newest of `NAME`.

        Raises
        ------
        DataError
            When there is none; near names are given.
        """
        name, number = parse_reference(reference)
        found = self.versions(name)
        if not found:
            names = sorted({version.name for version in self.versions()})
            hint = near(name, names) if names else "nothing is registered yet; run `promise demo`."
            raise DataError(f"there is no model {name!r}; {hint}")
        if number is None:
            return found[-1]
        for version in found:
            if version.number == number:
                return version
        raise DataError(
            f"{name} has no version {number}; it has {', '.join(str(v.number) for v in found)}."
        )


def _to_row(version: Version) -> dict[str, Any]:
    return {
        **vars(version),
        "created": version.created.astimezone(UTC).isoformat(),
        "folder": str(version.folder),
        **{key: json.dumps(getattr(version, key)) for key in ("metrics", "lineage", "labels")},
    }


def _from_row(row: dict[str, Any]) -> Version:
    parsed = {key: json.loads(row[key]) for key in ("metrics", "lineage", "labels")}
    return Version(
        **{
            **row,
            **parsed,
            "created": datetime.fromisoformat(row["created"]),
            "folder": Path(row["folder"]),
        }
    )
