"""A small installation: trained versions, fabricated evidence, a clock that tests move."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from promise.clock import ManualClock
from promise.data.infer import infer_schema
from promise.data.source import open_source
from promise.features.table import TableFeatures, input_fields
from promise.features.views import Views
from promise.job import Job
from promise.metrics.pointwise import all_metrics
from promise.models.base import ESTIMATORS, MATRIX, Examples
from promise.models.blend import Blend, Member
from promise.pipeline.artifact import Contents, save_pipeline
from promise.pipeline.pipeline import Pipeline
from promise.pipeline.policy import Threshold
from promise.promises.verdict import Verdict
from promise.records.evidence import EvidenceStore
from promise.registry.lifecycle import Lifecycle, Transition
from promise.registry.registry import Registry
from promise.registry.versions import Version
from promise.rollout import gate as gates
from promise.rollout.deploy import deploy
from promise.rollout.desk import Desk
from promise.rollout.load import Load
from promise.rollout.reconciler import Reconciler
from promise.settings import Settings
from promise.workloads.tabular.contents import edges, evaluation_columns, golden_rows
from promise.workloads.tabular.table import Sampling, load_table, read_label
from promise.workloads.tabular.task import table_task


def train(folder: Path, *, sign: float) -> Path:
    """Write a version folder whose model follows `sign · age`."""
    rng = np.random.default_rng(5)
    n = 1200
    age = rng.normal(40, 10, n)
    data = pa.table(
        {
            "age": age,
            "income": rng.normal(1000, 300, n),
            "plan": rng.choice(["gold", "free", "basic"], n),
            "target": np.where(age - 40 + rng.normal(0, 3, n) > 0, "yes", "no"),
        }
    )
    pq.write_table(data, folder.parent / "people.parquet")
    source = open_source(folder.parent / "people.parquet")
    schema = infer_schema(source)
    table = load_table(
        source, schema, "target", read_label(source, schema, "target", seed=7), Sampling(n)
    )
    rows, job = table.examples(table.train), Job(seed=7, threads=1)
    rows = dataclasses.replace(rows, y=rows.y if sign > 0 else 1 - rows.y)
    features = TableFeatures(schema=input_fields(table.schema)).fit(rows, None, job)
    columns = rows.columns.with_columns({MATRIX: features.train_matrix(rows)})
    fitted = ESTIMATORS.resolve("lightgbm")(rounds=20, min_leaf=5).fit(
        Examples(columns=columns, y=rows.y, answer=rows.answer, rows=rows.rows), None, job
    )
    pipeline = Pipeline(
        task=table_task(table, "accuracy"),
        featurize=Views({"v": features}),
        score=Blend((Member("v", 1.0, fitted),)),
        decide=Threshold(table.answer),
    )
    output = pipeline.output(table.columns.take(table.holdout).only(pipeline.task.request.names))
    y, holdout = table.y[table.holdout], table.rows[table.holdout]
    names = [f.name for f in table.schema.inputs]
    folder.mkdir()
    contents = Contents(
        golden=golden_rows(source, holdout, names),
        evaluation=evaluation_columns(holdout, y, output),
        reference={f.name: edges(table.columns[f.name]) for f in table.schema.inputs},
        lineage={
            "source": source.name,
            "fingerprint": source.fingerprint(),
            "schema": table.schema.to_json(),
        },
        metrics={"all": all_metrics(table.answer, y, output)},
    )
    save_pipeline(pipeline, folder, contents)
    return folder


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return version folders by what they hold: one that is right, one that is wrong."""
    home = tmp_path_factory.mktemp("versions")
    return {"good": train(home / "good", sign=1.0), "bad": train(home / "bad", sign=-1.0)}


CONFIG = """
name = "churn"
[promises]
errors  = { that = "request_errors", at_most = 0.01, on_break = "rollback" }
speed   = { that = "latency_p99", at_most = "12ms", on_break = "rollback" }
quality = { that = "accuracy", at_least = 0.7, due = "live", on_break = ["alert", "retrain"] }
[rollout]
shadow = 500
steps  = [10, 100]
bake   = "60s"
"""


@pytest.fixture
def no_load(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every load test end at once, and well."""

    def driven(folder: Path, seconds: float, targets: tuple[float, ...]) -> Load:
        return Load(
            requests=5000, seconds=seconds, over=dict.fromkeys(targets, 0),
            throughput=[1000.0] * 8, memory_mb=[200.0] * 8, golden=0.0,
        )  # fmt: skip

    monkeypatch.setattr(gates, "measure", driven)


@dataclass
class Alerts:
    """Keeps what was told."""

    told: list[tuple[str, int, str, str]] = field(default_factory=list)

    def __call__(self, name: str, version: int, verdict: Verdict, text: str) -> None:
        self.told.append((name, version, verdict.promise, verdict.status))


@dataclass
class House:
    """An installation in a folder of its own, with evidence made up by the test."""

    settings: Settings
    trained: dict[str, Path]
    clock: ManualClock
    alerts: Alerts = field(default_factory=Alerts)

    def __post_init__(self) -> None:
        self.registry = Registry.open(self.settings)
        self.lifecycle = Lifecycle(self.registry.database, self.clock)
        self.evidence = EvidenceStore(self.registry.database, self.clock)
        self.reconcilers: list[Reconciler] = []
        self.reconciler = self.another()

    def another(self) -> Reconciler:
        """Start a reconciler anew, as after a kill."""
        made = Reconciler(self.settings, self.clock, self.alerts, observed_every_s=0.0)
        self.reconcilers.append(made)
        return made

    @property
    def desk(self) -> Any:
        return Desk.open(self.settings, self.clock)

    @property
    def given(self) -> dict[str, Any]:
        """What `deploy` and its like are told of this installation."""
        return {"settings": self.settings, "clock": self.clock}

    def register(self, what: str = "good", name: str = "churn") -> Version:
        template = self.trained[what]
        return self.registry.register(
            name, lambda draft: shutil.copytree(template, draft, dirs_exist_ok=True) and None
        )

    def config(self, text: str) -> Path:
        path = self.settings.home / "promise.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def seen(
        self, version: int, arm: str, requests: int, errors: int = 0, *,
        over: dict[float, int] | None = None, name: str = "churn",
    ) -> None:  # fmt: skip
        """Count requests in the next bucket of time, and let the clock pass it."""
        self.clock.advance(10)
        start = self.clock.now().replace(microsecond=0)
        start -= timedelta(seconds=start.second % 10)
        self.evidence.add_counts("slot", name, version, arm, start, requests, errors, over or {})
        self.clock.advance(10)

    @property
    def declared(self) -> str:
        """The promise.toml of most tests."""
        return CONFIG

    def begin(self, config: str = CONFIG) -> None:
        """Make version 1 live and send version 2 on its way."""
        self.register(), self.register()
        deploy("churn@1", config=self.config(config), **self.given)
        self.clock.advance(100)
        deploy("churn@2", **self.given)

    def good(self, arm: str, requests: int = 2000, version: int = 2) -> None:
        """Count requests of which few failed or were slow."""
        self.seen(version, arm, requests, 2, over={12.0: 1})

    def labelled(
        self, version: int, n: int, right: float, key: str = "a", *, arm: str = "live",
        at: datetime | None = None,
    ) -> None:  # fmt: skip
        """Join labels of which a share was predicted right."""
        payload = {
            "y": [1] * n,
            "output": [[0.1, 0.9] if i < right * n else [0.9, 0.1] for i in range(n)],
            "at": [(at or self.clock.now()).timestamp()] * n,
            "arm": [arm] * n,
            "group": {"plan": ["gold", "free"] * (n // 2)},
            "ids": n,
        }
        self.evidence.observe("churn", version, "outcome", key, payload)

    def look(self) -> list[Transition]:
        return self.reconciler.look()

    def kinds(self, name: str = "churn") -> list[str]:
        return [link.kind for link in self.lifecycle.history(name)]

    def close(self) -> None:
        for each in self.reconcilers:
            each.close()
        self.registry.database.close()


@pytest.fixture
def make_house(tmp_path: Path, trained: dict[str, Path]) -> Iterator[Callable[[str | None], House]]:
    """Return a function that opens an installation on a database."""
    made: list[House] = []

    def make(url: str | None = None) -> House:
        given = {"PROMISE_HOME": str(tmp_path / "home")}
        if url is not None:
            given["PROMISE_DATABASE"] = url
        clock = ManualClock(datetime(2026, 3, 1, 12, tzinfo=UTC))
        made.append(House(Settings.load(given), trained, clock))
        return made[-1]

    yield make
    for house in made:
        house.close()


@pytest.fixture
def house(make_house: Callable[[str | None], House]) -> House:
    """Open an installation on SQLite."""
    return make_house(None)


@pytest.fixture
def any_house(make_house: Callable[[str | None], House], database_url: str) -> House:
    """Open an installation on SQLite, then on Postgres."""
    return make_house(database_url)
