"""What a tabular version keeps beside its pipeline: lineage, golden rows, evaluation, card."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from promise.data.answer import Class
from promise.data.columns import Array
from promise.data.source import Source
from promise.kernels.plain_tables import join_tables
from promise.metrics.drift import SCORE
from promise.pipeline.artifact import Contents
from promise.pipeline.figures import figure, span
from promise.workloads.tabular.learn import Learned, Listed

_GOLDEN_ROWS = 32
_EDGES = 10  # deciles: frozen, so that drift is measured against what was trained on
_TOP = 50
_MANY_CLASSES = 100  # above it an answer tells the likeliest classes only


def contents_of(
    learned: Learned, listed: Listed, *, metrics: dict[str, Any], seed: int, notes: dict[str, Any]
) -> Contents:
    """Gather everything that is stored with a listed pipeline's version."""
    table = learned.table
    return Contents(
        lineage={
            "source": table.source.name,
            "fingerprint": table.source.fingerprint(),
            "reader": table.source.reader,
            "n_source_rows": table.n_source_rows,
            "rows_used": table.columns.n_rows,
            "seed": seed,
            "schema": table.schema.to_json(),
            "split": table.split.describe(),
            "validation_score": listed.validation_score,
        },
        recipe=listed.recipe,
        golden=golden_rows(table.source, table.rows[table.holdout], request_names(listed)),
        evaluation=evaluation_columns(
            table.rows[table.holdout],
            table.y[table.holdout],
            listed.output,
            table.groups(table.holdout),
        ),
        reference={
            field.name: edges(table.columns[field.name][table.train])
            for field in table.schema.inputs
        }
        | score_reference(listed.output),
        rows={"train": table.rows[table.train], "holdout": table.rows[table.holdout]},
        notes=notes,
        card=card(learned, listed, metrics),
        metrics=metrics,
    )


def request_names(listed: Listed) -> list[str]:
    """Return the columns that a request of this pipeline has."""
    return list(listed.request.names)


def golden_rows(source: Source, rows: Array, names: list[str]) -> pa.Table:
    """Return the first few of these rows as they come from the source, unparsed."""
    wanted = np.sort(rows)[:_GOLDEN_ROWS]
    parts = []
    for first, table in source.batches(names):
        here = wanted[(wanted >= first) & (wanted < first + table.num_rows)] - first
        if len(here):
            parts.append(table.take(pa.array(here)))
        if first + table.num_rows > wanted[-1]:
            break
    return join_tables(parts).combine_chunks()


def evaluation_columns(
    rows: Array, y: Array, output: Array, groups: Array | None = None
) -> dict[str, Array]:
    """Return row number, label, raw outputs and, of a grouped split, group of every holdout row."""
    wide = output.reshape(len(output), -1)
    outputs = {f"output_{i}": np.ascontiguousarray(wide[:, i]) for i in range(wide.shape[1])}
    return {"row": rows, "y": y, **outputs, **({} if groups is None else {"group": groups})}


def edges(values: Array) -> dict[str, Any]:
    """Return the frozen bins of an input: deciles of a number or date, shares of categories.

    Returns
    -------
    `rows`, `known` and `missing` count values; `counts` is by bin, a value equal to a cut below
    it: where values are tied, deciles fall together and the bins are not of one size.

    Examples
    --------
    >>> found = edges(np.array([0.0] * 9 + [1.0, 2.0, np.nan]))
    >>> found["edges"], found["counts"], found["missing"]
    ([0.0, 1.0], [9, 1, 1], 1)
    """
    if values.dtype == object:
        known = np.array([v for v in values if v is not None], dtype=object)
        names, counts = np.unique(known.astype(str), return_counts=True)
        top = np.argsort(-counts, kind="stable")[:_TOP]
        shares = {str(names[i]): int(counts[i]) for i in top}
        return {
            "kind": "category",
            "counts": shares,
            "rows": len(values),
            "known": len(known),
            "missing": len(values) - len(known),
        }
    numbers = values.astype(np.float64) if values.dtype.kind != "M" else _seconds(values)
    known = numbers[np.isfinite(numbers)]
    cuts = np.quantile(known, np.linspace(0, 1, _EDGES + 1)[1:-1]) if len(known) else np.empty(0)
    cuts = np.unique(cuts)
    bins = np.searchsorted(cuts, known, side="left")
    return {
        "kind": "date" if values.dtype.kind == "M" else "number",
        "edges": cuts.tolist(),
        "counts": np.bincount(bins, minlength=len(cuts) + 1).tolist(),
        "rows": len(values),
        "known": len(known),
        "missing": int(np.isnan(numbers).sum()),
    }


def score_reference(output: Array) -> dict[str, Any]:
    """Return the frozen bins of the model's own output, by the key that drift looks for.

    One entry for predicted numbers, a list with one for each class's probability; of very many
    classes only the likeliest one's probability is kept.
    """
    if output.ndim == 1:
        return {SCORE: edges(output)}
    if output.shape[1] > _MANY_CLASSES:
        return {SCORE: edges(output.max(axis=1))}
    return {SCORE: [edges(output[:, i]) for i in range(output.shape[1])]}


def _seconds(values: Array) -> Array:
    seconds = values.astype("datetime64[s]").astype(np.int64).astype(np.float64)
    return np.where(np.isnat(values), np.nan, seconds)


def card(learned: Learned, listed: Listed, metrics: dict[str, Any]) -> str:
    """Return the model card: what was asked, of what, how good the answer is."""
    table = learned.table
    kind = "class" if isinstance(table.answer, Class) else "number"
    families = ", ".join(f"{t.family} × {weight:.2f}" for t, weight in listed.members)
    lines = [
        f"# {table.target}: a {kind} from {len(table.fed)} columns",
        "",
        f"- data: {table.source.name}, {table.columns.n_rows:,} of {table.n_source_rows:,} rows",
        f"- model: {listed.name} ({families})",
        f"- holdout {metrics['metric']}: {figure(metrics['score'])} "
        f"({span(*metrics['ci'])}, {metrics['rows']:,} rows)",
        f"- split: {table.split.describe()}",
        *(f"- {line}" for line in table.warnings),
        "",
        "All metrics on the holdout:",
        "",
        *(f"- {name}: {figure(value)}" for name, value in metrics["all"].items()),
        "",
        "The holdout was read once, after the winner was fixed on validation scores.",
    ]
    return "\n".join(lines) + "\n"
