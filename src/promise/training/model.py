"""A registered version, ready to answer: what `promise.train` and `promise.load` return."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from promise.pipeline.answers import answer_rows
from promise.pipeline.artifact import load_pipeline, read_notes
from promise.pipeline.explain import explain
from promise.pipeline.pipeline import Pipeline
from promise.pipeline.request import request_from_rows
from promise.registry.registry import Registry
from promise.registry.versions import Version


@dataclass(frozen=True)
class Model:
    """A version and its pipeline, loaded at first use.

    Parameters
    ----------
    version
        The registered version.
    """

    version: Version

    @cached_property
    def pipeline(self) -> Pipeline:
        """The pipeline, after its files' digests were checked."""
        return load_pipeline(self.version.folder)

    @cached_property
    def notes(self) -> dict[str, Any]:
        """What training told of it: the ladder, baselines, what was noticed."""
        return read_notes(self.version.folder)

    def predict(
        self, rows: Mapping[str, Any] | Sequence[Mapping[str, Any]]
    ) -> dict[str, Any] | list[dict[str, Any]]:
        """Answer one row or several, each a dictionary of field to value.

        Returns
        -------
        One dictionary for one row, a list for several: `prediction`, and for classes
        `probability` by class.
        """
        one = isinstance(rows, Mapping)
        listed = [rows] if isinstance(rows, Mapping) else list(rows)
        request = request_from_rows(listed, self.pipeline.task.request)
        answers = answer_rows(self.pipeline, self.pipeline.predict(request))
        return answers[0] if one else answers

    def explain(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Say how much each input moved the answer for one row, by native contributions."""
        request = request_from_rows([row], self.pipeline.task.request)
        return explain(self.pipeline, request)[0].to_json()


def load(reference: str, registry: Registry | None = None) -> Model:
    """Return the model `NAME[@V]`; without a number its newest version."""
    return Model((registry or Registry.open()).find(reference))
