"""A small house with trained versions, deployed and served without a network or with one."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.serving.meet import Meet

from promise.clock import Clock, SystemClock
from promise.data.infer import infer_schema
from promise.data.source import open_source
from promise.features.table import TableFeatures, input_fields
from promise.features.views import Views
from promise.job import Job
from promise.models.base import ESTIMATORS, MATRIX, Examples
from promise.models.blend import Blend, Member
from promise.pipeline.artifact import Contents, save_pipeline
from promise.pipeline.order import WORKLOADS
from promise.pipeline.pipeline import Pipeline
from promise.pipeline.policy import Threshold
from promise.registry.lifecycle import Lifecycle, Route, Transition
from promise.registry.registry import Registry
from promise.registry.versions import Version
from promise.serving.limits import Limits
from promise.serving.server import build, close_worker, open_worker
from promise.serving.worker import Worker
from promise.settings import Settings
from promise.state.database import Database
from promise.workloads.tabular.contents import golden_rows
from promise.workloads.tabular.table import Sampling, load_table, read_label
from promise.workloads.tabular.task import table_task

ROW = {"age": 41.0, "income": 1200.5, "plan": "gold"}
"""A request that every version of the house answers."""


def train(
    folder: Path, *, sign: float = 1.0, kind: str = "lightgbm", inputs: str = "usual"
) -> Path:
    """Write a version folder whose model follows `sign · age`, by a class or a number.

    Parameters
    ----------
    inputs
        `usual`; `wider` by a column `region`; `narrower` by `plan`; or `retyped`: `income` is
        text.
    """
    rng = np.random.default_rng(5)
    n = 300
    age = rng.normal(40, 10, n)
    label = np.where(sign * (age - 40) + rng.normal(0, 2, n) > 0, "yes", "no")
    data = pa.table(
        {
            "age": age,
            "income": rng.normal(1000, 300, n),
            "plan": rng.choice(["gold", "free", "basic"], n),
            "target": label if kind != "number" else sign * age + rng.normal(0, 1, n),
        }
    )
    if inputs == "wider":
        data = data.append_column("region", pa.array(rng.choice(["north", "south"], n)))
    if inputs == "narrower":
        data = data.drop_columns("plan")
    if inputs == "retyped":
        words = pa.array(rng.choice(["low", "high"], n))
        data = data.set_column(data.column_names.index("income"), "income", words)
    work = folder.parent / f"{folder.name}-work"
    work.mkdir(parents=True)
    pq.write_table(data, work / "data.parquet")
    source = open_source(work / "data.parquet")
    schema = infer_schema(source)
    table = load_table(
        source, schema, "target", read_label(source, schema, "target", seed=7), Sampling(n)
    )
    rows, job = table.examples(table.train), Job(seed=7, threads=1)
    features = TableFeatures(schema=input_fields(table.schema)).fit(rows, None, job)
    matrix = Examples(
        columns=rows.columns.with_columns({MATRIX: features.train_matrix(rows)}),
        y=rows.y, answer=rows.answer, rows=rows.rows,
    )  # fmt: skip
    family = "linear" if kind == "number" else kind
    options: dict[str, Any] = {"rounds": 20, "min_leaf": 5} if family == "lightgbm" else {}
    fitted = ESTIMATORS.resolve(family)(**options).fit(matrix, None, job)
    pipeline = Pipeline(
        task=table_task(table, "r2" if kind == "number" else "accuracy"),
        featurize=Views({"v": features}),
        score=Blend((Member("v", 1.0, fitted),)),
        decide=Threshold(table.answer),
    )
    folder.mkdir()
    holdout = table.rows[table.holdout]
    names = [f.name for f in table.schema.inputs]
    lineage = {"schema": table.schema.to_json()}
    contents = Contents(golden=golden_rows(source, holdout, names), lineage=lineage)
    save_pipeline(pipeline, folder, contents)
    return folder


@pytest.fixture
def anyio_backend() -> str:
    """Run asynchronous tests on asyncio."""
    return "asyncio"


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return version folders by what they hold, trained once."""
    home = tmp_path_factory.mktemp("trained")
    return {
        "up": train(home / "up"),
        "down": train(home / "down", sign=-1.0),
        "number": train(home / "number", kind="number"),
        "wider": train(home / "wider", sign=-1.0, inputs="wider"),
        "narrower": train(home / "narrower", sign=-1.0, inputs="narrower"),
        "retyped": train(home / "retyped", sign=-1.0, inputs="retyped"),
    }


@dataclass
class House:
    """An installation in a folder of its own.

    `workers` that were opened are closed at the end of the test.
    """

    settings: Settings
    trained: dict[str, Path]
    clock: Clock = field(default_factory=SystemClock)
    workers: list[Worker] = field(default_factory=list)

    @property
    def registry(self) -> Registry:
        return Registry.open(self.settings)

    @property
    def lifecycle(self) -> Lifecycle:
        return Lifecycle(Database(self.settings.database), SystemClock())

    def register(self, name: str = "churn", what: str = "up") -> Version:
        """Register a trained folder as the next version of a name."""
        template = self.trained[what]
        return self.registry.register(
            name, lambda draft: shutil.copytree(template, draft, dirs_exist_ok=True) and None
        )

    def commit(self, route: Route, kind: str = "promote") -> Transition:
        """Make a route the current one."""
        lifecycle = self.lifecycle
        return lifecycle.commit(lifecycle.last(route.name), kind, route, reason="test")

    def deploy(self, name: str = "churn", what: str = "up") -> Version:
        """Register and deploy in one go; the version before becomes the standby."""
        version = self.register(name, what)
        before = self.lifecycle.route(name)
        route = replace(before, stage="steady", live=version.number, standby=before.live)
        self.commit(route)
        return version

    def worker(self, slot: int = 0, **limits: Any) -> Worker:
        """Open a worker and load everything that is live."""
        worker = open_worker(
            self.settings, slot, Limits(**limits), open_access=True, clock=self.clock
        )
        self.workers.append(worker)
        worker.runtime.start()
        wait_for(lambda: worker.runtime.ready)
        return worker

    def close(self) -> None:
        """Close every worker."""
        for worker in self.workers:
            close_worker(worker)


def wait_for(true: Callable[[], bool], *, limit_s: float = 60.0) -> None:
    """Poll until something holds."""
    until = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < until, "what was waited for did not come"
        time.sleep(0.01)


@pytest.fixture(scope="session")
def make_house(trained: dict[str, Path]) -> Callable[[Path], House]:
    """Return a function that makes an installation on SQLite; who calls it closes it."""
    return lambda home: House(Settings.load({"PROMISE_HOME": str(home)}), trained)


@pytest.fixture
def house(tmp_path: Path, make_house: Callable[[Path], House]) -> Iterator[House]:
    """Yield an installation on SQLite."""
    made = make_house(tmp_path / "home")
    yield made
    made.close()


@contextlib.asynccontextmanager
async def client_of(worker: Worker) -> AsyncIterator[httpx.AsyncClient]:
    """Yield an HTTP client of a worker's whole application, without a network."""
    transport = httpx.ASGITransport(app=build(worker), raise_app_exceptions=True)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


def log_lines(worker: Worker, name: str = "churn") -> list[dict[str, Any]]:
    """Return what the prediction log holds once everything is written."""
    wait_for(lambda: worker.log.stats().waiting == 0)
    files = sorted((worker.settings.records / name).glob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


@pytest.fixture
def client() -> Callable[[Worker], Any]:
    """Return `client_of`."""
    return client_of


@pytest.fixture
def lines() -> Callable[..., list[dict[str, Any]]]:
    """Return `log_lines`."""
    return log_lines


@pytest.fixture
def wait() -> Callable[..., None]:
    """Return `wait_for`."""
    return wait_for


@dataclass
class Served:
    """A `promise serve` in processes of its own."""

    process: subprocess.Popen[str]
    url: str

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    def stop(self) -> int:
        """End it as a service manager would, and wait."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(40)


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    """Return a function that starts a server on a free port and waits until it is ready."""
    started: list[Served] = []

    def start(settings: Settings, *arguments: str) -> Served:
        code = (
            "import typer; from promise.cli.serve import serve; app = typer.Typer(); "
            "app.command()(serve); app()"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", code, "--port", "0", "--no-watch", "--json", *arguments],
            stdout=subprocess.PIPE, text=True,
            env={
                **os.environ,
                "PROMISE_HOME": str(settings.home),
                "PROMISE_DATABASE": settings.database,
            },
        )  # fmt: skip
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        started.append(Served(process, said["url"]))
        return started[-1]

    yield start
    for served in started:
        served.stop()


MEETING = "Metadata-Version: 2.1\nName: meeting\nVersion: 1\n"


@pytest.fixture(scope="session")
def meeting_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of packages in which the workload is installed."""
    site = tmp_path_factory.mktemp("site")
    shutil.copy(Path(__file__).parent / "meeting.py", site / "meeting.py")
    about = site / "meeting-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(MEETING)
    (about / "entry_points.txt").write_text("[promise.workloads]\nmeeting = meeting:WORKLOAD\n")
    return site


@pytest.fixture
def meeting_installed(meeting_site: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make the workload resolve here and in processes that are started."""
    monkeypatch.syspath_prepend(str(meeting_site))
    monkeypatch.setenv("PYTHONPATH", str(meeting_site))
    yield
    WORKLOADS._found.pop("meeting", None)
    sys.modules.pop("meeting", None)


@pytest.fixture
def meet(house: Any) -> Meet:
    return Meet(house)
