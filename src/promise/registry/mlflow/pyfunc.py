"""A version as MLflow loads it: its own folder inside, a signature, and a few lines of code."""

from __future__ import annotations

import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

from promise.data.answer import Class, Decision, Labels
from promise.data.schema import Field
from promise.pipeline.artifact import read_manifest
from promise.pipeline.task import Task
from promise.registry.versions import Version

_TYPES = {"number": "double", "boolean": "boolean", "date": "datetime"}


_BESIDE = {"reviewing": (("double", "confidence"), ("boolean", "review"))}
"""What policies of this kind tell beside the prediction, as far as it is a column."""


def signature_of(task: Task, decides: str = "") -> Any:
    """Return MLflow's signature of a task: every field may be missing, as here.

    Parameters
    ----------
    decides
        The kind of the policy.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema
    from mlflow.types.schema import Array

    inputs = [ColSpec(_type(field), field.name, required=False) for field in task.request]
    text = isinstance(task.answer, Class | Decision)
    several = isinstance(task.answer, Labels)
    kind = Array("string") if several else "string" if text else "double"
    outputs = [ColSpec(kind, "prediction")]
    if isinstance(task.answer, Decision):
        outputs.append(ColSpec("double", "score"))
    outputs += [ColSpec(kind, name) for kind, name in _BESIDE.get(decides, ())]
    if isinstance(task.answer, Class | Labels):
        known = task.answer.classes if isinstance(task.answer, Class) else task.answer.labels
        outputs += [ColSpec("double", f"probability_{name}") for name in known]
    return ModelSignature(Schema(inputs), Schema(outputs))


def _type(field: Field) -> str:
    return _TYPES.get(field.type, "string")


_CODE = '''"""Answers with a version of Promise that lies beside this file."""

from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa

from promise.features.keyed import Keyed
from promise.pipeline.artifact import load_pipeline
from promise.pipeline.request import request_from_table


class PromiseModel(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        self.pipeline = load_pipeline(Path(context.artifacts["version"]))

    def predict(self, context, model_input: pd.DataFrame, params=None):
        schema = self.pipeline.task.request
        frame = model_input.reindex(columns=list(schema.names))
        table = pa.Table.from_pandas(frame, preserve_index=False)
        request = request_from_table(table, schema)
        if isinstance(self.pipeline.featurize, Keyed):  # rows are events, one after the other
            request = self.pipeline.featurize.replay(request)
        answers = self.pipeline.predict(request)
        columns = {"prediction": answers["prediction"]}
        columns |= {
            name: answers[name] for name in ("score", "confidence", "review") if name in answers
        }
        if "probability" in answers:
            told = self.pipeline.task.answer
            known = told.labels if hasattr(told, "labels") else told.classes
            for number, name in enumerate(known):
                columns[f"probability_{name}"] = np.asarray(answers["probability"][:, number])
        return pd.DataFrame(columns, index=model_input.index)


mlflow.models.set_model(PromiseModel())
'''


def write_model(version: Version, folder: Path) -> None:
    """Write a version as MLflow loads it: its own folder inside, and a few lines that call it."""
    import mlflow.pyfunc

    manifest = read_manifest(version.folder)
    task = Task.from_json(manifest["task"])
    decides = str(manifest["stages"].get("decide", {}).get("kind", ""))
    with tempfile.TemporaryDirectory() as scratch:
        code = Path(scratch) / "promise_model.py"
        code.write_text(_CODE, encoding="utf-8")
        mlflow.pyfunc.save_model(
            path=str(folder),
            python_model=str(code),
            artifacts={"version": str(version.folder)},
            signature=signature_of(task, decides),
            pip_requirements=[f"promise-ml=={metadata.version('promise-ml')}"],
            metadata={"promise.version": str(version)},
        )
