"""Decide: from raw output to the answer; changing it makes a child version."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from promise.data.answer import Answer, Class, Number, answer_from_json, answer_to_json
from promise.data.columns import Array, Columns
from promise.errors import ArtifactError
from promise.kernels.scores import decide

PREDICTION = "prediction"
PROBABILITY = "probability"


@dataclass(frozen=True)
class Threshold:
    """Numbers pass as they are; the class decided is the largest probability × multiplier.

    Parameters
    ----------
    answer
        `Number` or `Class`.
    multipliers
        One per class, or None for plain argmax; for two classes this is a threshold.

    Examples
    --------
    >>> policy = Threshold(Class(("no", "yes")), multipliers=(1.0, 3.0))
    >>> policy.many(Columns({}), np.array([[0.7, 0.3]]))["prediction"]
    array(['yes'], dtype=object)
    """

    kind: ClassVar[str] = "threshold"
    kind_version: ClassVar[int] = 1
    answer: Answer = field(default_factory=Number)
    multipliers: tuple[float, ...] | None = None

    def many(self, columns: Columns, output: Array) -> Columns:  # noqa: ARG002 — the stage's signature
        """Return `prediction`, and for classes `probability` of shape (n, n_classes)."""
        if isinstance(self.answer, Number):
            return Columns({PREDICTION: np.asarray(output, dtype=np.float64)})
        if not isinstance(self.answer, Class):
            raise ArtifactError(f"the threshold policy cannot answer {self.answer!r}.")
        weights = None if self.multipliers is None else np.asarray(self.multipliers)
        names = np.array(self.answer.classes, dtype=object)
        return Columns({PREDICTION: names[decide(output, weights)], PROBABILITY: output})

    def extras(self) -> dict[str, Any]:
        """Nothing stands beside the prediction."""
        return {}

    def to_json(self) -> dict[str, Any]:
        """Return the policy as `policy.json` shows it."""
        multipliers = None if self.multipliers is None else list(self.multipliers)
        return {"answer": answer_to_json(self.answer), "multipliers": multipliers}

    def save(self, folder: Path) -> None:
        """Write the policy as JSON."""
        (folder / "policy.json").write_text(json.dumps(self.to_json()), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote."""
        data = json.loads((folder / "policy.json").read_text(encoding="utf-8"))
        multipliers = data["multipliers"]
        return cls(
            answer=answer_from_json(data["answer"]),
            multipliers=None if multipliers is None else tuple(multipliers),
        )
