"""Judging and comparing use each pipeline's own policy, and whole groups where groups are whole."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pytest

from promise.data.answer import Class
from promise.data.columns import Array, Columns
from promise.data.schema import Field, Schema
from promise.data.source import open_source
from promise.data.split import Split
from promise.errors import DataError
from promise.pipeline.artifact import write_arrow
from promise.pipeline.pipeline import Pipeline
from promise.pipeline.policy import Threshold
from promise.pipeline.task import Task
from promise.training import compare as comparing
from promise.training.compare import Comparison, compare
from promise.training.evaluate import evaluate

ANSWER = Class(("no", "yes"))


@dataclass(frozen=True)
class Share:
    """The column `p` is the probability of yes."""

    kind: ClassVar[str] = "share"
    kind_version: ClassVar[int] = 1

    def many(self, columns: Columns) -> Array:
        return np.column_stack([1 - columns["p"], columns["p"]])


def pipeline(multipliers: tuple[float, float] | None, split: Split | None = None) -> Pipeline:
    task = Task(
        "tabular", Schema((Field("p", "number"),)), ANSWER, "y", "f1_macro",
        {} if split is None else split.to_json(),
    )  # fmt: skip
    return Pipeline(task, score=Share(), decide=Threshold(ANSWER, multipliers))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Stored:
    """As much of a registered version as judging reads."""

    folder: Path
    lineage: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.folder.name


def data() -> pa.Table:
    rng = np.random.default_rng(5)
    group = np.repeat(np.arange(10), 40)
    yes = rng.random(400) < np.where(group < 5, 0.1, 0.4)
    p = np.clip(0.2 + 0.2 * yes + rng.normal(0, 0.1, 400), 0, 1)
    return pa.table({"p": p, "y": np.where(yes, "yes", "no"), "site": group})


@pytest.mark.slow
def test_each_version_decides_by_its_own_multipliers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = {"plain": pipeline(None), "moved": pipeline((1.0, 2.5))}
    monkeypatch.setattr(comparing, "load_pipeline", lambda folder: made[folder.name])
    versions: list[Any] = [Stored(tmp_path / name) for name in made]
    found = compare(versions[0], versions[1], open_source(data()))
    alone = [evaluate(made[v.folder.name], v, open_source(data())) for v in versions]
    assert (found.first, found.second) == (alone[0].score, alone[1].score)
    assert found.second > found.first + 0.1
    assert not found.tie
    assert "moved is better than plain in f1_macro by 0." in found.sentence("plain", "moved")


def test_an_undefined_difference_is_said_in_words() -> None:
    nan = float("nan")
    found = Comparison("r2", nan, nan, nan, (nan, nan), True, 1)
    assert found.sentence("a", "b") == "r2 of a and b is undefined on 1 rows."


def test_rows_of_a_grouped_split_are_judged_by_whole_groups(tmp_path: Path) -> None:
    lineage = {"schema": Schema((Field("site", "number", role="group"),)).to_json()}
    version: Any = Stored(tmp_path, lineage)
    split = Split("grouped", 0.2, 7, "site")
    by_group = evaluate(pipeline(None, split), version, open_source(data()), metric="log_loss")
    by_row = evaluate(pipeline(None), version, open_source(data()), metric="log_loss")
    assert by_group.groups is not None
    assert len(np.unique(by_group.groups)) == 10
    assert by_row.groups is None
    widths = [high - low for low, high in (by_group.interval, by_row.interval)]
    assert widths[0] > 1.2 * widths[1]


@pytest.mark.slow
@pytest.mark.parametrize("other", [range(50, 100), range(40), None])
def test_versions_that_held_out_other_rows_are_not_compared_on_their_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: range | None
) -> None:
    source, versions = open_source(data()), []
    for name, rows in (("first", range(50)), ("second", other)):
        (tmp_path / name).mkdir()
        lineage = {} if rows is None else {"fingerprint": source.fingerprint()}
        if rows is not None:
            write_arrow(tmp_path / name / "evaluation.arrow", {"row": np.array(rows)})
        versions.append(Stored(tmp_path / name, lineage))
    monkeypatch.setattr(comparing, "load_pipeline", lambda _: pipeline(None))
    with pytest.raises(DataError, match="first and second may not be judged on the same rows"):
        compare(*versions, source)  # type: ignore[arg-type]
    assert compare(versions[0], versions[0], source).rows == 50  # type: ignore[arg-type]


def test_versions_that_kept_no_holdout_are_compared_on_given_data_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparing, "load_pipeline", lambda _: pipeline(None))
    with pytest.raises(DataError, match="give DATA"):
        compare(Stored(tmp_path), Stored(tmp_path), None)  # type: ignore[arg-type]


def test_evaluating_tells_its_peak_memory(tmp_path: Path) -> None:
    version: Any = Stored(tmp_path)
    shown = evaluate(pipeline(None), version, open_source(data())).to_json()
    assert shown["peak_memory_mb"] > 1
