"""Versions are numbered without gaps or doubles, and found again with near names in errors."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import pytest
import sqlalchemy as sa

from promise.clock import ManualClock
from promise.errors import ArtifactError, ConfigError, DataError
from promise.promises.spec import ModelFile
from promise.registry.lifecycle import Route
from promise.registry.lineage import code_version
from promise.registry.registry import Registry
from promise.registry.revisions import Revisions
from promise.registry.tables import VERSIONS
from promise.state.database import Database, Migrations

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")


def test_versions_count_up_and_are_found(registry: Registry, write) -> None:
    assert [str(registry.register("churn", write())) for _ in range(2)] == ["churn@1", "churn@2"]
    assert registry.find("churn").number == 2
    found = registry.find("churn@1")
    assert (found.metrics, (found.folder / "card.md").read_text()) == ({"score": 0.5}, "a card")
    with pytest.raises(DataError, match="did you mean 'churn'"):
        registry.find("chrun")
    with pytest.raises(DataError, match="it has 1, 2"):
        registry.find("churn@7")


def test_a_failed_registration_leaves_no_version_and_no_draft(registry: Registry, write) -> None:
    def fail(folder: Path) -> None:
        write()(folder)
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError):
        registry.register("churn", fail)
    assert registry.versions() == []
    assert list(registry.artifacts.iterdir()) == []


def test_a_folder_left_by_a_kill_is_replaced(registry: Registry, write) -> None:
    left = registry.artifacts / "churn" / "1"
    left.mkdir(parents=True)
    (left / "junk").write_text("x")
    assert not (registry.register("churn", write()).folder / "junk").exists()


@pytest.mark.parametrize("name", ["Churn", "1st", "", "a" * 64, "a b", "../x"])
def test_a_name_that_cannot_be_used_is_refused_with_one_that_can(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="lower-case"):
        Registry(Database("sqlite://"), tmp_path).register(name, lambda folder: None)


def register(url: str, artifacts: Path, write, times: int, who: int) -> None:
    registry = Registry(Database(url), artifacts)
    for turn in range(times):
        registry.register("churn", write(f"{who} {turn}"))
    registry.database.close()


@pytest.mark.slow
def test_four_processes_register_without_gap_or_mix(registry: Registry, write) -> None:
    context = multiprocessing.get_context("fork")
    arguments = (registry.database.url, registry.artifacts, write, 4)
    workers = [context.Process(target=register, args=(*arguments, who)) for who in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0] * 4
    found = registry.versions("churn")
    assert [version.number for version in found] == list(range(1, 17))
    cards = {(registry.fetch(version).folder / "card.md").read_text() for version in found}
    assert cards == {f"{who} {turn}" for who in range(4) for turn in range(4)}
    assert sorted(p.name for p in registry.artifacts.iterdir()) == ["churn"]


def test_a_version_says_where_it_came_from(registry: Registry, write) -> None:
    Revisions(registry.database, registry.clock).declare("churn", ModelFile(name="churn"))
    registry.register("churn", write())
    views = {"velocity": {"version": 3}}
    lineage = {"fingerprint": "ab", "seed": 7}
    made = registry.register("churn", write(lineage=lineage, views=views), parents=["churn@1"])
    found = registry.find("churn@2")
    assert found == made
    assert found.lineage["parents"] == ["churn@1"]
    assert (found.lineage["seed"], found.lineage["fingerprint"]) == (7, "ab")
    assert found.lineage["promise_revision"] == 1
    assert found.lineage["code"] == code_version()
    assert found.views == views


def test_the_commit_of_a_checkout_is_read_in_each_of_git_s_forms(tmp_path: Path) -> None:
    source, git = tmp_path / "src" / "it.py", tmp_path / ".git"
    (git / "refs" / "heads").mkdir(parents=True)
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    assert "commit" not in code_version(source)
    (git / "packed-refs").write_text("# pack-refs\naaa refs/heads/main\n")
    assert code_version(source)["commit"] == "aaa"
    (git / "refs" / "heads" / "main").write_text("bbb\n")
    assert code_version(source)["commit"] == "bbb"
    (git / "HEAD").write_text("ccc\n")
    assert code_version(source)["commit"] == "ccc"
    assert "commit" not in code_version(tmp_path / "venv" / "site-packages" / "promise" / "it.py")
    tree = tmp_path / "tree"
    (git / "worktrees" / "tree").mkdir(parents=True)
    tree.mkdir()
    (tree / ".git").write_text(f"gitdir: {git}/worktrees/tree\n")
    (git / "worktrees" / "tree" / "HEAD").write_text("ref: refs/heads/main\n")
    (git / "worktrees" / "tree" / "commondir").write_text("../..\n")
    assert code_version(tree / "it.py")["commit"] == "bbb"


def test_labels_are_set_and_taken_away(registry: Registry, write) -> None:
    registry.register("churn", write())
    registry.label("churn@1", {"owner": "risk", "region": "eu"})
    assert registry.label("churn@1", {"region": ""}).labels == {"owner": "risk"}
    assert registry.label("churn@1", {"owner": None}).labels == {}
    with pytest.raises(ConfigError, match="'a b'"):
        registry.label("churn@1", {"a b": "x"})


def test_a_version_is_found_by_alias_and_by_role(registry: Registry, write) -> None:
    for _ in range(3):
        registry.register("churn", write())
    with pytest.raises(DataError, match="promise deploy churn"):
        registry.find("churn@live")
    route = Route("churn", stage="canary", live=1, candidate=2)
    registry.lifecycle.commit(None, "deploy", route, reason="why not")
    registry.aliases.set("churn", "champion", 3)
    found = [registry.find(f"churn@{mark}").number for mark in ("live", "candidate", "champion")]
    assert found == [1, 2, 3]
    with pytest.raises(DataError, match="did you mean 'champion'"):
        registry.find("churn@champoin")
    with pytest.raises(DataError, match="no model 'chrun'"):
        registry.find("chrun@champion")
    with pytest.raises(ConfigError, match="version number or an alias"):
        registry.find("churn@3.5")


def test_a_changed_manifest_is_refused(registry: Registry, write) -> None:
    folder = registry.register("churn", write()).folder
    (folder / "manifest.json").write_text("{}")
    with pytest.raises(ArtifactError, match="not the one that was registered"):
        registry.find("churn@1")
    (folder / "manifest.json").unlink()
    with pytest.raises(ArtifactError, match="missing"):
        registry.find("churn@1")


def test_an_older_database_is_brought_up_and_keeps_its_rows(
    database: Database, tmp_path: Path, write
) -> None:
    database.migrate(Migrations("registry", VERSIONS.steps[:1]))
    folder = tmp_path / "artifacts" / "churn" / "1"
    folder.mkdir(parents=True)
    write()(folder)
    digest = Registry(Database("sqlite://"), tmp_path / "other").register("churn", write()).digest
    with database.transaction() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO versions VALUES ('churn', 1, '2026-01-02T03:04:05+00:00', 'tabular', "
                ":folder, :digest, '{\"score\": 0.75}', '{}', '{\"owner\": \"risk\"}')"
            ),
            {"folder": str(folder), "digest": digest},
        )
    registry = Registry(Database(database.url), tmp_path / "artifacts", ManualClock())
    found = registry.find("churn@1")
    assert (found.metrics, found.labels) == ({"score": 0.75}, {"owner": "risk"})
    assert (found.state, found.views, found.folder) == ("active", {}, folder)
    assert registry.register("churn", write()).number == 2
    with pytest.raises(ConfigError, match="newer Promise"):
        Database(database.url).migrate(Migrations("registry", VERSIONS.steps[:1]))
    registry.database.close()


def register_until_killed(url: str, artifacts: Path, write, point: str) -> None:
    os.environ["PROMISE_FAILPOINT"] = point
    registry = Registry(Database(url), artifacts)
    for turn in range(3):
        registry.register("churn", write(str(turn)))


@pytest.mark.slow
@pytest.mark.parametrize("point", ["inserted", "published"])
def test_a_kill_leaves_a_version_whole_or_absent(registry: Registry, write, point: str) -> None:
    registry.register("churn", write("before"))
    worker = multiprocessing.get_context("fork").Process(
        target=register_until_killed,
        args=(registry.database.url, registry.artifacts, write, f"registry.register.{point}:2"),
    )
    worker.start()
    worker.join(60)
    assert worker.exitcode == -9
    assert [version.number for version in registry.versions("churn")] == [1, 2]
    made = registry.register("churn", write("after"))
    assert (made.number, (registry.find("churn@3").folder / "card.md").read_text()) == (3, "after")
