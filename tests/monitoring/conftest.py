"""Installations to collect from: on both databases, and embedded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.monitoring.house import House

from promise.clock import ManualClock
from promise.settings import Settings
from promise.state.database import Database


@pytest.fixture
def house(database: Database, tmp_path: Path) -> Iterator[House]:
    settings = Settings.load(
        {"PROMISE_HOME": str(tmp_path / "home"), "PROMISE_DATABASE": database.url}
    )
    made = House(settings, ManualClock(), database)
    yield made
    made.registry.database.close()


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[House]:
    settings = Settings.load({"PROMISE_HOME": str(tmp_path / "home")})
    made = House(settings, ManualClock(), Database(settings.database))
    yield made
    made.registry.database.close()
    made.database.close()
