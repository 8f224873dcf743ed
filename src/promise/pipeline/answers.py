"""Answers as users read them: one plain dictionary for each row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from promise.data.answer import Answer, Class, Decision, Labels, Ranking
from promise.data.columns import Columns
from promise.pipeline.pipeline import Pipeline
from promise.pipeline.policy import PREDICTION, PROBABILITY

MANY_CLASSES = 100
TOP = 5


def answer_rows(pipeline: Pipeline, answers: Columns) -> list[dict[str, Any]]:
    """Return answer columns as plain dictionaries, one for each row.

    Whatever else the policy answers stands beside the prediction under its own name.
    """
    predictions = answers[PREDICTION].tolist()
    answer = pipeline.task.answer
    if isinstance(answer, Class):
        shares = answers[PROBABILITY]
        rows = [
            class_answer(answer, value, row.tolist())
            for value, row in zip(predictions, shares, strict=True)
        ]
    elif isinstance(answer, Labels):
        shares = answers[PROBABILITY]
        rows = [
            labels_answer(answer, value, row.tolist())
            for value, row in zip(predictions, shares, strict=True)
        ]
    else:
        rows = [{PREDICTION: value} for value in predictions]
    for name in answers:
        if name not in (PREDICTION, PROBABILITY):
            for row, value in zip(rows, answers[name].tolist(), strict=True):
                row[name] = value
    return rows


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


def labels_answer(
    answer: Labels, decided: Sequence[str], shares: Sequence[float]
) -> dict[str, Any]:
    """Return the labels given and every label's probability; above 100 of those given and five.

    Examples
    --------
    >>> labels_answer(Labels(("oil", "trade")), ["oil"], [0.75, 0.25])
    {'prediction': ['oil'], 'probability': {'oil': 0.75, 'trade': 0.25}}
    """
    found = dict(zip(answer.labels, shares, strict=True))
    if len(answer.labels) > MANY_CLASSES:
        top = np.argsort(-np.asarray(shares), kind="stable")[:TOP].tolist()
        shown = dict.fromkeys([*decided, *(answer.labels[i] for i in top)])
        found = {name: found[name] for name in shown}
    return {PREDICTION: list(decided), PROBABILITY: found}


def answer_schema(pipeline: Pipeline) -> dict[str, Any]:
    """Return the JSON schema of one answer, for OpenAPI.

    What the policy adds is not required, since an answer of last resort lacks it.
    """
    found = _schema(pipeline.task.answer)
    return {**found, "properties": {**found["properties"], **pipeline.decide.extras()}}


def _schema(answer: Answer) -> dict[str, Any]:
    if isinstance(answer, Decision):
        return _object({PREDICTION: {"enum": list(answer.actions), "title": "Prediction"}})
    if isinstance(answer, Labels):
        return _object(
            {
                PREDICTION: {
                    "type": "array",
                    "items": {"enum": list(answer.labels)},
                    "title": "Prediction",
                },
                PROBABILITY: {
                    "type": "object",
                    "title": "Probability",
                    "description": "Of each label by itself; they do not sum to one.",
                    "additionalProperties": {"type": "number", "minimum": 0, "maximum": 1},
                },
            }
        )
    if isinstance(answer, Ranking):
        item = {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]}
        return _object(
            {
                PREDICTION: {
                    "type": "array",
                    "items": item,
                    "maxItems": answer.limit,
                    "title": "Prediction",
                    "description": "Best first.",
                }
            }
        )
    if not isinstance(answer, Class):
        prediction: dict[str, Any] = {"type": "number", "title": "Prediction"}
        unit = getattr(answer, "unit", None)
        if unit:
            prediction["description"] = f"In {unit}."
        return _object({PREDICTION: prediction})
    share = {"type": "number", "minimum": 0, "maximum": 1}
    shown = "every class" if answer.n_classes <= MANY_CLASSES else f"the {TOP} likeliest classes"
    named = [*answer.classes, *([] if answer.unknown is None else [answer.unknown])]
    return _object(
        {
            PREDICTION: {"enum": named, "title": "Prediction"},
            PROBABILITY: {
                "type": "object",
                "title": "Probability",
                "description": f"Of {shown}.",
                "additionalProperties": share,
            },
        }
    )


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}
