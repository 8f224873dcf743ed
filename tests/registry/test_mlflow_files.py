"""Models as MLflow keeps them in files: held with every digit, or refused and never run."""

from __future__ import annotations

import io
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tests.registry.foreign_models import answers, booster, frame, labels

from promise.data.answer import Class
from promise.data.schema import Field
from promise.errors import ArtifactError, DataError
from promise.pipeline.artifact import Contents, golden_difference, load_pipeline, save_pipeline
from promise.pipeline.request import request_from_table
from promise.registry.mlflow.bring import made_up_rows
from promise.registry.mlflow.foreign import read_foreign
from promise.registry.mlflow.skops import read_skops

mlflow = pytest.importorskip("mlflow", reason="the mlflow extra is not installed")
pd = pytest.importorskip("pandas")

pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # MLflow speaks to developers by warnings
]


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
