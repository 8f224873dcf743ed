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
from promise.errors import ArtifactError, ConfigError, PromiseError
from promise.features.keyed import Keyed
from promise.pipeline.pipeline import Pipeline
from promise.pipeline.request import request_from_table
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
        Raw rows as they came, whose exact outputs are kept, to check a copy after loading.
    evaluation
        Per-row holdout rows, labels and outputs, so that versions can be compared row by row.
    reference
        Frozen edges of the training inputs, for drift.
    rows
        Row numbers in the source: `train` and `holdout`. No `train` rows stand for all but the
        holdout, as a version trained with `--full` has it: a list of every row would not fit.
    notes
        What documents tell: leaderboard, findings, importance.
    card
        The model card, Markdown.
    metrics
        Holdout metrics with intervals.
    """

    lineage: dict[str, Any] = field(default_factory=dict)
    recipe: dict[str, Any] = field(default_factory=dict)
    golden: pa.Table | None = None
    evaluation: Mapping[str, Array] | None = None
    reference: dict[str, Any] = field(default_factory=dict)
    rows: Mapping[str, Array] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)
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
    write_json(folder / "notes.json", contents.notes)
    for part, numbers in contents.rows.items():
        np.save(folder / f"{part}_rows.npy", numbers)
    (folder / "card.md").write_text(contents.card, encoding="utf-8")
    if contents.golden is not None:
        output = pipeline.output(_golden_request(pipeline, contents.golden))
        _write_table(folder / "golden.arrow", _with_output(contents.golden, output))
    if contents.evaluation is not None:
        write_arrow(folder / "evaluation.arrow", contents.evaluation)
    manifest = {
        "format": FORMAT,
        "stages": stages,
        "task": pipeline.task.to_json(),
        "views": dict(getattr(pipeline.featurize, "versions", {})),
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
        try:
            kind = STAGES.resolve(entry["kind"])
        except ConfigError as error:
            raise ArtifactError(f"{folder}: {error}") from error
        if kind.kind_version < entry["version"]:
            raise ArtifactError(
                f"{folder}: stage {entry['kind']!r} was written by version {entry['version']}, "
                f"installed: {kind.kind_version}; upgrade Promise."
            )
        try:
            loaded[name] = kind.load(folder / "weights" / name)
        except PromiseError:
            raise
        except Exception as error:  # whatever a reader of a native format raises on other bytes
            raise ArtifactError(
                f"{folder}: the weights of stage {name!r} are not readable "
                f"({type(error).__name__}: {error}); restore the folder from a backup."
            ) from error
    return Pipeline(task=Task.from_json(manifest["task"]), **loaded)


def read_golden(folder: Path) -> tuple[pa.Table, Array]:
    """Return the golden rows as they came, and the exact raw output that was kept for them."""
    with pa.memory_map(str(folder / "golden.arrow")) as source:
        table = pa.ipc.open_file(source).read_all()
    named = list(zip(table.column_names, table.columns, strict=True))
    rows = {name: column for name, column in named if not name.startswith(_OUTPUT)}
    wide = np.column_stack([c.to_numpy() for name, c in named if name.startswith(_OUTPUT)])
    return pa.table(rows), wide


def golden_difference(pipeline: Pipeline, folder: Path) -> float:
    """Return the largest difference between kept and recomputed golden outputs; 0.0 is expected."""
    rows, expected = read_golden(folder)
    output = pipeline.output(_golden_request(pipeline, rows))
    return float(np.max(np.abs(output.reshape(expected.shape) - expected), initial=0.0))


def _golden_request(pipeline: Pipeline, rows: pa.Table) -> Columns:
    """Return golden rows as a request; where features are keyed, as events one after the other."""
    request = request_from_table(rows, pipeline.task.request)
    return pipeline.featurize.replay(request) if isinstance(pipeline.featurize, Keyed) else request


def recipe_of(folder: Path) -> dict[str, Any]:
    """Return how the version was trained, as `train --from` reads it."""
    data = json.loads((folder / "pipeline.json").read_text(encoding="utf-8"))
    recipe: dict[str, Any] = data["recipe"]
    return recipe


def read_notes(folder: Path) -> dict[str, Any]:
    """Return what a version's documents tell; nothing where it keeps none."""
    path = folder / "notes.json"
    if not path.is_file():
        return {}
    notes: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return notes


def write_arrow(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write one-dimensional arrays as an Arrow file."""
    _write_table(path, pa.table({name: _plain_array(array) for name, array in arrays.items()}))


def _write_table(path: Path, table: pa.Table) -> None:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


def _plain_array(array: Array) -> Any:
    """Return the array in a form whose Arrow type does not depend on its values."""
    if array.dtype == object:
        return pa.array(array, type=pa.string(), from_pandas=True)
    return pa.array(array)


def read_arrow(path: Path) -> dict[str, Array]:
    """Read back what `write_arrow` wrote: strings as objects, dates as datetime64[us]."""
    with pa.memory_map(str(path)) as source:
        table = pa.ipc.open_file(source).read_all()
    columns = zip(table.column_names, table.columns, strict=True)
    return {name: column.to_numpy(zero_copy_only=False).copy() for name, column in columns}


def _with_output(rows: pa.Table, output: Array) -> pa.Table:
    wide = output.reshape(len(output), -1)
    outputs = {
        f"{_OUTPUT}{i}": pa.array(np.ascontiguousarray(wide[:, i])) for i in range(wide.shape[1])
    }
    kept = zip(rows.column_names, rows.columns, strict=True)
    return pa.table({**dict(kept), **outputs})
