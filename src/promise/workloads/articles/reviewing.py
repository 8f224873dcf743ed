"""Decide stage: a class or labels, and whether a person shall look at the article."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from promise.data.answer import Class, Labels, answer_from_json, answer_to_json
from promise.data.columns import Array, Columns, FloatArray, IntArray
from promise.kernels.multilabel import decided
from promise.kernels.scores import decide
from promise.pipeline.policy import PREDICTION, PROBABILITY

REVIEW, CONFIDENCE = "review", "confidence"
FEWEST = 20
"""So many articles answered with a class tell how precise its answers are."""


@dataclass(frozen=True)
class Reviewing:
    """Answers always, and says where it is not sure enough to be left alone.

    Parameters
    ----------
    thresholds
        By class: an answer less sure than so is for a person. One number holds for all of several
        labels; none: nothing is reviewed.
    multipliers
        Of labels: probability × multiplier of one half or more gives the label.

    Examples
    --------
    >>> policy = Reviewing(Class(("news", "sport")), thresholds=(0.8, 0.6))
    >>> found = policy.many(Columns({}), np.array([[0.7, 0.3], [0.3, 0.7]]))
    >>> found["prediction"].tolist(), found["review"].tolist()
    (['news', 'sport'], [True, False])
    """

    kind: ClassVar[str] = "reviewing"
    kind_version: ClassVar[int] = 1
    answer: Class | Labels
    thresholds: tuple[float, ...] = ()
    multipliers: tuple[float, ...] | None = None

    def many(self, columns: Columns, output: Array) -> Columns:  # noqa: ARG002 — the stage's signature
        """Return `prediction`, `probability`, `confidence` and `review`."""
        sure, code = confidence(self.answer, output, self.multipliers)
        if isinstance(self.answer, Labels):
            names = self.answer.labels
            given = decided(output, self.multipliers)
            prediction = np.empty(len(output), dtype=object)
            for row, found in enumerate(given):
                prediction[row] = [names[i] for i in np.flatnonzero(found).tolist()]
        else:
            prediction = np.array(self.answer.classes, dtype=object)[code]
        least = np.array(self.thresholds)[code] if self.thresholds else np.zeros(len(output))
        return Columns(
            {
                PREDICTION: prediction,
                PROBABILITY: np.asarray(output, dtype=np.float64),
                CONFIDENCE: sure,
                REVIEW: sure < least,
            }
        )

    def extras(self) -> dict[str, Any]:
        """Return the JSON schema of what stands beside the prediction."""
        return {
            CONFIDENCE: {"type": "number", "minimum": 0, "maximum": 1, "title": "Confidence"},
            REVIEW: {
                "type": "boolean",
                "title": "Review",
                "description": "Whether a person shall look at it.",
            },
        }

    def to_json(self) -> dict[str, Any]:
        """Return the policy as `policy.json` shows it."""
        return {
            "answer": answer_to_json(self.answer),
            "thresholds": list(self.thresholds),
            "multipliers": None if self.multipliers is None else list(self.multipliers),
        }

    def save(self, folder: Path) -> None:
        """Write the policy as JSON."""
        (folder / "reviewing.json").write_text(json.dumps(self.to_json()), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote."""
        told = json.loads((folder / "reviewing.json").read_text(encoding="utf-8"))
        answer: Any = answer_from_json(told["answer"])
        moved = told["multipliers"]
        return cls(answer, tuple(told["thresholds"]), None if moved is None else tuple(moved))


def confidence(
    answer: Class | Labels, output: FloatArray, multipliers: tuple[float, ...] | None
) -> tuple[FloatArray, IntArray]:
    """Return how sure each answer is, and whose threshold it is held against.

    Of several labels the least sure one counts, whether it was given or not.
    """
    if isinstance(answer, Class):
        code = decide(output)
        return np.asarray(output[np.arange(len(output)), code], dtype=np.float64), code
    given = decided(output, multipliers)
    sure = np.where(given, output, 1.0 - output).min(axis=1)
    return np.asarray(sure, dtype=np.float64), np.zeros(len(output), dtype=np.int64)


def thresholds_of_share(
    answer: Class | Labels, sure: FloatArray, share: float
) -> tuple[float, ...]:
    """Return the threshold below which about this share of answers lies."""
    if share <= 0:
        return ()
    cut = float(np.quantile(sure, share))
    return (cut,) * (answer.n_classes if isinstance(answer, Class) else 1)


def thresholds_of_precision(
    answer: Class, sure: FloatArray, code: IntArray, truth: Array, precision: float
) -> tuple[float, ...]:
    """Return by class the least confidence above which this share of answers was right.

    Classes that were answered too rarely to tell take the threshold of all answers together.
    """
    right = truth[np.arange(len(code)), code]
    everything = _cut(sure, right, precision)
    found = []
    for each in range(answer.n_classes):
        mine = code == each
        own = int(mine.sum()) >= FEWEST
        found.append(_cut(sure[mine], right[mine], precision) if own else everything)
    return tuple(found)


def _cut(sure: FloatArray, right: Array, precision: float) -> float:
    """Return the lowest threshold whose answers above it are precise enough; 1.0 where none is."""
    order = np.argsort(-sure, kind="stable")
    share = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    enough = np.flatnonzero(share >= precision)
    if not len(enough):
        return 1.0
    return 0.0 if enough[-1] == len(order) - 1 else float(sure[order[enough[-1]]])
