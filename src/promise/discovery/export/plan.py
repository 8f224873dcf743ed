"""What an export is made of: one table, one winner, and the evidence for it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from promise.data.answer import Answer, Class
from promise.errors import ArtifactError


def defined(value: float | None) -> float | None:
    """Return a score, or None where it is undefined: JSON keeps that as null, NumPy as NaN.

    Examples
    --------
    >>> defined(0.5), defined(float("nan")), defined(None)
    (0.5, None, None)
    """
    return None if value is None or not math.isfinite(value) else float(value)


@dataclass(frozen=True)
class Member:
    """One fitted model of the winner: how it reads the table, what it is, and its share.

    Parameters
    ----------
    family
        Kernel family: `fit_FAMILY`, `predict_FAMILY`, `save_FAMILY` and `load_FAMILY` exist.
    params
        Kernel parameters of the final fit, with the rounds it used.
    seed
        Seed of the fit; the encoding's own is saved with it.
    weight
        Share in the blend.
    features_folder, fitted_folder
        What `save_encoding` and `save_FAMILY` wrote; members with one features folder share a
        matrix.
    rounds
        Rounds the fit recorded, or None.
    refitted
        Whether it was fitted on all training rows; if not, `train.py` gives a better one.
    """

    family: str
    params: Mapping[str, Any]
    seed: int
    weight: float
    features_folder: Path
    fitted_folder: Path
    rounds: int | None = None
    refitted: bool = True
    threads: int = 1


@dataclass(frozen=True)
class Order:
    """Which columns put the rows in order, for models that read a row's past."""

    time: str
    entity: str | None = None


@dataclass(frozen=True)
class ExportPlan:
    """Everything that an export says, computes and proves.

    Parameters
    ----------
    created
        ISO time.
    score, ci, validation_score, baseline_score
        Of `metric`: on the holdout with its 95 % interval, on validation rows, and of the trivial
        model on the holdout. None or NaN where undefined.
    reader
        How the original file was read; None for SQL and frames, then files of any format that the
        kernels read are taken with default settings.
    schema
        Field dictionaries: inputs, the label, and columns that order or group rows.
    train_rows, holdout_rows
        Sorted row numbers in the source. No `train_rows` at all: every row but the holdout.
    holdout
        Typed columns of the holdout rows, aligned with `holdout_rows`: their digests let
        `evaluate.py` tell a changed or reordered file. None leaves the check out.
    golden
        At most 64 raw rows as they came, label included or not.
    golden_output
        The pipeline's exact raw output for them: (n,) numbers or (n, k) probabilities.
    group
        Column that keeps rows together in the split, only told in the documents.
    split
        The rule of a temporal or grouped split as `Split.to_json` writes it: `train.py` asks it
        about rows that no sample held. None where row numbers say everything.
    notes
        Further paragraphs for the model card, title to text: promises, fairness.
    """

    name: str
    version: str
    created: str
    answer: Answer
    target: str
    metric: str
    score: float | None
    ci: tuple[float | None, float | None] | None
    validation_score: float | None
    baseline_score: float | None
    rows_used: int
    split_sentence: str
    seed: int
    reader: Mapping[str, Any] | None
    schema: tuple[Mapping[str, Any], ...]
    members: tuple[Member, ...]
    train_rows: npt.NDArray[np.int64]
    holdout_rows: npt.NDArray[np.int64]
    n_source_rows: int
    data_fingerprint: str
    golden: pa.Table
    golden_output: npt.NDArray[np.float64]
    holdout: Mapping[str, npt.NDArray[Any]] | None = None
    temperature: float | None = None
    multipliers: tuple[float, ...] | None = None
    order: Order | None = None
    group: str | None = None
    split: Mapping[str, Any] | None = None
    source_name: str = "the data"
    leaderboard: Mapping[str, Any] = field(default_factory=dict)
    findings: tuple[Mapping[str, Any], ...] = ()
    importance: tuple[Mapping[str, Any], ...] = ()
    notes: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 1 <= len(self.members) <= 5:
            raise ArtifactError(f"an export holds one to five members, not {len(self.members)}.")
        if len(self.golden) != len(self.golden_output):
            raise ArtifactError(
                f"{len(self.golden)} golden rows came with {len(self.golden_output)} outputs."
            )
        if self.target not in {str(f["name"]) for f in self.schema}:
            raise ArtifactError(f"the schema lacks the target {self.target!r}.")

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes, in the order of their codes; empty for a number."""
        return self.answer.classes if isinstance(self.answer, Class) else ()

    @property
    def n_train_rows(self) -> int:
        """How many rows it learned from."""
        return len(self.train_rows) or self.rows_used - len(self.holdout_rows)

    @property
    def families(self) -> tuple[str, ...]:
        """The families that the winner is made of, each once."""
        return tuple(dict.fromkeys(member.family for member in self.members))

    @property
    def inputs(self) -> tuple[Mapping[str, Any], ...]:
        """The fields that feed the model."""
        return tuple(f for f in self.schema if f.get("role", "input") in ("input", "protected"))
