"""What a collector must know of a version to read its lines, from its folder alone."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from promise.data.answer import Answer, Class, Decision, Labels, Number, truths
from promise.data.columns import Array, Columns
from promise.data.schema import Schema
from promise.errors import ArtifactError, DataError, PromiseError
from promise.kernels.multilabel import coded
from promise.kernels.parsing import number_text, number_texts
from promise.kernels.scores import decide
from promise.metrics.drift import SCORE, count_bins
from promise.pipeline.artifact import read_manifest
from promise.pipeline.decision import SCORE as CHANCE
from promise.pipeline.keyed_stage import keyed_stage
from promise.pipeline.policy import PREDICTION, PROBABILITY
from promise.pipeline.request import request_from_rows
from promise.pipeline.task import Task
from promise.records.given import as_answered, finite_number, truth_code
from promise.registry.versions import Version

_log = logging.getLogger(__name__)
_OWN_ANSWER = ("model", "cache", "previous")


@dataclass(frozen=True)
class Watched:
    """A version's request, answer and frozen bins.

    Parameters
    ----------
    reference
        Feature to its frozen bins, as the version keeps them.
    keyed
        Names of the features that its stored states give, in the order of its vectors; none
        where it reads no state.
    """

    schema: Schema
    answer: Answer
    reference: Mapping[str, Any]
    keyed: tuple[str, ...] = ()

    @classmethod
    def of(cls, version: Version) -> Watched:
        """Read what a version keeps.

        Raises
        ------
        ArtifactError
            When its folder is missing or damaged.
        """
        task = Task.from_json(read_manifest(version.folder)["task"])
        path = version.folder / "reference.json"
        try:
            reference = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ArtifactError(f"{path} cannot be read; restore it from a backup.") from error
        return cls(task.request, task.answer, reference, _keyed_names(version))

    @cached_property
    def _codes(self) -> dict[str, float]:
        return {name: float(code) for code, name in enumerate(truths(self.answer))}

    def typed(self, lines: Sequence[Mapping[str, Any]]) -> tuple[list[Mapping[str, Any]], Columns]:
        """Return the lines whose rows the schema can read, and their typed columns."""
        try:
            return list(lines), request_from_rows([line["row"] for line in lines], self.schema)
        except (DataError, KeyError, ValueError, TypeError):
            good = [line for line in lines if self._readable(line)]
            return good, request_from_rows([line["row"] for line in good], self.schema)

    def _readable(self, line: Mapping[str, Any]) -> bool:
        try:
            request_from_rows([line["row"]], self.schema)
        except (DataError, KeyError, ValueError, TypeError, AttributeError):
            return False
        return True

    def output(self, line: Mapping[str, Any]) -> list[float] | None:
        """Return the raw output that a line tells; None where no version answered."""
        answer = line.get("answer")
        if line.get("source", "model") not in _OWN_ANSWER or not isinstance(answer, dict):
            return None
        if isinstance(self.answer, Class | Labels):
            shares = answer.get(PROBABILITY)
            if not isinstance(shares, dict):
                return None
            known = self.answer.classes if isinstance(self.answer, Class) else self.answer.labels
            return [float(shares.get(name, 0.0)) for name in known]
        if isinstance(self.answer, Decision):
            chance = answer.get(CHANCE)
            return [1.0 - chance, float(chance)] if isinstance(chance, int | float) else None
        found = answer.get(PREDICTION)
        return [float(found)] if isinstance(found, int | float) else None

    def counted(self, columns: Columns, outputs: Sequence[list[float] | None]) -> dict[str, Any]:
        """Count rows, and the outputs there are, in the frozen bins: feature to counts."""
        found = {
            name: count_bins(entry, columns[name])
            for name, entry in self.reference.items()
            if name in columns
        }
        known = np.array([output for output in outputs if output is not None], dtype=np.float64)
        entry = self.reference.get(SCORE)
        if entry is not None and len(known):
            found[SCORE] = count_bins(entry, self._score(entry, known))
        return found

    def _score(self, entry: Any, outputs: Array) -> Array:
        """Return what is counted of outputs: each share, the largest, or the class it names."""
        if isinstance(entry, list):
            return outputs
        if entry["kind"] == "category":
            return np.array(truths(self.answer), dtype=object)[decide(outputs)]
        return np.asarray(outputs.max(axis=1))

    def counted_seen(self, vectors: Sequence[NDArray[np.float32]]) -> dict[str, Any]:
        """Count keyed features, as they were served, in the frozen bins: feature to counts.

        Parameters
        ----------
        vectors
            Of this version, each as long as `keyed`.
        """
        table = np.array(vectors, dtype=np.float64).reshape(len(vectors), len(self.keyed))
        return {
            name: count_bins(self.reference[name], table[:, place])
            for place, name in enumerate(self.keyed)
            if name in self.reference and name not in self.schema
        }

    def label(self, value: Any) -> float | str | None:
        """Return a label as a class code, a number, or the codes of several labels as one text.

        None for what the version does not know.
        """
        if isinstance(self.answer, Labels):
            return self._several(value, self.answer)
        if isinstance(value, list):
            return None
        if self._codes:
            known = self._codes.get(value) if isinstance(value, str) else None
            if known is not None:
                return known
            code = truth_code(value, self.answer)
            return None if code is None else float(code)
        if isinstance(self.answer, Number):
            return finite_number(value)
        return None

    def _several(self, value: Any, answer: Labels) -> str | None:
        """Return the codes as `kernels.multilabel.coded` writes them."""
        try:
            given = set(as_answered(value, answer))
        except DataError:
            return None
        return str(coded(np.array([[name in given for name in answer.labels]]))[0])


def _keyed_names(version: Version) -> tuple[str, ...]:
    """Return the names of a version's keyed features; none where they cannot be read."""
    try:
        stage = keyed_stage(version.folder)
    except PromiseError as error:
        facts = {"version": str(version), "reason": str(error)}
        _log.warning("drift of keyed features is not counted", extra=facts)
        return ()
    return () if stage is None else stage.keyed.features.columns


def group_values(columns: Columns, name: str) -> list[str | None]:
    """Return a column as names of groups: categories as they are, numbers as canonical text."""
    values: Array = columns[name]
    if values.dtype.kind == "M":
        return [None if np.isnat(v) else str(v) for v in values]
    texts = values if values.dtype == object else number_texts(values.astype(np.float64))
    return [
        None if v is None else v if isinstance(v, str) else number_text(float(v)) for v in texts
    ]
