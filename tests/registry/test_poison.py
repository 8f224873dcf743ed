"""A poisoned version is refused in words, and nothing in it ever runs."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from promise.data.answer import Class
from promise.data.columns import Columns
from promise.data.schema import Field, Schema
from promise.errors import ArtifactError
from promise.features.table import view
from promise.features.views import Views
from promise.job import Job
from promise.models.base import MATRIX, Examples
from promise.models.blend import Blend, Member
from promise.models.boosting import LightGBM, XGBoost
from promise.models.linear import Linear
from promise.models.mlp import Perceptron
from promise.models.trees import Forest
from promise.pipeline.artifact import Contents, load_pipeline, save_pipeline
from promise.pipeline.pipeline import Pipeline
from promise.pipeline.policy import Threshold
from promise.pipeline.task import Task
from promise.registry.registry import Registry
from promise.registry.versions import Version
from promise.state.artifacts_local import LocalArtifacts
from promise.state.database import Database
from promise.state.files import digests, sha256, write_json


class Bomb:
    """Pickled, it is a program that leaves a mark where it is loaded."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.mkdir, (str(self.mark),)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Version:
    """Return a version trained on a few rows, its members of every native format."""
    rng, schema = np.random.default_rng(7), Schema((Field("a", "number"), Field("c", "category")))
    a, answer = rng.normal(size=200), Class(("no", "yes"))
    columns = Columns({"a": a, "c": np.array(["u", "v"] * 100, dtype=object)})
    train = Examples(columns, (a > 0).astype(np.int64), answer, rows=np.arange(200))
    shown = view("plain", schema).fit(train, None, Job())
    seen = replace(train, columns=Columns({MATRIX: shown.train_matrix(train)}), names=shown.names)
    families = (
        LightGBM(rounds=3), XGBoost(rounds=3), Linear(), Forest(n_trees=3), Perceptron(epochs=1),
    )  # fmt: skip
    members = tuple(Member("plain", 0.2, family.fit(seen, None, Job())) for family in families)
    task = Task("tabular", schema, answer, "y", "accuracy")
    pipeline = Pipeline(task, Blend(members), Threshold(answer), Views({"plain": shown}))
    contents = Contents(
        golden=pa.table({"a": a[:9], "c": ["u"] * 9}), rows={"train": np.arange(200)}, card="# m\n"
    )
    registry = Registry(Database("sqlite://"), tmp_path_factory.mktemp("poison"))
    return registry.register("m", lambda folder: save_pipeline(pipeline, folder, contents))


@pytest.fixture
def copy(trained: Version, tmp_path: Path) -> Version:
    """Return the version in a folder of its own that may be spoiled."""
    shutil.copytree(trained.folder, tmp_path / "copy")
    return replace(trained, folder=tmp_path / "copy", location=str(tmp_path / "copy"))


def reseal(folder: Path) -> None:
    """Make the manifest agree with its files again, as an attacker with a pen would."""
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["digests"] = digests(folder, skip=frozenset({"manifest.json"}))
    write_json(folder / "manifest.json", manifest)


def weights_of(folder: Path) -> list[Path]:
    return sorted(path for path in (folder / "weights").rglob("*") if path.is_file())


def test_a_whole_copy_loads(copy: Version) -> None:
    load_pipeline(copy.folder)
    assert weights_of(copy.folder)


def test_one_changed_byte_anywhere_is_refused(copy: Version) -> None:
    manifest = json.loads((copy.folder / "manifest.json").read_text())
    for name in manifest["digests"]:
        path = copy.folder / name
        whole = path.read_bytes()
        changed = bytearray(whole or b"\0")
        changed[len(changed) // 2] ^= 1
        path.write_bytes(bytes(changed))
        with pytest.raises(ArtifactError, match="has changed"):
            load_pipeline(copy.folder)
        path.write_bytes(whole[:-1])
        with pytest.raises(ArtifactError, match="has changed"):
            load_pipeline(copy.folder)
        path.write_bytes(whole)
    load_pipeline(copy.folder)


def test_files_outside_the_folder_are_refused(copy: Version) -> None:
    path = copy.folder / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["digests"]["../../../../../../etc/passwd"] = sha256(Path("/etc/passwd"))
    path.write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError, match="outside its folder"):
        load_pipeline(copy.folder)


def test_a_link_to_the_outside_is_refused(copy: Version, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x")
    (copy.folder / "card.md").unlink()
    (copy.folder / "card.md").symlink_to(secret)
    reseal(copy.folder)
    with pytest.raises(ArtifactError, match="outside its folder"):
        load_pipeline(copy.folder)


@pytest.mark.parametrize("kind", ["os.system", "pickle", "promise.models.blend:Blend", "../blend"])
def test_an_unknown_kind_is_refused(copy: Version, kind: str) -> None:
    path = copy.folder / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["stages"]["score"]["kind"] = kind
    path.write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError, match="not an installed stage"):
        load_pipeline(copy.folder)


def test_a_pickle_in_place_of_any_weights_never_runs(copy: Version, tmp_path: Path) -> None:
    mark = tmp_path / "it-ran"
    for path in weights_of(copy.folder):
        whole = path.read_bytes()
        path.write_bytes(pickle.dumps(Bomb(mark)))
        reseal(copy.folder)
        with pytest.raises(ArtifactError, match=r"."):
            load_pipeline(copy.folder)
        assert not mark.exists(), path
        with pytest.raises(ArtifactError, match="not the one that was registered"):
            LocalArtifacts(tmp_path).local(copy.location, copy.digest)
        path.write_bytes(whole)
    assert pickle.loads(pickle.dumps(Bomb(mark))) is None
    assert mark.exists(), "the bomb itself works"


def test_object_arrays_in_place_of_weights_never_run(copy: Version, tmp_path: Path) -> None:
    mark = tmp_path / "it-ran"
    for path in copy.folder.rglob("*.np[yz]"):
        whole = path.read_bytes()
        held = np.array([Bomb(mark)], dtype=object)
        if path.suffix == ".npz":
            with np.load(path) as kept:
                names = list(kept)
            with path.open("wb") as file:
                np.savez(file, allow_pickle=True, **dict.fromkeys(names, held))
        else:
            np.save(path, held, allow_pickle=True)
        reseal(copy.folder)
        if path.is_relative_to(copy.folder / "weights"):
            with pytest.raises(ArtifactError, match=r"."):
                load_pipeline(copy.folder)
        assert not mark.exists(), path
        path.write_bytes(whole)


def test_a_resealed_version_is_still_not_the_one_that_was_registered(copy: Version) -> None:
    (copy.folder / "card.md").write_text("a nicer card")
    reseal(copy.folder)
    load_pipeline(copy.folder)
    registry = Registry(Database("sqlite://"), copy.folder.parent)
    with pytest.raises(ArtifactError, match="not the one that was registered"):
        LocalArtifacts(copy.folder.parent).local(copy.location, copy.digest)
    with pytest.raises(ArtifactError, match="not the one that was registered"):
        registry.fetch(copy)
