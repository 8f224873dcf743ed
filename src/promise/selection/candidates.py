"""What races: a view of the table, an estimator, and what came of fitting them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from promise.data.columns import Array, IntArray
from promise.errors import ArtifactError
from promise.features.table import TableFeatures
from promise.models.base import ESTIMATORS, Estimator

FieldList = list[dict[str, Any]]
"""A schema's input fields, as `Schema.to_json` lists them."""


def digest(value: Any) -> str:
    """Return twelve hex digits that stand for a JSON value.

    Examples
    --------
    >>> digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    True
    """
    text = json.dumps(value, sort_keys=True, default=list)
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def estimator_params(estimator: Estimator) -> dict[str, Any]:
    """Return an estimator's parameters as JSON values."""
    params: dict[str, Any] = json.loads(json.dumps(asdict(estimator)))  # type: ignore[call-overload]
    return params


def with_params(estimator: Estimator, params: Mapping[str, Any]) -> Estimator:
    """Return the estimator with some parameters changed."""
    changed: Estimator = replace(estimator, **params)  # type: ignore[type-var]
    return changed


def estimator_from(kind: str, params: Mapping[str, Any]) -> Estimator:
    """Build an installed estimator from its JSON parameters.

    Raises
    ------
    ArtifactError
        When the installed estimator does not have one of the parameters.
    """
    found = ESTIMATORS.resolve(kind)
    known = {f.name for f in fields(found)}
    unknown = sorted(set(params) - known)
    if unknown:
        raise ArtifactError(
            f"the installed {kind!r} estimator has no parameter {unknown[0]!r}; the journal comes "
            "from another version of Promise: start again without --resume."
        )
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in params.items()}
    estimator: Estimator = found(**values)
    return estimator


@dataclass(frozen=True)
class Candidate:
    """One configuration to fit: which features it reads and which estimator learns from them.

    Parameters
    ----------
    name
        Unique within a race, as `lightgbm-03`.
    view
        What people call the features.
    """

    name: str
    view: str
    features: TableFeatures
    estimator: Estimator

    @property
    def family(self) -> str:
        """The estimator's kind, as leaderboards show it."""
        return self.estimator.kind

    @property
    def params(self) -> dict[str, Any]:
        """The estimator's parameters, as JSON values."""
        return estimator_params(self.estimator)

    @property
    def view_id(self) -> str:
        """The features' name and digest: candidates with the same one share matrices."""
        return f"{self.view}-{digest(self.features_json())[:8]}"

    def features_json(self) -> dict[str, Any]:
        """Return the features' configuration without the schema, which all candidates share."""
        return self.features.choices()

    def key(self) -> str:
        """Return a digest of the configuration: equal keys mean equal work."""
        return digest([self.family, self.params, self.features_json()])

    def at_rounds(self, rounds: int | None) -> Candidate:
        """Return this candidate fixed to recorded rounds; unchanged when none were recorded."""
        if rounds is None:
            return self
        return replace(self, estimator=self.estimator.at_rounds(rounds))

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` rebuilds it from."""
        return {
            "name": self.name,
            "family": self.family,
            "view": self.view,
            "features": self.features_json(),
            "params": self.params,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], schema: FieldList) -> Candidate:
        """Rebuild a candidate for a table with these input fields."""
        values: dict[str, Any] = dict(data["features"])
        return cls(
            name=data["name"],
            view=data["view"],
            features=TableFeatures(**values, schema=schema),
            estimator=estimator_from(data["family"], data["params"]),
        )


@dataclass(frozen=True)
class Fit:
    """What one fit of a candidate gave: one rung of rows, one fold.

    Parameters
    ----------
    rung
        Which share of the training rows it learned from; the last rung is all of them.
    status
        `"ok"`, or `"failed: …"` with the reason.
    score
        The metric on the fold's validation rows; NaN when it failed.
    cut
        Whether the deadline ended the learning early.
    folder
        Where `output.npy` and the fitted model lie, relative to the race's folder.
    """

    rung: int
    fold: int
    status: str
    score: float
    rows: int
    rounds: int | None
    fit_seconds: float
    predict_ms: float
    size_mb: float
    peak_mb: float
    cut: bool
    folder: str

    @property
    def ok(self) -> bool:
        """Whether there is an output."""
        return self.status == "ok"


@dataclass(frozen=True)
class Trial:
    """A candidate and all that its fits on the largest rung showed.

    Parameters
    ----------
    score
        The metric over the validation rows of `folds`; a row validated again counts again.
    rank_score
        The same with its sign made larger-is-better, and corrected for the folds it lacks.
    rounds
        Rounds used, by fold; None where a family has none.
    outputs
        For each fold the file of its validation outputs.
    complete
        Whether it has seen all rows in all folds.
    """

    candidate: Candidate
    score: float
    rank_score: float
    fold_scores: tuple[float, ...]
    folds: tuple[int, ...]
    rung: int
    rows: int
    rounds: tuple[int | None, ...]
    fit_seconds: float
    predict_ms: float
    size_mb: float
    peak_mb: float
    status: str
    outputs: tuple[Path, ...]
    fitted: tuple[Path, ...]
    complete: bool

    @property
    def name(self) -> str:
        """The candidate's name."""
        return self.candidate.name

    @property
    def family(self) -> str:
        """The candidate's family."""
        return self.candidate.family

    @property
    def ok(self) -> bool:
        """Whether there is a score."""
        return self.status == "ok"

    @property
    def refit_rounds(self) -> int | None:
        """The mean of the recorded rounds over folds; None where a family has none."""
        known = [r for r in self.rounds if r is not None]
        return max(1, round(float(np.mean(known)))) if known else None


def pooled(trial: Trial, folds: Sequence[tuple[IntArray, IntArray]]) -> Array:
    """Put a trial's validation outputs one after the other, fold by fold.

    Returns
    -------
    One row for each validated row of all the folds; NaN in those of folds that it has not seen. A
    single fold's outputs stay mapped from the disk.
    """
    if not trial.outputs:
        raise ArtifactError(f"trial {trial.name!r} has no outputs to pool.")
    parts = [np.load(path, mmap_mode="r") for path in trial.outputs]
    if len(folds) == 1:
        return np.asarray(parts[0])
    ends = np.cumsum([len(check) for _, check in folds])
    whole: Array = np.full((int(ends[-1]), *parts[0].shape[1:]), np.nan)
    for fold, part in zip(trial.folds, parts, strict=True):
        whole[ends[fold] - len(part) : ends[fold]] = part
    return whole


def seen(trial: Trial, folds: Sequence[tuple[IntArray, IntArray]]) -> tuple[Array, IntArray]:
    """Return a trial's validation outputs in the folds that it has seen, and whose they are."""
    parts = [np.load(path, mmap_mode="r") for path in trial.outputs]
    return np.concatenate(parts), np.concatenate([folds[fold][1] for fold in trial.folds])
