"""What a fraud version keeps beside its pipeline: golden rows, evaluation, drift bins, card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from promise.data.columns import Columns, FloatArray, IntArray
from promise.data.schema import Schema
from promise.data.source import Source
from promise.features.keyed import SEEN, Keyed
from promise.pipeline.artifact import Contents
from promise.pipeline.decision import Cheapest, DecisionPolicy
from promise.pipeline.figures import figure, span
from promise.pipeline.pipeline import Pipeline
from promise.workloads.tabular.contents import (
    edges,
    evaluation_columns,
    golden_rows,
    score_reference,
)

_DRIFT_ROWS = 200_000
GATE = (
    "Which figure is the gate: average precision on later days, beside its baseline, the "
    "prevalence. Precision, recall and false-positive rate of one threshold are tied together by "
    "the prevalence: at 0.8 %, a recall of .84 with .3 % false alarms is a precision of .69, and a "
    "precision of .89 needs .084 %. Both are printed here for the policy; neither is promised "
    "alone."
)
"""The first design's two published figures cannot both hold; see the arithmetic."""


@dataclass(frozen=True)
class Kept:
    """What is kept of a training.

    Parameters
    ----------
    rows
        Row numbers in the source by block: `train` and `holdout`.
    drift
        Some of the training rows as a request, with their features.
    schema
        All inferred columns, with their roles.
    """

    pipeline: Pipeline
    rows: Mapping[str, IntArray]
    y: IntArray
    output: FloatArray
    drift: Columns
    schema: Schema
    metrics: dict[str, Any]
    told: tuple[str, ...]
    recipe: dict[str, Any]
    notes: dict[str, Any]
    n_rows: int


def contents_of(source: Source, kept: Kept, *, seed: int) -> Contents:
    """Gather everything that is stored with the version."""
    names = list(kept.pipeline.task.request.names)
    return Contents(
        lineage={
            "source": source.name,
            "fingerprint": source.fingerprint(),
            "reader": source.reader,
            "n_source_rows": kept.n_rows,
            "rows_used": kept.n_rows,
            "seed": seed,
            "schema": kept.schema.to_json(),
            "split": kept.metrics["split"],
            "roles": kept.recipe["columns"],
        },
        recipe=kept.recipe,
        golden=golden_rows(source, kept.rows["holdout"], names),
        evaluation=evaluation_columns(kept.rows["holdout"], kept.y, kept.output),
        reference=reference_of(kept),
        rows=dict(kept.rows),
        notes=kept.notes,
        card=card(source, kept),
        metrics=kept.metrics,
    )


def reference_of(kept: Kept) -> dict[str, Any]:
    """Return frozen bins of the request's numbers, of every feature and of the score.

    Keys are no inputs whose drift means anything: new ones come every day.
    """
    keyed = kept.pipeline.featurize
    assert isinstance(keyed, Keyed)
    request = kept.pipeline.task.request
    numbers = {f.name: edges(kept.drift[f.name]) for f in request if f.type == "number"}
    columns = {
        name: edges(kept.drift[SEEN][:, place]) for place, name in enumerate(keyed.features.columns)
    }
    return numbers | columns | score_reference(kept.output)


def some_rows(rows: IntArray) -> IntArray:
    """Return at most so many rows as drift bins are cut from, evenly spread."""
    step = max(1, -(-len(rows) // _DRIFT_ROWS))
    return rows[::step]


def card(source: Source, kept: Kept) -> str:
    """Return the model card: what was asked, of what, how good, and by which figure."""
    metrics, everything = kept.metrics, kept.metrics["all"]
    members = ", ".join(
        f"{m['kind']} × {m['weight']:.2f} ({m['rounds']} rounds)" for m in kept.notes["members"]
    )
    lines = [
        f"# {kept.pipeline.task.label}: approve, review or decline",
        "",
        f"- data: {source.name}, {kept.notes['train_rows']:,} training rows",
        f"- model: {members}, on {len(_features(kept))} features",
        f"- holdout {metrics['metric']}: {figure(metrics['score'])} "
        f"({span(*metrics['ci'])}, {metrics['rows']:,} rows), baseline "
        f"{figure(everything['average_precision_baseline'])}",
        f"- split: {metrics['split']}",
        f"- policy: {policy_in_words(kept.pipeline.decide)}",
        *(f"- {line}" for line in kept.told),
        "",
        GATE,
        "",
        "All metrics on the holdout:",
        "",
        *(f"- {name}: {figure(value)}" for name, value in everything.items()),
        "",
        "The holdout was read once, after members, weights, calibration and policy were fixed on "
        "earlier blocks. Labels of the newest days may still change.",
    ]
    return "\n".join(lines) + "\n"


def policy_in_words(policy: Any) -> str:
    """Say what is done at which score.

    Examples
    --------
    >>> policy_in_words(DecisionPolicy())
    'review from 0.2 on, decline from 0.7 on'
    """
    if not isinstance(policy, DecisionPolicy):
        return policy.kind if hasattr(policy, "kind") else str(policy)
    if not isinstance(policy.rule, Cheapest):
        return f"review from {policy.rule.review:g} on, decline from {policy.rule.decline:g} on"
    price = policy.rule.price
    most = f"; a review must save {price:.2f} more than it costs" if price else ""
    return f"the action of least expected cost for each amount{most}"


def _features(kept: Kept) -> tuple[str, ...]:
    keyed = kept.pipeline.featurize
    assert isinstance(keyed, Keyed)
    return keyed.features.columns
