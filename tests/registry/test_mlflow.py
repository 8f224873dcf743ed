"""The bridge to a real MLflow server: versions go there and come back with the same answers."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from promise.clock import ManualClock
from promise.data.answer import Class, Number
from promise.data.schema import Field, Schema
from promise.errors import ArtifactError, ConfigError, DataError, StateError
from promise.models.imported import Imported
from promise.pipeline.artifact import Contents, golden_difference, load_pipeline, save_pipeline
from promise.pipeline.pipeline import Pipeline
from promise.pipeline.policy import Threshold
from promise.pipeline.request import request_from_table
from promise.pipeline.task import Task
from promise.promises.verdict import Verdict
from promise.registry.lifecycle import Route
from promise.registry.mlflow.bring import import_model, made_up_rows
from promise.registry.mlflow.foreign import read_foreign
from promise.registry.mlflow.publish import Mlflow, metrics_of, mirror_aliases, register
from promise.registry.mlflow.skops import read_skops
from promise.registry.registry import Registry
from promise.registry.verdicts import Verdicts
from promise.state.database import Database

mlflow = pytest.importorskip("mlflow", reason="the mlflow extra is not installed")
pd = pytest.importorskip("pandas")

pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # MLflow speaks to developers by warnings
]
NAMES = ["age", "income", "when"]


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


def frame(n: int = 400, seed: int = 0) -> Any:
    """Return rows whose third column is too large for float32 to tell its values apart."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "age": rng.normal(size=n),
            "income": rng.normal(size=n),
            "when": 1.7e9 + rng.integers(0, 5000, n).astype(float),
        }
    )[NAMES]


def labels(x: Any) -> Any:
    """Return the classes of rows, which hang on the large column too."""
    return ((x.age + x.income + (x.when - 1.7e9) / 2500 - 1) > 0).astype(int)


def booster(objective: str = "binary") -> Any:
    """Train a small LightGBM."""
    import lightgbm

    x = frame()
    y = labels(x) if objective == "binary" else x.age * 3 + (x.when - 1.7e9) / 1000
    params = {"objective": objective, "verbosity": -1, "num_threads": 1}
    return lightgbm.train(params, lightgbm.Dataset(x, y), 12)


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


def answers(folder: Path, x: Any) -> Any:
    """Answer rows with a version's pipeline."""
    pipeline = load_pipeline(folder)
    table = pa.Table.from_pandas(x, preserve_index=False)
    return pipeline.predict(request_from_table(table, pipeline.task.request))


def models() -> dict[str, tuple[Any, Any]]:
    """Return a model of every kind that can be held, with MLflow's module for it."""
    import xgboost
    from lightgbm import LGBMClassifier, LGBMRegressor
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
    from sklearn.linear_model import LogisticRegression, Ridge

    x = frame()
    named = labels(x).map({0: "no", 1: "yes"})
    three = pd.cut(x.age, [-9, -0.5, 0.5, 9], labels=["low", "mid", "top"]).astype(str)
    number = x.age * 2 - x.income
    data = xgboost.DMatrix(x, labels(x))
    return {
        "booster": (mlflow.lightgbm, booster()),
        "numbers": (mlflow.lightgbm, booster("regression")),
        "classifier": (mlflow.lightgbm, LGBMClassifier(n_estimators=9, verbosity=-1).fit(x, three)),
        "regressor": (mlflow.lightgbm, LGBMRegressor(n_estimators=9, verbosity=-1).fit(x, number)),
        "xgb": (mlflow.xgboost, xgboost.train({"objective": "binary:logistic"}, data, 9)),
        "xgb-sk": (mlflow.xgboost, xgboost.XGBRegressor(n_estimators=9).fit(x, number)),
        "logistic": (mlflow.sklearn, LogisticRegression().fit(x - frame().mean(), three)),
        "ridge": (mlflow.sklearn, Ridge().fit(x, number)),
        "forest": (mlflow.sklearn, RandomForestRegressor(7, max_depth=6).fit(x, number)),
        "forest-classes": (mlflow.sklearn, RandomForestClassifier(7, max_depth=6).fit(x, named)),
    }


def save(kind: Any, model: Any, folder: Path, **more: Any) -> Any:
    """Save a model as MLflow does and return its `MLmodel`."""
    if hasattr(model, "estimators_"):  # MLflow itself distrusts the arrays of trees
        more["skops_trusted_types"] = ["sklearn.tree._tree.Tree"]
    kind.save_model(model, str(folder), pip_requirements=[], **more)
    return mlflow.models.Model.load(str(folder))


@pytest.mark.slow
def test_every_kind_answers_as_it_does_in_mlflow(tmp_path: Path) -> None:
    from promise.registry.mlflow.bring import _pipeline, request_fields

    x = frame(2000, seed=5)
    for name, (kind, model) in models().items():
        folder = tmp_path / name
        signature = mlflow.models.infer_signature(x, [0.0])
        described = save(kind, model, folder, signature=signature)
        held = read_foreign(folder, described.flavors, name)
        pipeline = _pipeline(held, request_fields(held, described.signature, name), None, None)
        stored = tmp_path / f"{name}-version"
        stored.mkdir()
        rows = made_up_rows(held, tuple(pipeline.task.request))
        save_pipeline(pipeline, stored, Contents(golden=rows))
        assert golden_difference(load_pipeline(stored), stored) == 0.0
        ours, theirs = answers(stored, x), model_answers(model, x)
        if isinstance(pipeline.task.answer, Class):
            assert ours["prediction"].tolist() == [str(v) for v in theirs["prediction"]], name
            np.testing.assert_allclose(ours["probability"], theirs["probability"], atol=1e-9)
        else:
            np.testing.assert_allclose(ours["prediction"], theirs["prediction"], rtol=1e-9)


def model_answers(model: Any, x: Any) -> dict[str, Any]:
    """Return what the library itself answers."""
    import xgboost

    if isinstance(model, xgboost.Booster):
        x = xgboost.DMatrix(x)
    if not hasattr(model, "predict_proba"):
        found = np.asarray(model.predict(x), dtype=float)
        binary = not hasattr(model, "fit") and found.min() >= 0 and found.max() <= 1
        if not binary:
            return {"prediction": found}
        shares = np.stack([1 - found, found], axis=1)
        return {"prediction": np.argmax(shares, axis=1), "probability": shares}
    return {"prediction": model.predict(x), "probability": model.predict_proba(x)}


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


def test_an_absent_server_is_told_at_once(registry: Registry) -> None:
    with pytest.raises(StateError, match="no MLflow answers"):
        import_model("models:/a/1", registry=registry, name="a", tracking_uri="http://127.0.0.1:9")
    with pytest.raises(ConfigError, match="is no model of MLflow"):
        import_model("churn/3", registry=registry, name="a", tracking_uri="http://127.0.0.1:9")
    with pytest.raises(DataError, match="MLflow at nonsense://x refused"):
        import_model("models:/a/1", registry=registry, name="a", tracking_uri="nonsense://x")


class Poison:
    """Leaves a file behind when it is unpickled."""

    def __reduce__(self) -> Any:
        return (open, (os.environ["POISONED"], "w"))


def test_a_pickle_is_refused_and_never_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pickle

    monkeypatch.setenv("POISONED", str(tmp_path / "poisoned"))
    for flavor, name in (
        ("lightgbm", "model.lgb"), ("lightgbm", "model.pkl"), ("sklearn", "model.pkl"),
        ("xgboost", "model.ubj"),
    ):  # fmt: skip
        (tmp_path / name).write_bytes(pickle.dumps(Poison()))
        with pytest.raises(DataError, match="kept as a pickle"):
            read_foreign(tmp_path, {flavor: {"data": name}}, "models:/x/1")
    (tmp_path / "model.skops").write_bytes(pickle.dumps(Poison()))
    with pytest.raises(ArtifactError, match="no readable skops file"):
        read_skops(tmp_path / "model.skops")
    assert not (tmp_path / "poisoned").exists()


def described(**attributes: Any) -> dict[str, Any]:
    """Return what a skops file says of an object."""
    content = {"__loader__": "DictNode", "content": attributes}
    return {
        "__loader__": "ObjectNode", "__module__": "sklearn.linear_model", "__class__": "Ridge",
        "content": content,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("schema", "array"),
    [
        ([1], b""),
        (None, b""),
        (described(), b""),
        (described(coef_={"__loader__": "JsonNode", "content": '"x"'}), b""),
        (described(coef_={"__loader__": "ListNode", "content": [1]}), b""),
        (described(coef_={"__loader__": "NdArrayNode", "type": "numpy", "file": "a.npy"}), b""),
        # an array that claims to have more numbers than any memory holds
        (described(coef_={"__loader__": "NdArrayNode", "type": "numpy", "file": "a.npy"}), b"huge"),
    ],
)
def test_a_damaged_skops_file_is_refused_in_words(
    tmp_path: Path, schema: Any, array: bytes
) -> None:
    if array:
        header = io.BytesIO()
        said = {"descr": "<f8", "fortran_order": False, "shape": (2**45,)}
        np.lib.format.write_array_header_1_0(header, said)
        array = header.getvalue()
    with zipfile.ZipFile(tmp_path / "model.skops", "w") as file:
        file.writestr("schema.json", json.dumps(schema))
        file.writestr("a.npy", array)
    with pytest.raises(ArtifactError, match=r"model\.skops is no"):
        read_foreign(tmp_path, {"sklearn": {"pickled_model": "model.skops"}}, "models:/x/1")


def test_a_small_file_that_unpacks_to_a_flood_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from promise.registry.mlflow import skops

    node = {"__loader__": "NdArrayNode", "type": "numpy", "file": "a.npy"}
    array = io.BytesIO()
    np.save(array, np.zeros(100_000))
    with zipfile.ZipFile(tmp_path / "model.skops", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("schema.json", json.dumps(described(a=node, b=node, c=node)))
        file.writestr("a.npy", array.getvalue())
    assert set(read_skops(tmp_path / "model.skops").attributes) == {"a", "b", "c"}
    monkeypatch.setattr(skops, "_LIMIT", 2_000_000)
    with pytest.raises(ArtifactError, match="would unpack to more"):
        read_skops(tmp_path / "model.skops")


@pytest.mark.parametrize("text", ["tree\nobjective=binary\n\nx", "tree\nobjective=multiclass\n\n"])
def test_a_damaged_lightgbm_file_is_refused_in_words(
    tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "model.lgb").write_text(text)
    with pytest.raises(ArtifactError, match="is no model that lightgbm wrote"):
        read_foreign(tmp_path, {"lightgbm": {"data": "model.lgb"}}, "models:/x/1")
    assert capsys.readouterr().out == ""  # which belongs to `--json`


@pytest.mark.parametrize(
    ("kept", "read"),
    [
        ('{"columns": ["b", "a"], "data": [[2, 1]]}', {"a": [1.0], "b": [2.0]}),
        ("[[1, 2], [3, null]]", {"a": [1.0, 3.0], "b": [2.0, None]}),
        ('{"a": [1], "b": [2]}', None),
        ('{"inputs": {"a": 1}}', None),
        ('[{"a": 1, "b": 2}]', None),
        ('{"columns": ["a", "b"], "data": [["x", 1]]}', None),
        ("[1, 2]", None),
        ("7", None),
        ("{", None),
    ],
)
def test_an_input_example_of_any_shape_never_stops_an_import(
    tmp_path: Path, kept: str, read: Any
) -> None:
    from promise.registry.mlflow.bring import _example

    (tmp_path / "example.json").write_text(kept)
    fields = (Field("a", "number"), Field("b", "number"))
    found = _example(tmp_path, {"artifact_path": "example.json"}, fields)
    assert (None if found is None else found.to_pydict()) == read


def test_what_cannot_be_held_is_told_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"of the flavor pytorch.*promise train tabular"):
        read_foreign(tmp_path, {"pytorch": {}, "python_function": {}}, "models:/x/1")
    with pytest.raises(ArtifactError, match="names no file"):
        read_foreign(tmp_path, {"lightgbm": {"data": "../../etc/passwd"}}, "models:/x/1")
    text = booster().model_to_string().replace("objective=binary sigmoid:1", "objective=lambdarank")
    (tmp_path / "model.lgb").write_text(text)
    with pytest.raises(DataError, match="trained for 'lambdarank'"):
        read_foreign(tmp_path, {"lightgbm": {"data": "model.lgb"}}, "models:/x/1")


def test_categories_are_read_as_the_data_frame_coded_them(tmp_path: Path) -> None:
    import lightgbm

    from promise.registry.mlflow.bring import _pipeline, request_fields

    rng = np.random.default_rng(1)
    x = pd.DataFrame(
        {"n": rng.normal(size=600), "c": pd.Categorical(rng.choice(["b", "a", "z"], 600))}
    )
    y = x.n + x.c.map({"a": 3.0, "b": -2.0, "z": 0.0}).astype(float)
    model = lightgbm.train(
        {"objective": "regression", "verbosity": -1, "min_data_per_group": 5},
        lightgbm.Dataset(x, y), 20,
    )  # fmt: skip
    model.save_model(tmp_path / "model.lgb")
    held = read_foreign(tmp_path, {"lightgbm": {"data": "model.lgb"}}, "models:/x/1")
    assert held.categories == {1: ("a", "b", "z")}
    pipeline = _pipeline(held, request_fields(held, None, "x"), None, None)
    shown = x.assign(c=x.c.astype(str).where(x.index % 7 > 0, "never seen"))
    request = request_from_table(pa.Table.from_pandas(shown), pipeline.task.request)
    known = shown.assign(c=pd.Categorical(shown.c, categories=["a", "b", "z"]))
    assert pipeline.predict(request)["prediction"].tolist() == model.predict(known).tolist()
