"""One transaction without columns: features as they were seen, members bound natively, a decision.

The digits are those of `Pipeline.predict`: every step after the members is the same function on
arrays of one row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from promise.data.columns import FloatArray
from promise.errors import DataError
from promise.features.event import AMOUNT
from promise.features.incoming import EventReader
from promise.features.keyed import VIEW, Keyed
from promise.features.values import Read, reader
from promise.kernels.calibrating import SMALLEST
from promise.models.calibrate import Calibrated
from promise.models.single_row import Answer, Matrix, bind_model
from promise.pipeline.decision import DecisionPolicy
from promise.pipeline.one import One, Values
from promise.pipeline.pipeline import Pipeline

Place = tuple[int, Read]


@dataclass(frozen=True)
class OneDecision:
    """The fast path of a calibrated blend over keyed features.

    Parameters
    ----------
    reader
        Reads the event of a row whose entities were not looked up.
    matrix
        Float32 (1, n_features), filled anew for each row; what the members read.
    members
        Each member's weight and bound model.
    amount, key
        Where the policy finds the money at stake and the event's key; None where it reads none.
    """

    reader: EventReader
    score: Calibrated
    policy: DecisionPolicy
    matrix: Matrix
    members: tuple[tuple[float, Answer], ...]
    amount: Place | None
    key: Place | None

    def output(self, values: Values, seen: FloatArray | None = None) -> list[float]:
        """Return the calibrated chances of good and fraud."""
        self.matrix[0] = self._of_strangers(values) if seen is None else seen
        parts = [(weight, model()) for weight, model in self.members]
        if self.score.scale == "logit":
            found = _log_odds([part for _, part in parts])
            margin = _sum([w * odds for (w, _), odds in zip(parts, found, strict=True)])
        else:
            mean = [_sum([weight * part[k] for weight, part in parts]) for k in (0, 1)]
            margin = _log_odds([mean])[0]
        margin = self.score.platt.slope * margin + self.score.platt.offset
        small = float(np.exp(-abs(margin)))  # NumPy's power, as in every batch
        positive = (1.0 if margin >= 0 else small) / (1.0 + small)
        return [1.0 - positive, positive]

    def answer(self, values: Values, seen: FloatArray | None = None) -> dict[str, Any]:
        """Return the decision with everything that stands beside it."""
        chance = self.output(values, seen)[1]
        amount = None if self.amount is None else self.amount[1](values[self.amount[0]])
        key = None if self.key is None else self.key[1](values[self.key[0]])
        return self.policy.one(chance, amount, key, matrix=self.matrix)

    def _of_strangers(self, values: Values) -> FloatArray:
        """Return the features of an event whose entities nobody has seen."""
        at = self.reader.time_of(values)
        if at is None:
            raise DataError(
                "the event has no time, which its features need; send when it happened."
            )
        event = self.reader.event(values, id="row", now_us=at)
        features = self.reader.keyed.features
        return features.vector(event, [None] * len(features.kernels))


def _log_odds(parts: list[list[float]]) -> list[float]:
    """Return the log-odds of several pairs of shares, with the digits of `log_odds`."""
    shares = [share for part in parts for share in part]
    logs = np.log(np.maximum(shares, SMALLEST)).tolist()
    return [high - low for low, high in zip(logs[::2], logs[1::2], strict=True)]


def _sum(parts: list[float]) -> float:
    """Add from the first to the last, as `sum_in_order` does; `sum` may add otherwise."""
    total = parts[0]
    for part in parts[1:]:
        total += part
    return total


def one_decision(pipeline: Pipeline) -> One | None:
    """Compile a pipeline for single rows; None where a stage is of another kind."""
    keyed, score, policy = pipeline.featurize, pipeline.score, pipeline.decide
    if not isinstance(keyed, Keyed) or not isinstance(score, Calibrated):
        return None
    if not isinstance(policy, DecisionPolicy) or pipeline.retrieve is not None:
        return None
    if any(member.view != VIEW for member in score.members):
        return None
    matrix = np.zeros((1, len(keyed.features.columns)), dtype=np.float32)
    members = tuple((m.weight, bind_model(m.fitted, matrix)) for m in score.members)
    explored = policy.exploration
    return OneDecision(
        EventReader(keyed, pipeline.task.request),
        score,
        policy,
        matrix,
        members,
        amount=_place(pipeline, policy.amount or keyed.columns.get(AMOUNT)),
        key=None if explored is None else _place(pipeline, explored.key),
    )


def _place(pipeline: Pipeline, name: str | None) -> Place | None:
    schema = pipeline.task.request
    if name is None or name not in schema:
        return None
    return schema.names.index(name), reader(schema[name])
