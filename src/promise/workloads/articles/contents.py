"""What a version of articles keeps beside its pipeline: evaluation, golden rows, recipe, card."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from promise.data.columns import Array, FloatArray
from promise.pipeline.artifact import Contents
from promise.pipeline.figures import figure, span
from promise.pipeline.pipeline import Pipeline
from promise.workloads.articles.drift import answer_reference
from promise.workloads.articles.ground import Ground
from promise.workloads.articles.ladder import Ladder
from promise.workloads.tabular.contents import evaluation_columns, golden_rows

_SHOWN = 100


@dataclass(frozen=True)
class Judged:
    """The sealed articles with what was answered.

    Parameters
    ----------
    y
        As metrics read it.
    table
        Class by class.
    """

    y: Array
    output: FloatArray
    metrics: dict[str, Any]
    baselines: dict[str, dict[str, float]]
    table: list[dict[str, Any]]
    review: dict[str, float]


def contents_of(
    ground: Ground, ladder: Ladder, pipeline: Pipeline, judged: Judged, details: dict[str, Any]
) -> Contents:
    """Gather everything that is stored with the version."""
    holdout = ground.rows[ground.holdout]
    names = list(pipeline.task.request.names)
    return Contents(
        lineage={
            "source": ground.source.name,
            "fingerprint": ground.source.fingerprint(),
            "reader": ground.source.reader,
            "n_source_rows": ground.n_source_rows,
            "rows_used": len(ground.rows),
            "seed": ground.order.seed,
            "schema": ground.schema.to_json(),
            "split": ground.split.describe(),
        },
        recipe=recipe_of(ground, ladder),
        golden=golden_rows(ground.source, holdout, names),
        evaluation=evaluation_columns(
            holdout, judged.y, judged.output, ground.groups[ground.holdout]
        ),
        reference=answer_reference(
            ground.named.answer, answered_before(ladder, judged.output), pipeline.multipliers
        ),
        rows={"train": ground.rows[ground.train], "holdout": holdout},
        notes={**details, "table": judged.table},
        card=card(ground, ladder, judged, details),
        metrics=judged.metrics,
    )


def answered_before(ladder: Ladder, holdout: FloatArray) -> FloatArray:
    """Return answers to articles that were not learned from: of the folds, once each, and sealed.

    The sealed ones alone are too few to tell a shift from chance where articles are few.
    """
    shares = ladder.chosen.shares
    if shares is None:
        return holdout
    _, first = np.unique(ladder.folds.judged, return_index=True)
    return np.concatenate([shares[first], holdout])


def recipe_of(ground: Ground, ladder: Ladder) -> dict[str, Any]:
    """Return how to train the same rung again."""
    return {
        "preset": ground.order.preset,
        "rung": ladder.chosen.name,
        "ways": [
            {"way": way, "strength": setting.strength, "power": setting.power}
            for way, setting in ladder.chosen.ways
        ],
        "columns": {**ground.sheet.texts, "label": ground.sheet.label},
        "split": ground.split.to_json(),
        "options": dict(ground.order.options),
    }


def card(ground: Ground, ladder: Ladder, judged: Judged, details: dict[str, Any]) -> str:
    """Return the model card: what was learned, which rung and why, how good it is."""
    metrics = judged.metrics
    what = "labels" if ground.named.several else "one class"
    lines = [
        f"# {ground.sheet.label}: {what} of {len(ground.named.names)} for an article",
        "",
        f"- data: {ground.source.name}, {len(ground.train):,} articles learned from",
        f"- rung: {ladder.chosen.name} ({details['ladder']['features']:,} features), since "
        f"{ladder.reason}",
        f"- holdout {metrics['metric']}: {figure(metrics['score'])} "
        f"({span(*metrics['ci'])}, {metrics['rows']:,} articles)",
        f"- split: {metrics['split']}",
        *(
            f"- baseline {name}: "
            + ", ".join(f"{metric} {figure(value)}" for metric, value in one.items())
            for name, one in judged.baselines.items()
        ),
        f"- for people to look at: {judged.review['review_share']:.1%} of the sealed articles",
        *([f"- {details['next_rung']['in_words']}"] if details["next_rung"] else []),
        *(f"- {line}" for line in ground.found["spellings"]),
        *([f"- {told}"] if (told := ground.found["languages"].get("in_words")) else []),
        "",
        *rung_table(ladder),
        "",
        *class_lines(judged.table),
        "",
        "Rungs were compared by cross-validation on articles that are not sealed; the holdout was "
        "read once, after rung, calibration and thresholds were fixed.",
    ]
    return "\n".join(lines) + "\n"


def rung_table(ladder: Ladder) -> list[str]:
    """Return the rungs as a table."""
    lines = [
        "| rung | macro-F1 | 95 % interval | features | ms an article | |",
        "|---|---|---|---|---|---|",
    ]
    for rung in ladder.rungs:
        low, high = rung.interval
        told = rung.status if not rung.why else f"{rung.status}: {rung.why}"
        if rung.shares is None:
            lines.append(f"| {rung.name} | | | | | {told} |")
            continue
        lines.append(
            f"| {rung.name} | {figure(rung.score)} | {figure(low)} to {figure(high)} | "
            f"{rung.n_features:,} | {rung.latency_ms:.3g} | {told} |"
        )
    return lines


def class_lines(table: list[dict[str, Any]]) -> list[str]:
    """Return the classes as a table, the most frequent first."""
    lines = ["| class | learned | judged | precision | recall | F1 |", "|---|---|---|---|---|---|"]
    for row in table[:_SHOWN]:
        cells = " | ".join(figure(row[key]) for key in ("precision", "recall", "f1"))
        lines.append(f"| {row['class']} | {row['learned']:,} | {row['rows']:,} | {cells} |")
    return lines
