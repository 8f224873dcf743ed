"""What a version of names keeps beside its pipeline: evaluation, golden rows, card, details."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from promise.data.answer import Class
from promise.engine.memory import MemoryWatch
from promise.errors import DataError
from promise.metrics.pointwise import all_metrics
from promise.pipeline.artifact import Contents
from promise.pipeline.figures import figure
from promise.pipeline.order import Outcome
from promise.pipeline.pipeline import Pipeline
from promise.workloads.domains.evaluate import Judged, Suffixes, class_table, report
from promise.workloads.domains.ground import Ground
from promise.workloads.domains.parts import parts_of
from promise.workloads.domains.split import LEARNED, Rule
from promise.workloads.domains.stream import Stream, stream_of

GOLDEN = 32


def outcome_of(
    ground: Ground,
    pipeline: Pipeline,
    judged: dict[Rule, Judged],
    suffixes: Suffixes,
    told: dict[str, Any],
    watch: MemoryWatch,
) -> Outcome:
    """Return a trained pipeline with everything its version keeps."""
    answer = pipeline.task.answer
    if ground.split.rule not in judged or not isinstance(answer, Class):
        raise DataError(
            f"no name is sealed under --split {ground.split.rule}: {ground.spool.tally.rows:,} "
            "names are too few to judge by; give more, or another --split."
        )
    chosen = judged[ground.split.rule]
    stream = stream_of(pipeline)
    splits = {
        rule: one | {"per_class": class_table(judged[rule], answer, ground.unsealed)}
        for rule, one in report(judged, answer, ground.split, suffixes.majority, stream).items()
    }
    metrics = all_metrics(answer, chosen.codes, chosen.output)
    own = splits[ground.split.rule]
    summary = {
        "metric": "accuracy", "score": own["accuracy"], "ci": own["ci"], "rows": chosen.n_rows,
        "split": own["split"], "all": metrics,
    }  # fmt: skip
    details = {"splits": splits, "classes": len(answer.classes), **rows_told(ground), **told}
    return Outcome(
        pipeline=pipeline,
        contents=Contents(
            lineage=lineage(ground),
            recipe={"preset": ground.order.preset, "split": ground.split.to_json(),
                    "sheet": vars(ground.sheet), "options": dict(ground.order.options)},
            golden=pa.table({ground.sheet.domain: pa.array(chosen.texts[:GOLDEN])}),
            evaluation=evaluation(chosen),
            rows={"train": training_rows(ground), "holdout": np.sort(chosen.rows)},
            notes={"splits": splits, **rows_told(ground), **told},
            card=card(ground, splits, stream),
            metrics=summary,
        ),
        metrics=metrics,
        split=own["split"],
        rows=int(ground.unsealed.sum()),
        peak_memory_mb=watch.peak_mb,
        details=details,
    )  # fmt: skip


def lineage(ground: Ground) -> dict[str, Any]:
    """Return where a version came from."""
    return {
        "source": ground.source.name,
        "fingerprint": ground.source.fingerprint(),
        "reader": ground.source.reader,
        "n_source_rows": ground.spool.tally.rows,
        "rows_used": ground.spool.tally.rows,
        "seed": ground.order.seed,
        "schema": ground.sheet.fields.to_json(),
        "split": ground.split.describe(),
    }


def evaluation(judged: Judged) -> dict[str, Any]:
    """Return the sealed names by row, so that versions are compared name by name."""
    order = np.argsort(judged.rows)
    outputs = {
        f"output_{i}": np.ascontiguousarray(judged.output[order, i])
        for i in range(judged.output.shape[1])
    }
    return {
        "row": judged.rows[order], "y": judged.codes[order], **outputs,
        "group": judged.brands[order],
    }  # fmt: skip


def training_rows(ground: Ground) -> Any:
    """Return the numbers of the rows that were learned from."""
    rows = [part.rows[np.isin(part.sides, LEARNED)] for part in parts_of(ground.spool)]
    return np.sort(np.concatenate(rows))


def rows_told(ground: Ground) -> dict[str, Any]:
    """Return what was noticed of the rows."""
    tally, found = ground.spool.tally, ground.found
    return {
        "names": tally.rows,
        "unlabelled": tally.unlabelled,
        "left_out": {
            kind: {"rows": count, "first": first} for kind, (count, first) in tally.left_out.items()
        },
        "repeated": found.duplicates,
        "conflicts": {
            "names": found.conflicts,
            "rule": "the label of most rows, the first seen of equally many",
            "examples": [
                {"row": row, "name": name, "labels": [ground.classes[c] for c in codes]}
                for row, name, codes in found.examples
            ],
        },
        "few_names": [
            ground.classes[code]
            for code in np.flatnonzero(ground.found.counts.sum(axis=0) < 5).tolist()
        ][:20],
        "ordered_by_label": tally.ordered,
    }


def card(ground: Ground, splits: dict[Rule, dict[str, Any]], stream: Stream | None) -> str:
    """Return the model card: what it was learned from, and how good it is on which split."""
    lines = [
        f"# {ground.sheet.label}: one of {len(ground.classes)} classes from a name",
        "",
        f"- data: {ground.source.name}, {ground.spool.tally.rows:,} names",
        f"- learned from {int(ground.unsealed.sum()):,} names",
        "",
        "| split | names | accuracy | 95 % interval | macro-F1 | ECE | majority | suffix only |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for rule, one in splits.items():
        low, high = one["ci"]
        lines.append(
            f"| {rule} | {one['rows']:,} | {figure(one['accuracy'])} | "
            f"{figure(low)} to {figure(high)} | {figure(one['f1_macro'])} | {figure(one['ece'])} | "
            f"{figure(one['baselines']['majority']['accuracy'])} | "
            f"{figure(one['baselines']['suffix']['accuracy'])} |"
        )
    if stream is not None:
        lines += _calibration_lines(splits, stream)
    lines += [
        "",
        "| class | learned | judged | precision | recall | F1 |",
        "|---|---|---|---|---|---|",
    ]
    for row in splits[ground.split.rule]["per_class"][:100]:
        cells = (figure(row[key]) for key in ("precision", "recall", "f1"))
        lines.append(
            f"| {row['class']} | {row['learned']:,} | {row['rows']:,} | {' | '.join(cells)} |"
        )
    return "\n".join(lines) + "\n"


def _calibration_lines(splits: dict[Rule, dict[str, Any]], stream: Stream) -> list[str]:
    """Return how far probabilities are off, with and without unknown names among those asked."""
    lines = [
        "",
        f"Probabilities are those of a stream of which {stream.share:.0%} are unknown names.",
        "",
        "| split | ECE given that a name has a class | ECE in such a stream |",
        "|---|---|---|",
    ]
    for rule, one in splits.items():
        errors = f"{figure(one['ece_given_class'])} | {figure(one['ece_in_stream'])}"
        lines.append(f"| {rule} | {errors} |")
    return lines
