"""One transaction alone gets the digits that a batch and the pipeline give it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest

from promise.data.answer import Class
from promise.data.columns import Columns
from promise.data.schema import Field
from promise.errors import DataError
from promise.features.keyed import SEEN, VIEW
from promise.job import Job
from promise.metrics.costs import Costs
from promise.models.base import ESTIMATORS, MATRIX, Examples
from promise.models.blend import Member, matrix_column
from promise.models.calibrate import Calibrated, Scale
from promise.pipeline.answers import answer_rows
from promise.pipeline.bind import bind, columns_of
from promise.pipeline.conformance import BoundConformance
from promise.pipeline.decision import Cheapest, DecisionPolicy, Exploration
from promise.pipeline.pipeline import Pipeline
from promise.workloads.fraud.one import one_decision
from promise.workloads.fraud.reasons import with_reasons
from promise.workloads.fraud.task import fraud_task
from promise.workloads.fraud.views import keyed_of

COLUMNS = {
    "id": "tx", "time": "when", "entity": "card", "other": "shop", "amount": "eur",
    "label": "fraud",
}  # fmt: skip
FORMATS = {"when": Field("when", "date", format="iso")}
START = np.datetime64("2026-03-01T00:00:00", "us")


def events(n: int, seed: int) -> tuple[Columns, np.ndarray]:
    """Return events with frauds at one shop."""
    rng = np.random.default_rng(seed)
    shops = rng.integers(0, 6, n)
    y = ((shops == 0) & (rng.random(n) < 0.6)).astype(np.int64)
    table = Columns(
        {
            "tx": np.array([f"t{k}" for k in range(n)], dtype=object),
            "when": START + np.sort(rng.integers(0, 1_700_000, n)) * np.timedelta64(1, "s"),
            "eur": rng.gamma(2.0, 20.0 + 80.0 * y, n).round(2),
            "card": np.array([f"c{k}" for k in rng.integers(0, 40, n)], dtype=object),
            "shop": np.array([f"s{k}" for k in shops], dtype=object),
        }
    )
    return table, y


@cache
def trained(scale: Scale, policy: str, *, tabnet: bool = False) -> Pipeline:
    """Return a small pipeline of events."""
    keyed = keyed_of(COLUMNS, "1d")
    table, y = events(1200, 3)
    seen = keyed.replay(table, Columns({"label": y.astype(np.float64)}))
    matrix = np.ascontiguousarray(seen[SEEN], dtype=np.float32)
    job, names = Job(seed=7, threads=1), keyed.features.columns
    rows = Examples(Columns({MATRIX: matrix}), y, Class(("0", "1")), names=names)
    kinds = ("xgboost", "linear") if tabnet else ("lightgbm", "xgboost")
    fitted = [
        ESTIMATORS.resolve(kind)(**({} if kind == "linear" else {"rounds": 25})).fit(
            rows, None, job
        )
        for kind in kinds
    ]
    members = tuple(Member(VIEW, w, f) for w, f in zip((0.6, 0.4), fitted, strict=True))
    score = Calibrated(members, scale).calibrated(Columns({matrix_column(VIEW): matrix}), y)
    decide = {
        "cuts": DecisionPolicy(amount="eur"),
        "costs": DecisionPolicy(
            rule=Cheapest(Costs(), 1.0, 30.0), amount="eur",
            exploration=Exploration(0.4, "tx", 200.0),
        ),
    }[policy]  # fmt: skip
    if policy == "cuts":
        decide = with_reasons(decide, score, keyed, matrix, matrix, job)
    return Pipeline(fraud_task(COLUMNS, formats=FORMATS), score, decide, featurize=keyed)


CASES: list[tuple[Scale, str]] = [("logit", "cuts"), ("probability", "costs")]


class TestOneDecision(BoundConformance):
    """Rows whose entities nobody has seen, on every path."""

    def cases(self) -> Iterator[tuple[str, Pipeline, list[dict[str, Any]]]]:
        """Yield pipelines with rows as clients send them."""
        table, _ = events(40, 8)
        rows = [
            {
                name: float(table[name][k]) if name == "eur" else str(table[name][k])
                for name in table
            }
            for k in range(40)
        ]
        rows[1]["eur"] = rows[2]["card"] = rows[3]["shop"] = rows[4]["tx"] = None
        for scale, policy in CASES:
            yield f"{scale}/{policy}", trained(scale, policy), rows


@pytest.mark.slow
@pytest.mark.parametrize(("scale", "policy"), CASES)
def test_what_was_seen_gives_the_digits_of_predict(scale: Scale, policy: str) -> None:
    """Features from the store, one by one and in blocks: the same answers to the last bit."""
    pipeline = trained(scale, policy)
    table, y = events(500, 5)
    seen = pipeline.featurize.replay(table, Columns({"label": y.astype(np.float64)}))[SEEN]  # type: ignore[union-attr]
    names = pipeline.task.request.names
    rows = [
        tuple(float(table[n][k]) if n == "eur" else str(table[n][k]) for n in names)
        for k in range(table.n_rows)
    ]
    bound = bind(pipeline)
    assert bound.fast
    request = columns_of(rows, pipeline.task.request).with_columns({SEEN: seen})
    slow = answer_rows(pipeline, pipeline.predict(request))
    assert bound.many(rows, seen) == slow
    assert [bound.one(row, one) for row, one in zip(rows, seen, strict=True)] == slow
    if policy == "cuts":
        told = [row for row in slow if row["reasons"]]
        assert told
        assert all(row["score"] >= 0.2 for row in told)
        assert all(reason["words"] for row in told for reason in row["reasons"])


def test_an_event_without_a_time_cannot_be_read_without_features() -> None:
    """In words, and on both paths alike."""
    bound = bind(trained("logit", "cuts"))
    for read in (bound.one, lambda row: bound.many([row])):
        with pytest.raises(DataError, match="time"):
            read((None, None, 5.0, "c1", "s1"))


def test_other_pipelines_have_no_fast_path() -> None:
    """A scorer of another kind is answered by columns."""
    pipeline = trained("logit", "cuts")
    other = Pipeline(pipeline.task, pipeline.score.members[0].fitted, pipeline.decide, None)  # type: ignore[attr-defined]
    assert one_decision(other) is None


def test_a_probability_is_one() -> None:
    """Both outputs sum to one and are finite."""
    one = one_decision(trained("logit", "cuts"))
    assert one is not None
    good, fraud = one.output(("t", "2026-03-05T10:00:00", 5.0, "c1", "s1"))
    assert good + fraud == pytest.approx(1.0)
    assert math.isfinite(fraud)
