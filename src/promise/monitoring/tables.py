"""The tables of the local index, which is always SQLite."""

from __future__ import annotations

from promise.state.database import Migrations

INDEX = Migrations(
    "index",
    (
        "CREATE TABLE facts (key TEXT PRIMARY KEY, value TEXT NOT NULL)",
        """CREATE TABLE places (
            model TEXT NOT NULL, segment TEXT NOT NULL, read INTEGER NOT NULL,
            PRIMARY KEY (model, segment)
        ) WITHOUT ROWID""",
        """CREATE TABLE answers (
            id TEXT NOT NULL, model TEXT NOT NULL, version INTEGER NOT NULL, at REAL NOT NULL,
            arm TEXT NOT NULL, output BLOB NOT NULL, groups TEXT NOT NULL,
            PRIMARY KEY (id, model, version)
        ) WITHOUT ROWID""",
        "CREATE INDEX answers_by_time ON answers (at)",
        """CREATE TABLE drift (
            model TEXT NOT NULL, version INTEGER NOT NULL, feature TEXT NOT NULL,
            begun TEXT NOT NULL, counts TEXT NOT NULL, dirty INTEGER NOT NULL,
            PRIMARY KEY (model, version, feature, begun)
        ) WITHOUT ROWID""",
        "CREATE INDEX drift_dirty ON drift (dirty) WHERE dirty > 0",
        # labels come before their line is read, and before a shadow's second line
        """CREATE TABLE came (
            id TEXT PRIMARY KEY, number INTEGER NOT NULL, value TEXT NOT NULL, at REAL NOT NULL
        ) WITHOUT ROWID""",
        """CREATE TABLE outcomes (
            id TEXT NOT NULL, model TEXT NOT NULL, version INTEGER NOT NULL,
            block INTEGER NOT NULL, place INTEGER NOT NULL, number INTEGER NOT NULL,
            y REAL, output BLOB NOT NULL, groups TEXT NOT NULL, at REAL NOT NULL,
            arm TEXT NOT NULL,
            PRIMARY KEY (id, model, version)
        ) WITHOUT ROWID""",
        "CREATE UNIQUE INDEX outcomes_by_place ON outcomes (model, version, block, place)",
        """CREATE TABLE blocks (
            model TEXT NOT NULL, version INTEGER NOT NULL, block INTEGER NOT NULL,
            n_rows INTEGER NOT NULL, dirty INTEGER NOT NULL,
            PRIMARY KEY (model, version, block)
        ) WITHOUT ROWID""",
        """CREATE TABLE strange (
            model TEXT NOT NULL, value TEXT NOT NULL, n INTEGER NOT NULL,
            PRIMARY KEY (model, value)
        ) WITHOUT ROWID""",
    ),
)
"""The tables of the index; always SQLite."""
