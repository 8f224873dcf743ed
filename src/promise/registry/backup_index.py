"""The index of a backup: what it holds, and the files that hold it."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from promise.errors import StateError
from promise.registry.rooms import Rooms
from promise.registry.vault import Blob, Place

FORMAT = 1
INDEX = "backup.json"
"""The file that names all others; written last, so that half a backup is none."""

Files = dict[str, Blob]


@dataclass(frozen=True)
class Kept:
    """What a backup holds, as `backup.json` says it.

    Parameters
    ----------
    artifacts
        The store from which versions were taken.
    steps
        Migration steps of each room.
    tables
        Table to its columns, number of rows and file.
    versions
        `NAME@V` to its files by relative path.
    without
        `NAME@V` to why its files are not here.
    records
        Segments of the prediction log; empty where they were not asked for.
    """

    created: datetime
    promise: str
    artifacts: str
    live_only: bool
    steps: dict[str, int]
    tables: dict[str, tuple[tuple[str, ...], int, Blob]]
    versions: dict[str, Files] = field(default_factory=dict)
    without: dict[str, str] = field(default_factory=dict)
    records: Files = field(default_factory=dict)

    def blobs(self) -> Iterator[Blob]:
        """Yield every file that this backup needs."""
        yield from (blob for _, _, blob in self.tables.values())
        for files in (*self.versions.values(), self.records):
            yield from files.values()

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary that `from_json` reads back."""
        return {
            **vars(self),
            "created": self.created.isoformat(),
            "tables": {n: [list(c), rows, b.to_json()] for n, (c, rows, b) in self.tables.items()},
            "versions": {name: _listed(files) for name, files in self.versions.items()},
            "records": _listed(self.records),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Kept:
        """Rebuild what `to_json` wrote."""
        read = {
            "created": datetime.fromisoformat(data["created"]),
            "tables": {n: (tuple(c), rows, Blob(*b)) for n, (c, rows, b) in data["tables"].items()},
            "versions": {name: _blobs(files) for name, files in data["versions"].items()},
            "records": _blobs(data["records"]),
        }
        return cls(**{**data, **read})


def _listed(files: Files) -> dict[str, list[Any]]:
    return {name: blob.to_json() for name, blob in files.items()}


def _blobs(files: Mapping[str, list[Any]]) -> Files:
    return {name: Blob(*blob) for name, blob in files.items()}


def write_index(kept: Kept, place: Place) -> None:
    """Write `backup.json`, from which moment on the backup counts."""
    content = json.dumps(kept.to_json(), sort_keys=True, separators=(",", ":"))
    head = {"format": FORMAT, "sha256": hashlib.sha256(content.encode()).hexdigest()}
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / INDEX
        path.write_text(f"{json.dumps(head)}\n{content}\n", encoding="utf-8")
        place.put(path, INDEX)


def read_index(place: Place, rooms: Rooms) -> Kept:
    """Read `backup.json`; one that is absent, damaged or newer is refused in words."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / INDEX
        try:
            place.get(INDEX, path)
        except FileNotFoundError as error:
            raise StateError(
                f"there is no backup at {place.where}: it has no {INDEX}, which is written last; "
                "name the folder that `promise backup` filled."
            ) from error
        head, _, content = path.read_text(encoding="utf-8").partition("\n")
    content = content.removesuffix("\n")
    try:
        said = json.loads(head)
        written, digest = said["format"], said["sha256"]
    except (ValueError, TypeError, KeyError) as error:
        raise _damaged(place) from error
    if written > FORMAT:
        raise StateError(
            f"the backup at {place.where} is of format {written}, this installation reads format "
            f"{FORMAT}; upgrade Promise and run the command again."
        )
    if hashlib.sha256(content.encode()).hexdigest() != digest:
        raise _damaged(place)
    kept = Kept.from_json(json.loads(content))
    rooms.refuse_newer(kept.steps, f"the backup at {place.where}")
    return kept


def _damaged(place: Place) -> StateError:
    return StateError(
        f"the backup at {place.where} is damaged: {INDEX} has changed since it was written; "
        "nothing was restored; use another backup."
    )
