"""A LightGBM of 100 trees over 30 numbers, registered and live, and the rows to ask it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from promise.clock import SystemClock
from promise.data.answer import Class
from promise.data.columns import Columns
from promise.data.schema import Field, Schema
from promise.features.table import TableFeatures
from promise.features.views import Views
from promise.job import Job
from promise.models.base import MATRIX, Examples
from promise.models.blend import Blend, Member
from promise.models.boosting import LightGBM
from promise.pipeline.artifact import Contents, save_pipeline
from promise.pipeline.pipeline import Pipeline
from promise.pipeline.policy import Threshold
from promise.pipeline.task import Task
from promise.registry.lifecycle import Lifecycle
from promise.registry.registry import Registry
from promise.registry.versions import Version
from promise.settings import Settings
from promise.state.database import Database

N_FEATURES, N_TREES, N_LEAVES = 30, 100, 31


@dataclass(frozen=True)
class Server:
    """A `promise serve` in processes of its own."""

    process: subprocess.Popen[str]
    port: int
    pids: tuple[int, ...]

    def cpu_s(self) -> float:
        """Return the CPU seconds that its workers have used, in user and system mode."""
        return sum(cpu_s(pid) for pid in self.pids)

    def stop(self) -> None:
        """Drain and end it."""
        self.process.terminate()
        self.process.wait(60)


def cpu_s(pid: int) -> float:
    """Return the CPU seconds of a process with all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rows(n: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return inputs (n, 30) float64 and labels (n,) of two classes."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, N_FEATURES))
    margin = x[:, 0] + x[:, 1] * x[:, 2] - 0.5 * x[:, 3] ** 2 + rng.normal(size=n)
    return x, (margin > 0).astype(np.int64)


def names() -> list[str]:
    """Return the names of the inputs."""
    return [f"feature_{i}" for i in range(N_FEATURES)]


def bodies(n: int = 200) -> list[str]:
    """Return requests of one row each, as JSON."""
    return [
        json.dumps(dict(zip(names(), row.round(6).tolist(), strict=True))) for row in rows(n)[0]
    ]


def pipeline(seed: int = 7) -> Pipeline:
    """Train the model that is served."""
    x, y = rows(20_000, seed)
    answer = Class(("no", "yes"))
    schema = Schema(tuple(Field(name, "number") for name in names()))
    columns = Columns({name: x[:, i] for i, name in enumerate(names())})
    job = Job(seed=seed, threads=2)
    train = Examples(columns=columns, y=y, answer=answer, rows=np.arange(len(y)))
    features = TableFeatures(schema=schema.to_json()).fit(train, None, job)
    matrix = replace(train, columns=columns.with_columns({MATRIX: features.train_matrix(train)}))
    fitted = LightGBM(rounds=N_TREES, leaves=N_LEAVES, early_stopping=0).fit(matrix, None, job)
    return Pipeline(
        task=Task("tabular", schema, answer, "target", "accuracy", heuristic=(0.5, 0.5)),
        featurize=Views({"plain": features}),
        score=Blend((Member("plain", 1.0, fitted),)),
        decide=Threshold(answer),
    )


def register(settings: Settings, name: str, *, seed: int = 7) -> Version:
    """Register a freshly trained version."""
    x, _ = rows(50, 3)
    golden = pa.table({column: x[:, i] for i, column in enumerate(names())})
    made = pipeline(seed)
    return Registry.open(settings).register(
        name, lambda draft: save_pipeline(made, draft, Contents(golden=golden))
    )


def swap(settings: Settings, version: Version) -> None:
    """Make a version live at once; the one before it stands by."""
    lifecycle = Lifecycle(Database(settings.database), SystemClock())
    before = lifecycle.last(version.name)
    route = lifecycle.route(version.name)
    after = replace(route, stage="steady", live=version.number, standby=route.live)
    lifecycle.commit(before, "promote", after, reason="bench", actor="bench")
    lifecycle.database.close()


def serve(settings: Settings, *arguments: str, workers: int = 1) -> Server:
    """Start a server on a free port and wait until every worker is ready."""
    code = (
        "import typer; from promise.cli.serve import serve; app = typer.Typer(); "
        "app.command()(serve); app()"
    )
    command: Sequence[str] = (
        sys.executable, "-c", code, "--port", "0", "--no-watch", "--json",
        "--workers", str(workers), *arguments,
    )  # fmt: skip
    env = {**os.environ, "PROMISE_HOME": str(settings.home), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)
    assert process.stdout is not None
    told = json.loads(process.stdout.readline())
    pids = json.loads((settings.run / "workers.json").read_text(encoding="utf-8"))["pids"]
    return Server(process, int(told["url"].rsplit(":", 1)[1]), tuple(pids))


def load(port: int, path: str, sent: list[str], **order: Any) -> dict[str, Any]:
    """Run the load generator in a process of its own and return what it measured."""
    text = json.dumps({"port": port, "path": path, "bodies": sent, **order})
    command = [sys.executable, "-m", "bench.load"]
    done = subprocess.run(command, input=text, check=True, stdout=subprocess.PIPE, text=True)
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def wait_until_idle(seconds: float = 1.0) -> None:
    """Let what was started settle, so that it is not measured."""
    time.sleep(seconds)
