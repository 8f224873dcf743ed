"""The fast path of one article beside the pipeline, digit for digit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from tests.workloads.articles.conftest import train

from promise.data.synthetic_articles import article_table
from promise.pipeline.bind import bind, columns_of
from promise.pipeline.order import Outcome
from promise.workloads.articles.one import one_article

ODD = [
    (None, None), ("", ""), ("Only a title", None), (None, "<p>Only&nbsp;a <b>body</b></p>"),
    ("7", "42"), ("\x00", "\ud800 a"), (None, "word " * 20_000), ("Über", "内閣は決めた。 x’s"),
]  # fmt: skip


def agree(outcome: Outcome, rows: pa.Table) -> None:
    pipeline = outcome.pipeline
    quick, bound = one_article(pipeline), bind(pipeline)
    assert quick is not None
    assert bound.fast
    names = pipeline.task.request.names
    plain = [tuple(row[name] for name in names) for row in rows.slice(0, 12).to_pylist()]
    odd = [
        tuple(dict(zip(("title", "body"), row, strict=True)).get(n) for n in names) for row in ODD
    ]
    for values in [*plain, *odd]:
        asked = columns_of([values], pipeline.task.request)
        assert quick.output(values) == pipeline.output(asked)[0].tolist()
        assert quick.answer(values) == bound.many([values])[0]


@pytest.mark.slow
def test_one_article_is_answered_as_a_batch_is(outcome: Outcome, rows: pa.Table) -> None:
    agree(outcome, rows)


@pytest.mark.slow
def test_one_article_of_several_labels_is_answered_as_a_batch_is(several: Outcome) -> None:
    agree(several, article_table(150, several=True, clarity=0.4))


@pytest.mark.slow
def test_means_of_terms_and_vectors_are_answered_as_a_batch_is(
    rows: pa.Table, vectors: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from promise.workloads.articles import ladder

    def mean(rungs: object, *_: object) -> object:
        return max((r for r in rungs if "+" in r.name), key=len_of), "asked for"  # type: ignore[attr-defined]

    def len_of(rung: object) -> int:
        return len(rung.ways)  # type: ignore[attr-defined]

    monkeypatch.setattr(ladder, "choose", mean)
    outcome = train(rows, tmp_path, options={"encoder": str(vectors)})
    assert len(outcome.pipeline.score.members) == 2  # type: ignore[attr-defined]
    agree(outcome, rows)


@pytest.mark.slow
def test_numbers_are_read_as_the_columns_read_them(outcome: Outcome) -> None:
    quick, bound = one_article(outcome.pipeline), bind(outcome.pipeline)
    assert quick is not None
    n = len(outcome.pipeline.task.request)
    for value in (3, 2.5, True):
        values = (value,) * n
        assert quick.answer(values) == bound.many([values])[0]
        assert np.isfinite(quick.output(values)).all()
