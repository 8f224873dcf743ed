"""Empty places for stores, with what they left removed afterwards."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from tests.features.places import Place


@pytest.fixture
def redis_url(redis_server: str) -> Iterator[str]:
    """Yield a Redis URL with a prefix of its own after the #."""
    prefix = f"test:{{{uuid.uuid4().hex[:12]}}}"
    yield f"{redis_server}/5#{prefix}"
    with redis.Redis.from_url(f"{redis_server}/5") as client:
        for part in client.scan_iter(match=prefix + ":*", count=1000):
            client.delete(part)


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Yield an empty place of the kind that the test asks for."""
    kind = request.param
    if kind in ("postgres", "redis"):
        url = request.getfixturevalue({"postgres": "postgres_schema", "redis": "redis_url"}[kind])
    else:
        url = f"sqlite:///{tmp_path}/promise.db" if kind == "sqlite" else str(tmp_path / "state")
    made = Place(kind, url)
    yield made
    made.close()
