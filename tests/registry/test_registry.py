"""Versions are numbered without gaps or doubles, and found again with near names in errors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from promise.clock import ManualClock
from promise.errors import ConfigError, DataError
from promise.registry.registry import Registry
from promise.state.database import Database


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    database = Database(f"sqlite:///{tmp_path}/promise.db")
    return Registry(database, tmp_path / "artifacts", ManualClock())


def write(folder: Path) -> None:
    manifest = {
        "format": 1, "task": {"workload": "tabular"}, "metrics": {"score": 0.5}, "lineage": {},
    }  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_versions_count_up_and_are_found(registry: Registry) -> None:
    assert [str(registry.register("churn", write)) for _ in range(2)] == ["churn@1", "churn@2"]
    assert registry.find("churn").number == 2
    assert registry.find("churn@1").metrics == {"score": 0.5}
    with pytest.raises(DataError, match="did you mean 'churn'"):
        registry.find("chrun")
    with pytest.raises(DataError, match="it has 1, 2"):
        registry.find("churn@7")


def test_a_failed_registration_leaves_no_version_and_no_draft(registry: Registry) -> None:
    def fail(folder: Path) -> None:
        write(folder)
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError):
        registry.register("churn", fail)
    assert registry.versions() == []
    assert list(registry.artifacts.iterdir()) == []


def test_a_folder_left_by_a_kill_is_replaced(registry: Registry) -> None:
    left = registry.artifacts / "churn" / "1"
    left.mkdir(parents=True)
    (left / "junk").write_text("x")
    assert not (registry.register("churn", write).folder / "junk").exists()


@pytest.mark.parametrize("name", ["Churn", "1st", "", "a" * 64, "a b"])
def test_a_name_that_cannot_be_used_is_refused_with_one_that_can(
    registry: Registry, name: str
) -> None:
    with pytest.raises(ConfigError, match="lower-case"):
        registry.register(name, write)
