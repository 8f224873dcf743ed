"""The main job on real data that the installation brings: what `make demo` shows."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv

from promise.discovery.discover import run
from promise.discovery.found import Found
from promise.discovery.options import Options
from promise.discovery.watch import Watcher
from promise.errors import PromiseError
from promise.state.files import whole_file

_BUDGET_S = 45.0
_TARGET = "diagnosis"


@dataclass(frozen=True)
class Shown:
    """What the demo did and what it suggests to try next."""

    found: Found
    prediction: dict[str, Any]
    exported: str
    data: Path

    @property
    def lines(self) -> list[str]:
        """The end of the demo, in sentences."""
        out, run, python = self.found.out, command("promise"), command("python")
        return [
            "",
            f"the exported code answered without Promise: {self.exported}",
            f"the registered version answered: {self.prediction}",
            "",
            "what to try next:",
            f"  open {out / 'report.html'}",
            f"  {run} profile {self.data} --target {_TARGET}",
            f"  {run} models list",
            f"  {run} predict {self.found.version} {self.data} --out predictions.csv",
            f"  {python} {out / 'export' / 'evaluate.py'} --data {self.data}",
            f"  {run} deploy {self.found.version}   # holdout and load test first, then live",
            f"  {run} serve   # answers POST http://127.0.0.1:8000/v1/models/demo/predict",
            f"  {run} discover YOUR.csv --target COLUMN --budget 5m",
        ]

    def to_json(self) -> dict[str, Any]:
        """Return what `promise demo --json` prints."""
        return {
            **self.found.story,
            "out": str(self.found.out),
            "prediction": self.prediction,
            "exported": self.exported,
        }


def command(name: str) -> str:
    """Return how to call a command of this environment: by its name where the shell finds it."""
    own = Path(sys.executable).parent / name
    found = shutil.which(name)
    if found is not None and Path(found).parent == own.parent:
        return name
    here = Path.cwd()
    return str(own.relative_to(here) if own.is_relative_to(here) else own)


def run_demo(out: Path, watcher: Watcher) -> Shown:
    """Discover, register, export and predict on the Wisconsin breast-cancer data."""
    data = out / "breast_cancer.csv"
    rows = write_data(data)
    options = Options(target=_TARGET, budget_s=_BUDGET_S, name="demo", out=out / "discovery")
    found = run(str(data), options, watcher)
    watcher.step("running the exported code in a fresh interpreter")
    answered = run_export(found.out / "export", data, out / "exported_predictions.csv")
    one = {name: values[0] for name, values in rows.items() if name != _TARGET}
    prediction = found.predict(one)
    if not isinstance(prediction, dict):
        raise PromiseError("one row was asked and several were answered.")
    return Shown(found, prediction, answered, data)


def write_data(path: Path) -> dict[str, list[Any]]:
    """Write scikit-learn's breast-cancer set as a CSV file; return its columns."""
    from sklearn.datasets import load_breast_cancer

    raw = load_breast_cancer()
    columns: dict[str, list[Any]] = {
        str(name).replace(" ", "_"): raw.data[:, i].tolist()
        for i, name in enumerate(raw.feature_names)
    }
    columns[_TARGET] = [str(raw.target_names[code]) for code in raw.target]
    with whole_file(path) as draft:
        pa_csv.write_csv(pa.table(columns), draft)
    return columns


def run_export(export: Path, data: Path, out: Path) -> str:
    """Predict a file with the exported code, in an interpreter that starts fresh."""
    command = [sys.executable, str(export / "predict.py"), "--data", str(data), "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise PromiseError(f"the exported code failed: {done.stderr.strip().splitlines()[-1:]}")
    answers = pa_csv.read_csv(out)
    return f"{answers.num_rows} rows in {out}"
