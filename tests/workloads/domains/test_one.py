"""One name gets the digits of the batch, whatever it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from promise.models.hashed import HashedLinear
from promise.pipeline.conformance import BoundConformance, Row
from promise.pipeline.order import Outcome
from promise.pipeline.pipeline import Pipeline
from promise.pipeline.stages import Score
from promise.workloads.domains.naming import Level, Naming

ODD = [
    "WWW.Example.com.", "*.example.com", "https://example.com:80/x", "10.0.0.1", "", "a..b",
    "bücher.example", "x" * 1000, "😀.ws", "com", "localhost",
]  # fmt: skip


class TestOneName(BoundConformance):
    @pytest.fixture(autouse=True)
    def _given(self, outcome: Outcome, rows: pa.Table) -> None:
        self.outcome, self.rows = outcome, rows

    def cases(self) -> Iterator[tuple[str, Pipeline, list[Row]]]:
        cells = [*ODD, *self.rows["domain"].to_pylist()[:60]]
        rows: list[Row] = [{"domain": cell} for cell in [*cells, *(f"sub.{c}" for c in cells)]]
        rows.append({"domain": None})
        pipeline = self.outcome.pipeline
        policy = pipeline.decide
        assert isinstance(policy, Naming)
        yield "plain", pipeline, rows
        level = Level("company", ("left", "right"), (0, 0, 1, 1, -1))
        unsure = replace(policy, threshold=0.7, levels=(level,))
        yield "levels", replace(pipeline, decide=unsure), rows
        yield "unknown names", replace(pipeline, score=with_none(pipeline.score)), rows


def with_none(score: Score) -> HashedLinear:
    """Return a model with a column for names of no class, raised for many unknown names."""
    assert isinstance(score, HashedLinear)
    k = score.n_classes
    return replace(
        score,
        weights=np.hstack([score.weights, -score.weights.mean(axis=1, keepdims=True)]),
        bias=np.append(score.bias, np.float32(-0.2)),
        lift=np.append(np.zeros(k, np.float32), np.float32(0.4)),
        unknown_share=0.8,
    )
