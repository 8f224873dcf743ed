"""A version from a model of MLflow: its schema, its golden rows, and its answers, unchanged."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from promise.data.answer import Answer, Class, Number
from promise.data.columns import Array
from promise.data.schema import Field, FieldType, Schema
from promise.errors import ConfigError, DataError
from promise.models.imported import Imported, Input
from promise.pipeline.artifact import Contents, save_pipeline
from promise.pipeline.pipeline import Pipeline
from promise.pipeline.policy import Threshold
from promise.pipeline.request import request_from_table
from promise.pipeline.task import Task
from promise.registry.mlflow.foreign import Held, read_foreign
from promise.registry.mlflow.server import download
from promise.registry.registry import Registry
from promise.registry.versions import Version
from promise.state.files import sha256

_GOLDEN_ROWS = 32
_SEED = 7


def import_model(
    uri: str,
    *,
    registry: Registry,
    name: str,
    tracking_uri: str,
    classes: tuple[str, ...] | None = None,
    label: str | None = None,
) -> Version:
    """Register a model of MLflow as the next version of a name; it answers as it does there.

    LightGBM's and XGBoost's own files are taken as they are, and scikit-learn's linear models,
    trees and forests where they were logged with skops. Nothing of the model is run or unpickled.

    Parameters
    ----------
    uri
        e.g. `models:/churn/3` or `models:/churn@champion`.
    classes
        Names of the classes, in the order of the model's codes, where it does not know them.
    label
        The column that holds the truth in data to evaluate it on.

    Raises
    ------
    DataError
        For a model that cannot be held, with the reason and the way out.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder, described = download(uri, Path(scratch), tracking_uri=tracking_uri)
        held = read_foreign(folder, described.flavors, uri)
        fields = request_fields(held, described.signature, uri)
        pipeline = _pipeline(held, fields, classes, label)
        rows = _golden(folder, described, held, fields)
        lineage = {
            "source": uri,
            "fingerprint": sha256(held.file),
            "schema": pipeline.task.request.to_json(),
            "seed": _SEED,
            "mlflow": {
                "run": described.run_id,
                "flavor": held.flavor,
                "class": described.flavors[held.flavor].get("model_class", ""),
                "mlflow_version": described.mlflow_version,
            },
        }
        pipeline = _with_heuristic(pipeline, rows)
        contents = Contents(
            lineage=lineage, golden=rows, card=_card(uri, held, pipeline), notes={"imported": uri}
        )
        return registry.register(name, lambda draft: save_pipeline(pipeline, draft, contents))


def request_fields(held: Held, signature: Any, uri: str) -> tuple[Field, ...]:
    """Return the request's fields: names from the signature, types from the model.

    Raises
    ------
    DataError
        When the signature does not fit the model, column by column.
    """
    types = _signature_types(signature)
    names = tuple(types) or held.names
    if held.flavor == "xgboost" and held.names and types:
        absent = [n for n in held.names if n not in types]
        if absent:
            raise DataError(f"{uri}: the model reads {absent[0]!r}, which its signature lacks.")
        names = held.names
    if not names:
        names = tuple(f"column_{i}" for i in range(held.n_inputs))
    if len(names) != held.n_inputs:
        raise DataError(
            f"{uri}: its signature has {len(names)} columns, the model reads {held.n_inputs}: "
            f"{', '.join(names[:8])}."
        )
    categories = held.categories or {}
    fields = []
    for number, name in enumerate(names):
        said = types.get(name, "double")
        kind: FieldType = "boolean" if said == "boolean" else "number"
        if number in categories:
            kind = "category"
        elif said not in ("double", "float", "integer", "long", "boolean"):
            raise DataError(
                f"{uri}: column {name!r} is {said} in its signature, and the model reads numbers "
                "there; whatever turns one into the other is not part of the model."
            )
        fields.append(Field(name, kind))
    return tuple(fields)


def _signature_types(signature: Any) -> dict[str, str]:
    """Return column to MLflow's type; nothing for a signature of arrays, which names none."""
    if signature is None or signature.inputs is None or signature.inputs.is_tensor_spec():
        return {}
    return {
        str(column["name"]): str(column["type"])
        for column in signature.inputs.to_dict()
        if "name" in column
    }


def _pipeline(
    held: Held, fields: tuple[Field, ...], classes: tuple[str, ...] | None, label: str | None
) -> Pipeline:
    answer: Answer = Number()
    if held.classes is not None:
        if classes is not None and len(classes) != len(held.classes):
            raise ConfigError(
                f"--classes names {len(classes)} classes, the model answers {len(held.classes)}."
            )
        answer = Class(classes or held.classes)
    elif classes is not None:
        raise ConfigError("--classes: the model answers with a number, which has no classes.")
    categories = held.categories or {}
    inputs = tuple(Input(f.name, categories.get(i)) for i, f in enumerate(fields))
    task = Task(
        workload="tabular",
        request=Schema(fields),
        answer=answer,
        label=label,
        metric="accuracy" if isinstance(answer, Class) else "r2",
    )
    n_classes = answer.n_classes if isinstance(answer, Class) else 0
    return Pipeline(
        task=task, score=Imported(inputs, n_classes, held.model), decide=Threshold(answer)
    )


def _with_heuristic(pipeline: Pipeline, golden: pa.Table) -> Pipeline:
    """Let the answer of last resort be the mean over the golden rows: no labels are known."""
    output = pipeline.output(request_from_table(golden, pipeline.task.request))
    mean = np.atleast_1d(np.mean(output, axis=0))
    task = Task(**{**vars(pipeline.task), "heuristic": tuple(float(v) for v in mean)})
    return Pipeline(task=task, score=pipeline.score, decide=pipeline.decide)


def _golden(folder: Path, described: Any, held: Held, fields: tuple[Field, ...]) -> pa.Table:
    """Return rows whose answers are kept: the model's input example, else rows made up."""
    example = _example(folder, described.saved_input_example_info or {}, fields)
    if example is not None and example.num_rows:
        return example.slice(0, _GOLDEN_ROWS)
    return made_up_rows(held, fields)


def _example(folder: Path, said: Mapping[str, Any], fields: tuple[Field, ...]) -> pa.Table | None:
    file = (folder / str(said.get("artifact_path", ""))).resolve()
    if not file.is_file() or file.suffix != ".json" or not file.is_relative_to(folder.resolve()):
        return None
    try:
        read = json.loads(file.read_text(encoding="utf-8"))
        if isinstance(read, list):  # of an array
            read = {"columns": [field.name for field in fields], "data": read}
        rows = [dict(zip(read["columns"], row, strict=True)) for row in read["data"]]
        return pa.table({f.name: _column([row[f.name] for row in rows], f) for f in fields})
    except (ValueError, KeyError, TypeError):
        return None  # MLflow keeps examples of many shapes; this one is no table of the inputs


def _column(values: list[Any], field: Field) -> Any:
    if field.type == "category":
        return pa.array([None if v is None else str(v) for v in values], pa.string())
    return pa.array([None if v is None else float(v) for v in values], pa.float64())


def made_up_rows(held: Held, fields: tuple[Field, ...]) -> pa.Table:
    """Return rows within the ranges that the model knows, some of them with gaps."""
    rng = np.random.default_rng(_SEED)
    ranges, categories = held.ranges or {}, held.categories or {}
    columns = {}
    for number, field in enumerate(fields):
        low, high = ranges.get(number, (-3.0, 3.0))
        gaps = rng.random(_GOLDEN_ROWS) < (0.05 if held.knows_missing else 0.0)
        if number in categories:
            values: Array = rng.choice(np.array(categories[number], dtype=object), _GOLDEN_ROWS)
        elif field.type == "boolean":
            values = rng.integers(0, 2, _GOLDEN_ROWS).astype(np.float64)
        else:
            values = rng.uniform(low, high, _GOLDEN_ROWS)
        listed = [None if gap else v for gap, v in zip(gaps, values.tolist(), strict=True)]
        columns[field.name] = _column(listed, field)
    return pa.table(columns)


def _card(uri: str, held: Held, pipeline: Pipeline) -> str:
    answer = pipeline.task.answer
    asked = f"one of {len(answer.classes)} classes" if isinstance(answer, Class) else "a number"
    return (
        f"# {re.sub('[^ -~]', '?', uri)}: {asked} from {len(pipeline.task.request)} columns\n\n"
        f"- imported from MLflow, flavor {held.flavor}; its files are kept as they came\n"
        "- no holdout is known: `promise evaluate` on labelled rows measures it\n"
    )
