"""Answers of several labels as users read them: rows, schema, files, labels that come back."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from promise.data.answer import Labels, answer_from_json, answer_to_json
from promise.data.columns import Array, Columns
from promise.data.schema import Field, Schema
from promise.data.source import open_source
from promise.errors import DataError
from promise.pipeline.answers import answer_rows, answer_schema, labels_answer
from promise.pipeline.bind import heuristic_answer
from promise.pipeline.pipeline import Pipeline
from promise.pipeline.task import Task
from promise.records.given import as_answered
from promise.training.evaluate import label_texts
from promise.training.predict import predict_file
from promise.workloads.articles.reviewing import Reviewing

ANSWER = Labels(("oil", "trade"))


class Fixed:
    """Gives every row the same probabilities."""

    kind = "fixed"
    kind_version = 1

    def many(self, columns: Columns) -> Array:
        return np.tile([0.75, 0.25], (columns.n_rows, 1))


def pipeline() -> Pipeline:
    """Return a pipeline of labels."""
    request = Schema((Field("body", "text", role="body"),))
    task = Task("articles", request, ANSWER, "topics", "f1_macro", heuristic=(0.5, 0.1))
    return Pipeline(task=task, score=Fixed(), decide=Reviewing(ANSWER, (), (1.0, 1.0)))  # type: ignore[arg-type]


def test_an_answer_is_a_list_and_fits_its_schema() -> None:
    made = pipeline()
    request = Columns({"body": np.array(["a"], dtype=object)})
    answer = answer_rows(made, made.predict(request))[0]
    assert answer["prediction"] == ["oil"]
    assert answer["probability"] == {"oil": 0.75, "trade": 0.25}
    jsonschema.validate(answer, answer_schema(made))
    jsonschema.validate(heuristic_answer(made), answer_schema(made))
    assert answer_from_json(answer_to_json(ANSWER)) == ANSWER


def test_of_many_labels_those_given_and_the_likeliest_are_told() -> None:
    answer = Labels(tuple(f"t{i:03d}" for i in range(150)))
    shares = np.linspace(0, 1, 150)
    told = labels_answer(answer, ["t000"], shares.tolist())["probability"]
    assert set(told) == {"t000", "t149", "t148", "t147", "t146", "t145"}


def test_files_hold_json_lists(tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    predict_file(pipeline(), open_source(pa.table({"body": ["a", "b"]})), out)
    table = pq.read_table(out)
    assert [json.loads(cell) for cell in table["prediction"].to_pylist()] == [["oil"], ["oil"]]
    assert table["probability_trade"].to_pylist() == [0.25, 0.25]


def test_labels_come_back_as_lists_or_joined_texts() -> None:
    assert as_answered("trade; oil", ANSWER) == ["trade", "oil"]
    assert as_answered(["oil"], ANSWER) == ["oil"]
    with pytest.raises(DataError, match="did you mean 'trade'"):
        as_answered(["trad"], ANSWER)
    cells = np.array(["oil;trade", '["trade"]', ""], dtype=object)
    assert label_texts(cells, ANSWER, "x").tolist() == ["0;1", "1", ""]
    with pytest.raises(DataError, match="none of the model's"):
        label_texts(np.array(["gas"], dtype=object), ANSWER, "x")
