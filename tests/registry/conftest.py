"""An empty database of each kind, and small versions to put into it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from promise.clock import ManualClock
from promise.registry.registry import Registry
from promise.state.database import Database
from promise.state.files import digests

Write = Callable[..., Callable[[Path], None]]


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """Yield an empty database: a SQLite file, or a schema of its own in Postgres."""
    if request.param == "sqlite":
        made = Database(f"sqlite:///{tmp_path}/promise.db")
        yield made
        made.close()
        return
    url = sa.make_url(request.getfixturevalue("postgres_url"))
    schema = f"t{uuid.uuid4().hex[:12]}"
    admin = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.pool.NullPool)
    with admin.connect() as connection:
        connection.execute(sa.text(f"CREATE SCHEMA {schema}"))
    own = url.update_query_dict({"options": f"-csearch_path={schema}"})
    made = Database(own.render_as_string(hide_password=False))
    yield made
    made.close()
    with admin.connect() as connection:
        connection.execute(sa.text(f"DROP SCHEMA {schema} CASCADE"))


@pytest.fixture
def registry(database: Database, tmp_path: Path) -> Registry:
    """Return a registry with nothing in it and a clock that stands still."""
    return Registry(database, tmp_path / "artifacts", ManualClock())


@pytest.fixture
def write() -> Write:
    """Return what fills a version folder, with any part of the manifest as given."""

    def fill(text: str = "a card", **given: Any) -> Callable[[Path], None]:
        def into(folder: Path) -> None:
            (folder / "card.md").write_text(text)
            manifest = {
                "format": 1,
                "task": {"workload": "tabular"},
                "metrics": {"score": 0.5},
                "lineage": {},
                "digests": digests(folder),
                **given,
            }
            (folder / "manifest.json").write_text(json.dumps(manifest))

        return into

    return fill
