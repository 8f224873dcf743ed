"""An explanation speaks of the class that was answered."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from promise.data.answer import Class
from promise.data.columns import Columns
from promise.data.schema import Field, Schema
from promise.features.table import view
from promise.features.views import Views
from promise.job import Job
from promise.models.base import MATRIX, Examples
from promise.models.blend import Blend, Member
from promise.models.boosting import LightGBM
from promise.pipeline.explain import explain
from promise.pipeline.pipeline import Pipeline
from promise.pipeline.policy import Threshold
from promise.pipeline.task import Task

SCHEMA = Schema((Field("a", "number"), Field("b", "number")))


def pipeline_of(answer: Class, multipliers: tuple[float, ...] | None) -> Pipeline:
    rng = np.random.default_rng(1)
    columns = Columns({name: rng.normal(size=300) for name in SCHEMA.names})
    signal = columns["a"] + 0.1 * columns["b"]
    y = np.searchsorted(np.quantile(signal, np.linspace(0, 1, answer.n_classes + 1)[1:-1]), signal)
    train = Examples(columns, y.astype(np.int64), answer, rows=np.arange(300))
    shown = view("plain", SCHEMA).fit(train, None, Job())
    seen = replace(train, columns=Columns({MATRIX: shown.train_matrix(train)}), names=shown.names)
    fitted = LightGBM(rounds=10, min_leaf=5).fit(seen, None, Job())
    return Pipeline(
        Task("tabular", SCHEMA, answer, "y", "accuracy"),
        Blend((Member("plain", 1.0, fitted),)),
        Threshold(answer, multipliers),
        Views({"plain": shown}),
    )


@pytest.mark.parametrize("names", [("no", "yes"), ("low", "mid", "high")])
@pytest.mark.parametrize("last", [1.0, 8.0])
def test_it_explains_the_class_that_the_policy_decides(names: tuple[str, ...], last: float) -> None:
    pipeline = pipeline_of(Class(names), (*[1.0] * (len(names) - 1), last))
    request = Columns({"a": np.linspace(-2, 2, 9), "b": np.zeros(9)})
    answered = pipeline.predict(request)["prediction"].tolist()
    found = explain(pipeline, request)
    assert [one.of_class for one in found] == answered
    # the largest number speaks for the last class, the smallest against it
    assert found[-1].of_class == names[-1]
    assert found[-1].contributions["a"] > 0
