"""The table of versions, and how a version becomes a row and back."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from promise.registry.versions import Version
from promise.state.database import Migrations
from promise.state.moments import from_text, maybe_moment, maybe_text, to_text

VERSIONS = Migrations(
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
        "ALTER TABLE versions ADD COLUMN views TEXT NOT NULL DEFAULT '{}'",
        "ALTER TABLE versions ADD COLUMN state VARCHAR(16) NOT NULL DEFAULT 'active'",
        "ALTER TABLE versions ADD COLUMN archive_at VARCHAR(40)",
        "ALTER TABLE versions ADD COLUMN retired_because TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE versions ADD COLUMN purged INTEGER NOT NULL DEFAULT 0",
    ),
)
"""`folder` keeps a version's location in the artifact store; `purged` says its files are gone."""

_JSON = ("metrics", "lineage", "labels", "views")


def to_row(version: Version) -> dict[str, Any]:
    """Return the columns of a version."""
    return {
        "name": version.name,
        "number": version.number,
        "created": to_text(version.created),
        "workload": version.workload,
        "folder": version.location,
        "digest": version.digest,
        "state": version.state,
        "archive_at": maybe_text(version.archive_at),
        "retired_because": version.retired_because,
        **{key: json.dumps(getattr(version, key)) for key in _JSON},
    }


def from_row(row: Mapping[str, Any], place: Callable[[str], Path]) -> Version:
    """Return the version of a row; `place` tells the local folder of its location."""
    kept = {
        key: row[key]
        for key in ("name", "number", "workload", "digest", "state", "retired_because")
    }
    return Version(
        **kept,
        **{key: json.loads(row[key]) for key in _JSON},
        created=from_text(row["created"]),
        location=row["folder"],
        folder=place(row["folder"]),
        archive_at=maybe_moment(row["archive_at"]),
    )
