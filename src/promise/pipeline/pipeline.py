"""Retrieve → Featurize → Score → Decide, as one pure value."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np

from promise.data.columns import Array, Columns
from promise.pipeline.stages import STAGE_ORDER, Decide, Featurize, Retrieve, Score, Stage, State
from promise.pipeline.task import Task


@dataclass(frozen=True)
class Pipeline:
    """From request to answer; it reads what the caller gives it and never writes.

    Parameters
    ----------
    task
        The question it answers.
    score, decide
        Every pipeline has both.
    retrieve, featurize
        Where the workload needs them.
    """

    task: Task
    score: Score
    decide: Decide
    featurize: Featurize | None = None
    retrieve: Retrieve | None = None

    @property
    def stages(self) -> dict[str, Stage]:
        """The stages that this pipeline has, in order."""
        found = {name: getattr(self, name) for name in STAGE_ORDER}
        return {name: stage for name, stage in found.items() if stage is not None}

    @property
    def multipliers(self) -> Array | None:
        """What the policy multiplies probabilities by before it decides, or None."""
        found = getattr(self.decide, "multipliers", None)
        return None if found is None else np.asarray(found)

    def needs(self, request: Columns) -> tuple[str, ...]:
        """Name the keyed state to read before `predict`, without reading any."""
        readers = (self.retrieve, self.featurize)
        keys = [key for stage in readers if stage is not None for key in stage.needs(request)]
        return tuple(dict.fromkeys(keys))

    def output(
        self, request: Columns, state: State | None = None, at: datetime | None = None
    ) -> Array:
        """Return the scorer's raw output: what metrics and intervals are computed from.

        A policy that answers with lists tells its output for each request (`listed`), since
        candidates are rows of none.
        """
        columns = self._featurized(request, state or {}, at)
        output = self.score.many(columns)
        listed = getattr(self.decide, "listed", None)
        return output if listed is None else np.asarray(listed(columns, output))

    def predict(
        self, request: Columns, state: State | None = None, at: datetime | None = None
    ) -> Columns:
        """Return the answer columns, row for row.

        Parameters
        ----------
        request
            Typed columns of the task's request schema.
        state
            Keyed state read for `needs(request)`.
        at
            The time of the request; time windows end just before it.
        """
        columns = self._featurized(request, state or {}, at)
        return self.decide.many(columns, self.score.many(columns))

    def _featurized(self, request: Columns, state: State, at: datetime | None) -> Columns:
        columns = request
        if self.retrieve is not None:
            columns = self.retrieve.many(columns, state, at)
        if self.featurize is not None:
            columns = self.featurize.many(columns, state, at)
        return columns
