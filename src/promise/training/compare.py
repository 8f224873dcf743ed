"""Two versions side by side, on rows that neither was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from promise.data.source import Source
from promise.errors import DataError
from promise.metrics.intervals import paired_difference
from promise.metrics.pointwise import metric_named
from promise.pipeline.artifact import load_pipeline, read_arrow
from promise.registry.versions import Version
from promise.training.evaluate import evaluate


@dataclass(frozen=True)
class Comparison:
    """The difference of two versions in the metric of the first, with its interval."""

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
        span = f"{self.difference:+.4f} (95 % interval {low:+.4f} to {high:+.4f}, {self.rows} rows)"
        if self.tie:
            return f"{first} and {second} tie in {self.metric}: difference {span}."
        return f"{second} differs from {first} in {self.metric} by {span}."


def compare(first: Version, second: Version, source: Source | None, *, seed: int = 7) -> Comparison:
    """Compare by paired bootstrap, on the given data or on the holdout rows that both share."""
    pipelines = load_pipeline(first.folder), load_pipeline(second.folder)
    metric = metric_named(pipelines[0].task.metric, pipelines[0].task.answer)
    if pipelines[0].task.answer != pipelines[1].task.answer:
        raise DataError(f"{first} and {second} answer different questions; compare like with like.")
    if source is not None:
        judged = [evaluate(p, v, source) for p, v in zip(pipelines, (first, second), strict=True)]
        if len(judged[0].y) != len(judged[1].y):
            raise DataError(
                f"{source.name} is training data of one of them only, so their rows differ; "
                "give data that neither was trained on."
            )
        y, outputs = judged[0].y, [e.output for e in judged]
    else:
        y, outputs = _shared_holdout(first, second)
    difference = paired_difference(metric, y, outputs[0], outputs[1], seed=seed)
    return Comparison(
        metric=metric.name,
        first=metric.score(y, outputs[0]),
        second=metric.score(y, outputs[1]),
        difference=difference.mean,
        interval=(difference.low, difference.high),
        tie=difference.tie,
        rows=len(y),
    )


def _shared_holdout(first: Version, second: Version) -> tuple[Any, list[Any]]:
    if first.lineage.get("fingerprint") != second.lineage.get("fingerprint"):
        raise DataError(
            f"{first} and {second} were trained on different data; give DATA to compare them on."
        )
    kept = [read_arrow(v.folder / "evaluation.arrow") for v in (first, second)]
    shared, a, b = np.intersect1d(kept[0]["row"], kept[1]["row"], return_indices=True)
    if len(shared) == 0:
        raise DataError(f"{first} and {second} share no holdout row; give DATA to compare them on.")
    return kept[0]["y"][a], [_output(kept[0])[a], _output(kept[1])[b]]


def _output(kept: dict[str, Any]) -> Any:
    names = [name for name in kept if name.startswith("output_")]
    wide = np.column_stack([kept[name] for name in names])
    return wide[:, 0] if len(names) == 1 else wide
