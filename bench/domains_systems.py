"""What `bench domains` trains: presets by the command line, each peer in its own process."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench.domains_data import Labelled
from bench.peers.domains_peer import SYSTEMS
from bench.watched import Ran, watch
from promise.data.columns import Columns
from promise.pipeline.artifact import load_pipeline
from promise.pipeline.pipeline import Pipeline
from promise.registry.registry import Registry
from promise.registry.versions import Version
from promise.settings import Settings

PRESETS = {"promise": "default", "reference": "reference", "reference-tree": "reference-tree"}
"""System to preset."""

ROOT = Path(__file__).parents[1]
_BLOCK = 20_000


@dataclass(frozen=True)
class Trained:
    """A version that the command line made.

    Parameters
    ----------
    told
        What `promise train --json` printed.
    seconds, peak_mb
        Of the whole command, its start included.
    """

    version: Version
    told: dict[str, Any]
    seconds: float
    peak_mb: float

    @property
    def pipeline(self) -> Pipeline:
        """Its pipeline."""
        return load_pipeline(self.version.folder)


@dataclass(frozen=True)
class Answered:
    """What one system says of some names.

    Parameters
    ----------
    best, sure
        Likeliest class and its score, (n,).
    beside
        What the training told of the same features under other scores.
    """

    system: str
    best: np.ndarray
    sure: np.ndarray
    seconds: float
    peak_mb: float
    beside: dict[str, Any] = field(default_factory=dict)


class TrainingFailed(RuntimeError):
    """A system ended early; the message is its last word."""


def settings_of(home: Path) -> Settings:
    """Return an installation of its own."""
    return Settings.load({"PROMISE_HOME": str(home)})


def train(home: Path, rows: Labelled | pa.Table, name: str, *arguments: str) -> Trained:
    """Run `promise train domains` as a user would."""
    home.mkdir(parents=True, exist_ok=True)
    path = home / f"{name}.parquet"
    pq.write_table(rows.table() if isinstance(rows, Labelled) else rows, path)
    command = [Path(sys.executable).with_name("promise"), "train", "domains", path]
    ran = watch(
        [*command, "--name", name, "--column", "label=label", "--json", *arguments],
        home,
        env={"PROMISE_HOME": str(home)},
    )
    told = json.loads(_said(ran, name))
    version = Registry.open(settings_of(home)).find(told["version"])
    return Trained(version, told, ran.seconds, ran.peak_mb)


def answers(system: str, data: Labelled, asked: np.ndarray, folder: Path) -> Answered:
    """Train a system on what is not sealed and let it answer other rows."""
    if system in PRESETS:
        trained = train(folder, data, system, "--preset", PRESETS[system])
        classes = np.array(trained.pipeline.task.answer.classes)  # type: ignore[union-attr]
        output = outputs(trained.pipeline, data.names[asked])
        best = np.searchsorted(data.classes, classes)[output.argmax(axis=1)]
        beside = trained.told.get("beside", {})
        return Answered(system, best, output.max(axis=1), trained.seconds, trained.peak_mb, beside)
    learned = data.take(data.open)
    codes = np.searchsorted(data.classes, learned.labels)
    pq.write_table(pa.table({"name": learned.names, "code": codes}), folder / "train.parquet")
    pq.write_table(pa.table({"name": data.names[asked]}), folder / "test.parquet")
    command = [sys.executable, "-m", "bench.peers.domains_peer", system, folder]
    ran = watch(command, folder, env={"PYTHONPATH": str(ROOT)})
    _said(ran, system)
    with np.load(folder / f"{system}.npz") as found:
        return Answered(system, found["best"], found["sure"], ran.seconds, ran.peak_mb)


def outputs(pipeline: Pipeline, names: np.ndarray) -> np.ndarray:
    """Return the probabilities of names, block by block."""
    asked = pipeline.task.request.names[0]
    blocks = range(0, len(names), _BLOCK)
    return np.concatenate(
        [pipeline.output(Columns({asked: names[i : i + _BLOCK]})) for i in blocks]
    )


def _said(ran: Ran, system: str) -> str:
    if ran.code:
        raise TrainingFailed(f"{system}: {ran.complaint}")
    return ran.out


ALL_SYSTEMS = (*PRESETS, *SYSTEMS)
"""Promise first, then the reference presets, then the peers."""
