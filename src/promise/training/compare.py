"""Two versions side by side, on rows that neither was trained on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from promise.data.columns import Array, IntArray
from promise.data.source import Source
from promise.errors import DataError
from promise.metrics.intervals import paired_difference
from promise.metrics.pointwise import metric_named
from promise.pipeline.artifact import load_pipeline, read_arrow
from promise.pipeline.figures import span
from promise.registry.versions import Version
from promise.training.evaluate import evaluate, sealed_rows


@dataclass(frozen=True)
class Comparison:
    """How much better the first of two versions is in its own metric, with the interval."""

    metric: str
    first: float
    second: float
    difference: float
    interval: tuple[float, float]
    tie: bool
    rows: int

    def to_json(self) -> dict[str, Any]:
        """Return what `promise compare --json` prints."""
        return {**vars(self), "interval": list(self.interval)}

    def sentence(self, first: str, second: str) -> str:
        """Say who leads, or that it is a tie."""
        low, high = self.interval
        if math.isnan(self.difference):
            return f"{self.metric} of {first} and {second} is undefined on {self.rows:,} rows."
        if self.tie:
            by = f"{self.difference:+.4f} ({span(low, high)}, {self.rows:,} rows)"
            return f"{first} and {second} tie in {self.metric}: difference {by}."
        ahead, behind = (first, second) if self.difference > 0 else (second, first)
        ends = sorted((abs(low), abs(high)))
        by = f"{abs(self.difference):.4f} ({span(*ends)}, {self.rows:,} rows)"
        return f"{ahead} is better than {behind} in {self.metric} by {by}."


def compare(
    first: Version,
    second: Version,
    source: Source | None,
    *,
    seed: int = 7,
    rows: IntArray | None = None,
) -> Comparison:
    """Compare by paired bootstrap, on the given data or on the holdout rows that both share.

    Parameters
    ----------
    rows
        Only these row numbers of the data, of which neither version may have learned.
    """
    pipelines = load_pipeline(first.folder), load_pipeline(second.folder)
    metric = metric_named(pipelines[0].task.metric, pipelines[0].task.answer)
    if pipelines[0].task.answer != pipelines[1].task.answer:
        raise DataError(f"{first} and {second} answer different questions; compare like with like.")
    if source is not None:
        sealed = [sealed_rows(version, source) for version in (first, second)]
        if rows is None and not np.array_equal(*sealed):  # type: ignore[arg-type]
            raise DataError(
                f"{first} and {second} may not be judged on the same rows of {source.name}, since "
                "one has learned from rows that the other has not; leave DATA out to compare them "
                "on rows that both held out, or give data that neither was trained on."
            )
        judged = [
            evaluate(p, v, source, rows=rows)
            for p, v in zip(pipelines, (first, second), strict=True)
        ]
        y, outputs, groups = judged[0].y, [e.output for e in judged], judged[0].groups
    else:
        y, outputs, groups = _shared_holdout(first, second)
    multipliers = [pipeline.multipliers for pipeline in pipelines]
    difference = paired_difference(
        metric,
        y,
        outputs[0],
        outputs[1],
        seed=seed,
        multipliers_a=multipliers[0],
        multipliers_b=multipliers[1],
        groups=groups,
    )
    return Comparison(
        metric=metric.name,
        first=metric.score(y, outputs[0], multipliers[0]),
        second=metric.score(y, outputs[1], multipliers[1]),
        difference=difference.mean,
        interval=(difference.low, difference.high),
        tie=difference.tie,
        rows=len(y),
    )


def _shared_holdout(first: Version, second: Version) -> tuple[Array, list[Array], IntArray | None]:
    paths = [version.folder / "evaluation.arrow" for version in (first, second)]
    known = all(path.is_file() for path in paths)  # an imported version has none
    if not known or first.lineage.get("fingerprint") != second.lineage.get("fingerprint"):
        raise DataError(
            f"{first} and {second} were trained on different data; give DATA to compare them on."
        )
    kept = [read_arrow(path) for path in paths]
    shared, a, b = np.intersect1d(kept[0]["row"], kept[1]["row"], return_indices=True)
    if len(shared) == 0:
        raise DataError(f"{first} and {second} share no holdout row; give DATA to compare them on.")
    groups = kept[0].get("group")
    outputs = [_output(kept[0])[a], _output(kept[1])[b]]
    return kept[0]["y"][a], outputs, None if groups is None else groups[a]


def _output(kept: dict[str, Array]) -> Array:
    names = [name for name in kept if name.startswith("output_")]
    wide = np.column_stack([kept[name] for name in names])
    return wide[:, 0] if len(names) == 1 else wide
