"""Lists are trained again on what they were trained on and their log, and go on only by a win."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from promise.cli.main import app
from promise.data.synthetic_people import people_events, people_table
from promise.errors import DataError
from promise.records.events import Events
from promise.registry.registry import Registry
from promise.retraining.facts import FactReader
from promise.retraining.lists import gather_events, learned_until
from promise.retraining.run import Retraining, ask
from promise.rollout.deploy import deploy
from promise.settings import Settings
from promise.training.train import train_version
from promise.workloads.matching.finder import PeopleFinder

from .conftest import WORLD


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Train on the first half of a world's files, deploy, and import all of its events."""
    environment = {"PROMISE_HOME": str(tmp_path / "home")}
    settings = Settings.load(environment)
    events = people_events(WORLD)
    early = events.filter(pc.less(events.column("at"), events.column("at")[events.num_rows // 2]))
    tables = {"people": people_table(WORLD), "early": early, "events": events}
    for name, table in tables.items():
        pq.write_table(table, tmp_path / f"{name}.parquet")
    trained = train_version(
        "matching", str(tmp_path / "early.parquet"), name="meet", preset="reference",
        people=str(tmp_path / "people.parquet"), settings=settings,
    )  # fmt: skip
    deploy(str(trained.version), settings=settings, gate_seconds=0.1)
    words = ["events", "meet", str(tmp_path / "events.parquet"), "--json"]
    done = CliRunner().invoke(app, words, env=environment, catch_exceptions=False)
    assert json.loads(done.stdout)["accepted"] == events.num_rows
    return settings


def late(table: pa.Table) -> list[dict[str, Any]]:
    rows = table.slice(table.num_rows // 2).to_pylist()
    return [row for row in rows if row["type"] != "impression"]


@pytest.mark.slow
def test_a_version_is_trained_again_on_its_files_and_its_log(
    settings: Settings, tmp_path: Path
) -> None:
    registry = Registry.open(settings)
    live = registry.find("meet@live")
    reader = FactReader(registry, registry.clock)
    new = reader._new_decisions(live, ())
    known, until = learned_until(live)
    assert (known, until is not None) == (0, True)
    assert new == pytest.approx(len(late(people_events(WORLD))), abs=2)  # none of the files' own
    assert ask("meet", "", settings=settings) is True
    retraining = Retraining(settings, gate_seconds=0.1)
    run = retraining.run("meet")
    assert run is not None
    assert run.state in ("deployed", "kept"), run.sentence
    found = run.comparison
    assert found is not None
    assert found["metric"] == "recall_at_20"
    assert found["rows"] > 30
    assert (run.state == "deployed") == (found["interval"][0] > 0)
    assert run.n_rows + run.n_judged == new
    version = registry.find(f"meet@{run.version}")
    finder = PeopleFinder.open(version.folder)
    head = Events(registry.database).head()
    assert 0 < finder.follow_from() < head  # what judged is followed, not learned
    assert version.lineage["parents"] == ["meet@1"]
    assert version.lineage["order"]["preset"] == "reference"
    assert reader._new_decisions(live, (run,)) == 0
    assert retraining.run("meet") is None
    retraining.close()
    registry.database.close()


@pytest.mark.slow
def test_what_cannot_be_learned_from_again_names_the_way_out(
    settings: Settings, tmp_path: Path
) -> None:
    registry = Registry.open(settings)
    live = registry.find("meet@live")
    (tmp_path / "early.parquet").unlink()
    folder = tmp_path / "run"
    folder.mkdir()
    with pytest.raises(DataError, match=r"is gone .* keep its events in the log"):
        gather_events(live, registry.database, folder)
    registry.database.close()
