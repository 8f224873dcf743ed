"""What is asked of a model: request, answer, label, legal split, metric, last resort."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from promise.data.answer import Answer, answer_from_json, answer_to_json
from promise.data.schema import Schema


@dataclass(frozen=True)
class Task:
    """The question that a pipeline answers.

    Parameters
    ----------
    workload
        One of the installed workloads, e.g. `"tabular"`.
    request
        The fields of a request, in order.
    answer
        The kind of the answer; it decides wire format, file columns and metrics.
    label
        Name of the label column in training data; None where labels arrive by events.
    metric
        What versions of this task are ranked by.
    split
        The rule that separated holdout from training rows, as `Split.to_json` wrote it.
    label_delay_s
        How long after the request its label is known.
    heuristic
        The answer of last resort, when no model can answer: raw output as a list of floats.
    """

    workload: str
    request: Schema
    answer: Answer
    label: str | None
    metric: str
    split: dict[str, Any] = field(default_factory=dict)
    label_delay_s: float = 0.0
    heuristic: tuple[float, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready description."""
        return {
            "workload": self.workload,
            "request": self.request.to_json(),
            "answer": answer_to_json(self.answer),
            "label": self.label,
            "metric": self.metric,
            "split": self.split,
            "label_delay_s": self.label_delay_s,
            "heuristic": list(self.heuristic),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Task:
        """Read back what `to_json` wrote."""
        return cls(
            **{
                **data,
                "request": Schema.from_json(data["request"]),
                "answer": answer_from_json(data["answer"]),
                "heuristic": tuple(data.get("heuristic", ())),
            }
        )
