"""The question that events ask: approve, have it reviewed, or decline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from promise.data.answer import Decision
from promise.data.schema import Field, FieldType, Role, Schema
from promise.features.event import AMOUNT
from promise.features.keyed import ENTITIES
from promise.features.windows import duration_us
from promise.pipeline.task import Task

NAME = "fraud"
METRIC = "average_precision"
TOLD = ("id", "time", AMOUNT, *ENTITIES)
"""Roles whose columns are part of a request."""

_TYPES: dict[str, FieldType] = {"time": "date", AMOUNT: "number", "known_at": "date"}


def fraud_task(
    columns: Mapping[str, str],
    *,
    label_delay: str = "7d",
    answer: Decision | None = None,
    numbers: Sequence[str] = (),
    formats: Mapping[str, Field] | None = None,
    split: Mapping[str, Any] | None = None,
    prevalence: float | None = None,
) -> Task:
    """Return the task of a table of events, whatever its columns are called.

    Parameters
    ----------
    columns
        Role to field: `time`, `entity` and `label`, and whatever else is told.
    numbers
        Further numbers of an event that the model reads.
    formats
        How columns are read as text (dates, decimal marks), by name, as they were inferred.
    split
        The rule of the holdout, as `Split.to_json` wrote it.
    prevalence
        Share of frauds among the training rows; the last resort answers by it.

    Examples
    --------
    >>> task = fraud_task({"time": "when", "entity": "card", "amount": "eur", "label": "fraud"})
    >>> [(field.name, field.type, field.role) for field in task.request]
    [('when', 'date', 'time'), ('eur', 'number', 'amount'), ('card', 'category', 'entity')]
    """
    known = formats or {}
    told = [role for role in TOLD if role in columns]
    fields = [_field(columns[role], role, known) for role in told]
    fields += [_field(name, "input", known) for name in numbers]
    rule = dict(split or {})
    if "label" in columns:
        rule["label_field"] = Schema((label_field(columns["label"], known),)).to_json()[0]
    if "known_at" in columns:
        rule["known_at_field"] = Schema((known_at_field(columns["known_at"], known),)).to_json()[0]
    return Task(
        workload=NAME,
        request=Schema(tuple(fields)),
        answer=answer or Decision(),
        label=columns.get("label"),
        metric=METRIC,
        split=rule,
        label_delay_s=duration_us(label_delay) / 1e6,
        heuristic=() if prevalence is None else (1.0 - prevalence, prevalence),
    )


def label_field(name: str, formats: Mapping[str, Field]) -> Field:
    """Return how the label column is read: by its own type, as it was inferred."""
    found = formats.get(name)
    return Field(
        name,
        found.type if found is not None else "number",
        role="label",
        nulls=found.nulls if found is not None else (),
    )


def known_at_field(name: str, formats: Mapping[str, Field]) -> Field:
    """Return how the time is read at which a label became known."""
    return _field(name, "known_at", formats)


def _field(name: str, role: str, formats: Mapping[str, Field]) -> Field:
    """Return a field of the request; keys are text whatever they look like."""
    found, kind = formats.get(name), _TYPES.get(role, "number" if role == "input" else "category")
    played: Role = role  # type: ignore[assignment]
    if found is None or kind == "category":
        return Field(name, kind, role=played)
    return Field(
        name, kind, role=played, format=found.format, nulls=found.nulls, decimal=found.decimal
    )
