"""What every pipeline must keep to when it is bound for serving: inherit the suite in a test."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np

from promise.data.schema import Schema
from promise.pipeline.answers import answer_rows
from promise.pipeline.bind import Bound, bind, columns_of
from promise.pipeline.one import Values
from promise.pipeline.pipeline import Pipeline
from promise.pipeline.request import request_from_rows
from promise.pipeline.wire import RequestCodec

Row = dict[str, Any]


class BoundConformance(ABC):
    """Tests that pytest collects in a subclass named `Test…`."""

    fast = True
    """Whether every pipeline of the suite has a fast path for single rows."""

    @abstractmethod
    def cases(self) -> Iterator[tuple[str, Pipeline, list[Row]]]:
        """Give names, trained pipelines, and rows as clients send them, one type per field."""

    def bound(self) -> Iterator[tuple[str, Pipeline, Bound, list[Row], list[Values]]]:
        """Give every case compiled, its rows also as the codec decodes them."""
        for name, pipeline, rows in self.cases():
            fields = pipeline.task.request.names
            values = [tuple(row.get(field) for field in fields) for row in rows]
            yield name, pipeline, bind(pipeline), rows, values

    def test_single_rows_are_fast(self) -> None:
        """No stage fell back to columns unseen."""
        for name, _, bound, _, _ in self.bound():
            assert bound.fast == self.fast, name

    def test_one_equals_many_equals_predict(self) -> None:
        """One row alone, in a batch and through the pipeline: the same answer to the last bit."""
        for name, pipeline, bound, rows, values in self.bound():
            slow = answer_rows(
                pipeline, pipeline.predict(request_from_rows(rows, _schema(pipeline)))
            )
            assert bound.many(values) == slow, name
            assert [bound.one(value) for value in values] == slow, name

    def test_neighbours_change_nothing(self) -> None:
        """Shuffled rows get the same answers, and so do repeated ones."""
        for name, _, bound, _, values in self.bound():
            order = np.random.default_rng(3).permutation(len(values)).tolist()
            whole = bound.many(values)
            assert bound.many([values[i] for i in order]) == [whole[i] for i in order], name
            assert [bound.one(values[i]) for i in order] == [whole[i] for i in order], name

    def test_two_bound_pipelines_do_not_feel_each_other(self) -> None:
        """Each thread has buffers of its own, over one shared pipeline."""
        for name, pipeline, first, _, values in self.bound():
            second = bind(pipeline)
            for a, b in zip(values, reversed(values), strict=True):
                together = first.one(a), second.one(b)
                assert together == (second.one(a), first.one(b)), name

    def test_answers_travel_as_json(self) -> None:
        """What was decoded from JSON is answered, and the answer is JSON."""
        for name, pipeline, bound, rows, values in self.bound():
            codec = RequestCodec(_schema(pipeline))
            for row, value in zip(rows[:20], values, strict=False):
                decoded, batch = codec.decode(json.dumps(row).encode())
                assert not batch
                answer = bound.one(decoded[0])
                assert answer == bound.one(value), name
                assert json.loads(json.dumps(answer, allow_nan=False)) == answer, name
            decoded, batch = codec.decode(json.dumps({"rows": rows}).encode())
            assert batch
            assert bound.many(decoded) == bound.many(values), name

    def test_no_rows_have_no_answers(self) -> None:
        """An empty batch is a batch."""
        for name, pipeline, bound, _, _ in self.bound():
            assert bound.many([]) == [], name
            assert columns_of([], _schema(pipeline)).n_rows == 0


def _schema(pipeline: Pipeline) -> Schema:
    return pipeline.task.request
