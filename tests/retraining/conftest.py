"""An installation with a live model, answers that were logged, and labels that came since."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest

from promise.clock import SystemClock
from promise.records.labels import Labels
from promise.records.machine import home_slot
from promise.records.predictions import PredictionLog
from promise.registry.registry import Registry
from promise.registry.versions import Version
from promise.retraining.run import Retraining
from promise.rollout.deploy import deploy
from promise.settings import Settings
from promise.training.train import train_version

Rows = list[dict[str, object]]


def people(n: int, seed: int, *, turned: bool = False) -> Rows:
    """Return rows whose label follows age and plan, or the other way round."""
    rng = np.random.default_rng(seed)
    age, income = rng.normal(40, 10, n).round(2), rng.normal(1000, 300, n).round(1)
    plan = rng.choice(["gold", "free", "basic"], n)
    yes = (age + 8 * (plan == "gold") - 42 > 0) != turned
    columns = (age.tolist(), income.tolist(), plan.tolist(), np.where(yes, "yes", "no").tolist())
    return [dict(zip(("age", "income", "plan", "target"), row, strict=True))
            for row in zip(*columns, strict=True)]  # fmt: skip


CONFIG = """
[promises]
quality = {{ that = "accuracy", at_least = {least}, due = "gate", on_break = "retrain" }}
[rollout]
shadow = 100
[retrain]
every_rows = 200
"""


@dataclass
class Site:
    """One installation, and what happens to it."""

    settings: Settings
    clock: SystemClock = field(default_factory=SystemClock)
    people = staticmethod(people)

    def __post_init__(self) -> None:
        self.registry = Registry.open(self.settings)
        self.labels = Labels(self.registry.database, self.clock)
        self._slot = 0

    def data(self, rows: Rows, name: str = "people.csv") -> Path:
        path = self.settings.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pa_csv.write_csv(pa.Table.from_pylist(rows), path)
        return path

    def train(self, rows: Rows, **terms: object) -> Version:
        """Train a version on a file of rows."""
        given = {"target": "target", "trials": 1, **terms}
        return train_version(
            "tabular", self.data(rows), name="churn", settings=self.settings, **given
        ).version

    def live(self, reference: str = "churn", least: float = 0.3) -> None:
        config = self.settings.home / "promise.toml"
        config.write_text(CONFIG.format(least=least), encoding="utf-8")
        deploy(reference, config=config, settings=self.settings, gate_seconds=0.2)

    def answered(self, rows: Rows, *, labelled: bool = True) -> list[str]:
        """Log answers as servers do, and let their labels come."""
        self._slot += 1
        log, ids = PredictionLog(self.settings.records, home_slot(self.settings, self._slot)), []
        for row in rows:
            ids.append(log.new_id())
            asked = {key: value for key, value in row.items() if key != "target"}
            line = {
                "id": ids[-1], "version": 1, "arm": "live",
                "at": self.clock.now().timestamp(), "row": asked,
                "answer": {"prediction": "no"}, "source": "model",
            }  # fmt: skip
            log.append("churn", json.dumps(line).encode())
        log.close()
        if labelled:
            self.label(ids, rows)
        return ids

    def label(self, ids: list[str], rows: Rows) -> None:
        self.labels.add(
            [
                {"prediction_id": id, "label": row["target"], "model": "churn"}
                for id, row in zip(ids, rows, strict=True)
            ]
        )

    def retraining(self, **given: object) -> Retraining:
        return Retraining(self.settings, gate_seconds=0.2, **given)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def poor_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a first version on rows whose labels are turned round, and make it live."""
    home = tmp_path_factory.mktemp("installation") / "home"
    site = Site(Settings.load({"PROMISE_HOME": str(home)}))
    site.train(people(120, seed=1, turned=True))
    site.live()
    site.registry.database.close()
    return home


@pytest.fixture
def make_site(tmp_path: Path) -> Iterator[Callable[[Path | None], Site]]:
    """Return a function that opens an installation, empty or a copy of another."""
    made: list[Site] = []

    def make(template: Path | None = None) -> Site:
        home = template or tmp_path / "home"
        made.append(Site(Settings.load({"PROMISE_HOME": str(home)})))
        return made[-1]

    yield make
    for site in made:
        site.registry.database.close()


@pytest.fixture
def site(poor_home: Path, make_site: Callable[[Path | None], Site]) -> Iterator[Site]:
    """Open the installation whose live version can be beaten; what a test does to it is undone."""
    kept = poor_home.with_name("kept")
    if not kept.exists():
        shutil.copytree(poor_home, kept)
    yield make_site(poor_home)
    shutil.rmtree(poor_home)
    shutil.copytree(kept, poor_home)
