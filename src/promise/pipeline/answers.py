"""Answers as users read them: one plain dictionary for each row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from promise.data.answer import Answer, Class
from promise.data.columns import Columns
from promise.pipeline.pipeline import Pipeline
from promise.pipeline.policy import PREDICTION, PROBABILITY

MANY_CLASSES = 100
TOP = 5


def answer_rows(pipeline: Pipeline, answers: Columns) -> list[dict[str, Any]]:
    """Return answer columns as plain dictionaries, one for each row."""
    predictions = answers[PREDICTION].tolist()
    answer = pipeline.task.answer
    if not isinstance(answer, Class):
        return [{PREDICTION: value} for value in predictions]
    return [
        class_answer(answer, value, shares.tolist())
        for value, shares in zip(predictions, answers[PROBABILITY], strict=True)
    ]


def class_answer(answer: Class, decided: str, shares: Sequence[float]) -> dict[str, Any]:
    """Return the decided class and every class's probability; above 100 classes the top five.

    Examples
    --------
    >>> class_answer(Class(("no", "yes")), "yes", [0.25, 0.75])
    {'prediction': 'yes', 'probability': {'no': 0.25, 'yes': 0.75}}
    """
    if answer.n_classes <= MANY_CLASSES:
        return {PREDICTION: decided, PROBABILITY: dict(zip(answer.classes, shares, strict=True))}
    top = np.argsort(-np.asarray(shares), kind="stable")[:TOP].tolist()
    return {PREDICTION: decided, PROBABILITY: {answer.classes[i]: shares[i] for i in top}}


def answer_schema(answer: Answer) -> dict[str, Any]:
    """Return the JSON schema of one answer, for OpenAPI."""
    if not isinstance(answer, Class):
        prediction: dict[str, Any] = {"type": "number", "title": "Prediction"}
        unit = getattr(answer, "unit", None)
        if unit:
            prediction["description"] = f"In {unit}."
        return {
            "type": "object",
            "properties": {PREDICTION: prediction},
            "required": [PREDICTION],
        }
    share = {"type": "number", "minimum": 0, "maximum": 1}
    shown = "every class" if answer.n_classes <= MANY_CLASSES else f"the {TOP} likeliest classes"
    return {
        "type": "object",
        "properties": {
            PREDICTION: {"enum": list(answer.classes), "title": "Prediction"},
            PROBABILITY: {
                "type": "object",
                "title": "Probability",
                "description": f"Of {shown}.",
                "additionalProperties": share,
            },
        },
        "required": [PREDICTION, PROBABILITY],
    }
