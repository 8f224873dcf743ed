"""Small versions to put into a registry."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from promise.clock import ManualClock
from promise.registry.registry import Registry
from promise.state.database import Database
from promise.state.files import digests

Write = Callable[..., Callable[[Path], None]]


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
