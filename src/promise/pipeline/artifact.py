"""The version folder, format 1: everything a pipeline needs, nothing that executes on load."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from promise.data.columns import Array, Columns
from promise.errors import ArtifactError
from promise.pipeline.pipeline import Pipeline
from promise.pipeline.stages import STAGE_ORDER, STAGES
from promise.pipeline.task import Task
from promise.state.files import check_digests, digests, write_json

FORMAT = 1
_OUTPUT = "__output_"


@dataclass(frozen=True)
class Contents:
    """What a version folder keeps beside the pipeline itself.

    Parameters
    ----------
    lineage
        Where it came from: data fingerprint, rows, seed, code version, parents.
    recipe
        How to train it again: views, estimators, rounds, weights; read by `train --from`.
    golden
        Typed requests whose exact outputs are kept, to check a copy after loading.
    evaluation
        Per-row holdout rows, labels and outputs, so that versions can be compared row by row.
    reference
        Frozen edges of the training inputs, for drift.
    card
        The model card, Markdown.
    metrics
        Holdout metrics with intervals.
    """

    lineage: dict[str, Any] = field(default_factory=dict)
    recipe: dict[str, Any] = field(default_factory=dict)
    golden: Columns | None = None
    evaluation: Mapping[str, Array] | None = None
    reference: dict[str, Any] = field(default_factory=dict)
    card: str = ""
    metrics: dict[str, Any] = field(default_factory=dict)


def save_pipeline(pipeline: Pipeline, folder: Path, contents: Contents) -> None:
    """Write a pipeline and what belongs to it into an existing empty folder."""
    stages: dict[str, dict[str, Any]] = {}
    for name, stage in pipeline.stages.items():
        home = folder / "weights" / name
        home.mkdir(parents=True)
        stage.save(home)
        stages[name] = {"kind": stage.kind, "version": stage.kind_version}
    write_json(folder / "pipeline.json", {"stages": stages, "recipe": contents.recipe})
    write_json(folder / "policy.json", pipeline.decide.to_json())
    write_json(folder / "reference.json", contents.reference)
    (folder / "card.md").write_text(contents.card, encoding="utf-8")
    if contents.golden is not None:
        output = pipeline.output(contents.golden)
        write_arrow(folder / "golden.arrow", {**contents.golden.arrays, **_spread(output)})
    if contents.evaluation is not None:
        write_arrow(folder / "evaluation.arrow", contents.evaluation)
    manifest = {
        "format": FORMAT,
        "stages": stages,
        "task": pipeline.task.to_json(),
        "views": {},
        "lineage": contents.lineage,
        "metrics": contents.metrics,
        "digests": digests(folder),
    }
    write_json(folder / "manifest.json", manifest)


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read a version's manifest; a newer format or a damaged file is refused in words."""
    path = folder / "manifest.json"
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ArtifactError(
            f"{folder} is not a version folder: it has no manifest.json."
        ) from error
    except ValueError as error:
        raise ArtifactError(f"{path} is not readable JSON; restore it from a backup.") from error
    written = manifest.get("format")
    if written != FORMAT:
        raise ArtifactError(
            f"{folder} is of format {written}, this installation reads format {FORMAT}; "
            "upgrade Promise or export the version again."
        )
    return manifest


def load_pipeline(folder: Path, *, verify: bool = True) -> Pipeline:
    """Load a pipeline after checking every file's digest.

    Raises
    ------
    ArtifactError
        When a file is missing or changed, or a stage's kind is not installed here.
    """
    manifest = read_manifest(folder)
    if verify:
        check_digests(folder, manifest["digests"])
    loaded: dict[str, Any] = {}
    for name, entry in manifest["stages"].items():
        if name not in STAGE_ORDER:
            raise ArtifactError(f"{folder}: there is no stage {name!r} in a pipeline.")
        kind = STAGES.resolve(entry["kind"])
        if kind.kind_version < entry["version"]:
            raise ArtifactError(
                f"{folder}: stage {entry['kind']!r} was written by version {entry['version']}, "
                f"installed: {kind.kind_version}; upgrade Promise."
            )
        loaded[name] = kind.load(folder / "weights" / name)
    return Pipeline(task=Task.from_json(manifest["task"]), **loaded)


def golden_difference(pipeline: Pipeline, folder: Path) -> float:
    """Return the largest difference between kept and recomputed golden outputs; 0.0 is expected."""
    table = read_arrow(folder / "golden.arrow")
    kept = [name for name in table if name.startswith(_OUTPUT)]
    expected = np.column_stack([table.pop(name) for name in kept])
    output = pipeline.output(Columns(table))
    return float(np.max(np.abs(output.reshape(expected.shape) - expected), initial=0.0))


def recipe_of(folder: Path) -> dict[str, Any]:
    """Return how the version was trained, as `train --from` reads it."""
    data = json.loads((folder / "pipeline.json").read_text(encoding="utf-8"))
    recipe: dict[str, Any] = data["recipe"]
    return recipe


def write_arrow(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write one-dimensional arrays as an Arrow file."""
    table = pa.table({name: pa.array(_plain_array(array)) for name, array in arrays.items()})
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


def _plain_array(array: Array) -> Any:
    """Return the array in a form whose Arrow type does not depend on its values."""
    if array.dtype == object:
        return pa.array(array, type=pa.string(), from_pandas=True)
    return array


def read_arrow(path: Path) -> dict[str, Array]:
    """Read back what `write_arrow` wrote: strings as objects, dates as datetime64[us]."""
    with pa.memory_map(str(path)) as source:
        table = pa.ipc.open_file(source).read_all()
    return {n: table[n].to_numpy(zero_copy_only=False).copy() for n in table.column_names}


def _spread(output: Array) -> dict[str, Array]:
    wide = output.reshape(len(output), -1)
    return {f"{_OUTPUT}{i}": np.ascontiguousarray(wide[:, i]) for i in range(wide.shape[1])}
