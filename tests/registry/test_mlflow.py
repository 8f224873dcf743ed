"""The bridge to a real MLflow server: versions go there and come back with the same answers."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tests.registry.foreign_models import NAMES, answers, booster, frame

from promise.clock import ManualClock
from promise.data.answer import Number
from promise.data.schema import Field, Schema
from promise.errors import ConfigError, DataError, StateError
from promise.models.imported import Imported
from promise.pipeline.artifact import Contents, golden_difference, load_pipeline, save_pipeline
from promise.pipeline.pipeline import Pipeline
from promise.pipeline.policy import Threshold
from promise.pipeline.task import Task
from promise.promises.verdict import Verdict
from promise.registry.lifecycle import Route
from promise.registry.mlflow.bring import import_model
from promise.registry.mlflow.publish import Mlflow, metrics_of, mirror_aliases, register
from promise.registry.registry import Registry
from promise.registry.verdicts import Verdicts
from promise.state.database import Database

mlflow = pytest.importorskip("mlflow", reason="the mlflow extra is not installed")

pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # MLflow speaks to developers by warnings
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the address of an MLflow server of our own."""
    folder = tmp_path_factory.mktemp("mlflow")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [
            sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port),
            "--workers", "1", "--backend-store-uri", f"sqlite:///{folder}/mlflow.db",
            "--artifacts-destination", str(folder / "artifacts"),
        ],
        cwd=folder, stdout=(folder / "log").open("wb"), stderr=subprocess.STDOUT,
        start_new_session=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 120
        while True:
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, (folder / "log").read_text()
            with suppress(OSError), urllib.request.urlopen(f"{address}/health", timeout=1):
                break
            time.sleep(0.2)
        yield address
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(timeout=15)


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """Return an empty registry."""
    database = Database(f"sqlite:///{tmp_path}/promise.db")
    return Registry(database, tmp_path / "artifacts", ManualClock())


def log(server: str, name: str, kind: Any, model: Any, **more: Any) -> str:
    """Log and register a model as its owner would; return its URI."""
    mlflow.set_tracking_uri(server)
    with mlflow.start_run():
        signature = mlflow.models.infer_signature(frame(5), [0.0] * 5)
        info = kind.log_model(
            model, name="model", signature=more.pop("signature", signature),
            registered_model_name=name, pip_requirements=[], **more,
        )  # fmt: skip
    return f"models:/{name}/{info.registered_model_version}"


@pytest.mark.slow
def test_a_model_of_the_server_is_imported_and_its_digits_stay(
    server: str, registry: Registry
) -> None:
    uri = log(server, "churn", mlflow.lightgbm, booster(), input_example=frame(6, seed=2))
    version = import_model(
        uri, registry=registry, name="churn", tracking_uri=server, classes=("stays", "leaves")
    )
    assert (str(version), version.lineage["source"]) == ("churn@1", uri)
    x = frame(3000, seed=9)
    theirs = mlflow.pyfunc.load_model(uri).predict(x)
    ours = answers(version.folder, x)
    assert np.abs(ours["probability"][:, 1] - theirs).max() < 1e-9
    assert set(ours["prediction"]) == {"stays", "leaves"}
    # float32 could not tell these rows apart
    assert np.abs(ours["probability"][:, 1] - booster().predict(np.float32(x))).max() > 0.01
    pipeline = load_pipeline(version.folder)
    assert golden_difference(pipeline, version.folder) == 0.0
    assert pipeline.task.request.names == tuple(NAMES)
    assert sum(pipeline.task.heuristic) == pytest.approx(1)


@pytest.mark.slow
def test_an_imported_model_passes_the_gate_and_is_bound_for_serving(
    server: str, registry: Registry
) -> None:
    from promise.pipeline.bind import bind
    from promise.promises.spec import ModelFile, Promise
    from promise.rollout.gate import run_gate

    uri = log(server, "delays", mlflow.lightgbm, booster("regression"))
    version = import_model(uri, registry=registry, name="delays", tracking_uri=server)
    speed = Promise("speed", "latency_p99", at_most=5000.0, due="gate")
    gate = run_gate(version, ModelFile(promises=(speed,)), seconds=0.5)
    assert gate.passed, gate
    bound = bind(load_pipeline(version.folder))
    row = frame(1, seed=3).iloc[0].tolist()
    (alone,) = bound.many([tuple(row)])
    assert bound.one(tuple(row)) == alone
    assert alone["prediction"] == booster("regression").predict([row])[0]
    assert bound.one((None, None, None))["prediction"] == pytest.approx(
        booster("regression").predict([[np.nan] * 3])[0]
    )


@pytest.mark.slow
def test_both_commands_say_what_they_did(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    from promise.cli.main import main

    monkeypatch.setenv("PROMISE_HOME", str(tmp_path / "home"))
    uri = log(server, "shop", mlflow.lightgbm, booster())
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        main(["models", "import", uri, "--name", "shop", "--tracking-uri", server, "--json"])
    assert (stop.value.code, json.loads(capsys.readouterr().out)["version"]) == (0, "shop@1")
    with pytest.raises(SystemExit) as stop:
        main(["models", "publish", "shop", "--tracking-uri", server, "--as", "back", "--json"])
    said = json.loads(capsys.readouterr().out)
    assert (stop.value.code, said["mlflow"], said["aliases"]) == (0, "models:/back/1", {})


@pytest.mark.slow
def test_a_version_is_published_once_and_its_roles_are_mirrored(
    server: str, registry: Registry
) -> None:
    versions = [registry.register("flights", make_version) for _ in range(2)]
    made = [register(version, tracking_uri=server) for version in versions]
    assert [found.number for found in made] == [1, 2]
    assert register(versions[0], tracking_uri=server) == made[0]
    # another name's first version, in the same registered model, is not taken for this one's
    other = registry.register("trains", make_version)
    assert register(other, tracking_uri=server, name="flights").number == 3
    client = Mlflow(server).client
    run = client.get_run(made[0].run_id).data
    assert run.metrics["r2"] == 0.5
    assert (run.metrics["r2_low"], run.metrics["r2_high"]) == (0.4, 0.6)
    assert run.tags["promise.lineage.fingerprint"] == "f00d"
    assert {file.path for file in client.list_artifacts(made[0].run_id)} == {"card.md", "model"}

    loaded = mlflow.pyfunc.load_model(f"models:/flights/{made[0].number}")
    names = [column.name for column in loaded.metadata.signature.inputs]
    assert names == NAMES
    x = frame(50, seed=4)
    ours = answers(versions[0].folder, x)["prediction"]
    assert loaded.predict(x)["prediction"].tolist() == ours.tolist()

    life = registry.lifecycle
    first = life.commit(None, "promote", Route("flights", "steady", live=1), reason="first")
    life.commit(first, "promote", Route("flights", "steady", live=2, standby=1), reason="better")
    verdict = Verdict("speed", "latency_p99", "KEPT", 12.0, measured=3.5, n=4000)
    strange = Verdict("drift [é]", "psi", "UNKNOWN", 0.1, n=0)
    Verdicts(registry.database, registry.clock).record("flights", 2, "live", [verdict, strange])
    assert mirror_aliases("flights", registry=registry, tracking_uri=server) == {
        "live": 2, "standby": 1,
    }  # fmt: skip
    kept = client.get_model_version_by_alias("flights", "live")
    assert (kept.version, kept.tags["promise.version"]) in ((2, "flights@2"), ("2", "flights@2"))
    said = client.get_model_version("flights", "2").tags
    assert said["promise.verdict.speed"] == "KEPT: latency_p99 3.5, bound 12, n 4000"
    assert said["promise.verdict.drift _é_"] == "UNKNOWN: psi nothing, bound 0.1, n 0"

    last = life.last("flights")
    life.commit(last, "release", Route("flights", "steady", live=2), reason="kept")
    assert mirror_aliases("flights", registry=registry, tracking_uri=server) == {"live": 2}
    assert set(client.get_registered_model("flights").aliases) == {"live"}


def make_version(folder: Path) -> None:
    """Write a version that answers with numbers."""
    from promise.models.foreign import ForeignLightGBM
    from promise.models.imported import Input

    task = Task(
        "tabular", Schema(tuple(Field(n, "number") for n in NAMES)), Number(), "delay", "r2"
    )
    text = booster("regression").model_to_string()
    inputs = tuple(Input(name) for name in NAMES)
    pipeline = Pipeline(
        task=task, score=Imported(inputs, 0, ForeignLightGBM.of(text)), decide=Threshold()
    )
    metrics = {"metric": "r2", "score": 0.5, "ci": [0.4, 0.6], "rows": 90, "all": {"mae": 1.5}}
    contents = Contents(
        lineage={"fingerprint": "f00d", "seed": 7}, metrics=metrics, card="# flights\n",
        golden=pa.table({name: [1.0, None] for name in NAMES}),
    )  # fmt: skip
    save_pipeline(pipeline, folder, contents)


def test_metrics_carry_their_interval(registry: Registry) -> None:
    version = registry.register("flights", make_version)
    assert metrics_of(version) == {
        "mae": 1.5, "r2": 0.5, "r2_low": 0.4, "r2_high": 0.6, "holdout_rows": 90.0,
    }  # fmt: skip


@pytest.mark.slow
def test_an_absent_server_is_told_at_once(registry: Registry) -> None:
    with pytest.raises(StateError, match="no MLflow answers"):
        import_model("models:/a/1", registry=registry, name="a", tracking_uri="http://127.0.0.1:9")
    with pytest.raises(ConfigError, match="is no model of MLflow"):
        import_model("churn/3", registry=registry, name="a", tracking_uri="http://127.0.0.1:9")
    with pytest.raises(DataError, match="MLflow at nonsense://x refused"):
        import_model("models:/a/1", registry=registry, name="a", tracking_uri="nonsense://x")
