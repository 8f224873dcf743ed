"""Training on everything never reads what the version's split holds back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from promise.data.infer import infer_schema
from promise.data.schema import Schema
from promise.data.source import Source, open_source
from promise.errors import ConfigError, DataError
from promise.features.table import TableFeatures, input_fields
from promise.features.views import Views
from promise.job import Job
from promise.models.base import ESTIMATORS, MATRIX, ORDER, Examples
from promise.models.blend import Blend, Member
from promise.pipeline.artifact import Contents, load_pipeline, read_manifest, save_pipeline
from promise.pipeline.order import Order
from promise.pipeline.pipeline import Pipeline
from promise.pipeline.policy import Threshold
from promise.workloads.tabular.contents import golden_rows
from promise.workloads.tabular.full import Stream, card, read_judged, train_again
from promise.workloads.tabular.label import read_label
from promise.workloads.tabular.sealing import Seal, seal
from promise.workloads.tabular.table import Sampling, load_table
from promise.workloads.tabular.task import table_task


def days_table(n_rows: int, *, first: str = "2024-01-01") -> pa.Table:
    """Return rows an hour apart, of twenty shops, whose label follows one number."""
    rng = np.random.default_rng(3)
    size = rng.normal(size=n_rows)
    return pa.table(
        {
            "when": np.datetime64(first, "us") + np.arange(n_rows) * np.timedelta64(1, "h"),
            "shop": [f"s{i}" for i in rng.integers(0, 20, n_rows)],
            "size": size,
            "order": rng.normal(size=n_rows),
            "target": 3 * size + rng.normal(size=n_rows),
        }
    )


class Made:
    """A version folder that holds a linear model, and what it was made of."""

    def __init__(
        self, folder: Path, data: pa.Table, *, sample: int, time: str | None = None,
        group: str | None = None, gap_s: float = 0.0,
    ) -> None:  # fmt: skip
        self.home = folder
        self.source = self.open(data, "first")
        schema = infer_schema(self.source)
        label = read_label(self.source, schema, "target", seed=7)
        self.table = load_table(
            self.source, schema, "target", label, Sampling(sample), time=time, group=group,
            gap_s=gap_s,
        )  # fmt: skip
        self.folder = folder / "version"
        self.folder.mkdir()
        save_pipeline(self._pipeline(), self.folder, self._contents())

    def open(self, data: pa.Table, name: str) -> Source:
        """Write a table as a file and open it."""
        path = self.home / f"{name}.parquet"
        pq.write_table(data, path)
        return open_source(path)

    def order(self, work: str = "work") -> Order:
        """Return the order to train this version again on everything."""
        folder = self.home / work
        folder.mkdir(exist_ok=True)
        return Order(name="made", work=folder, start=self.folder, full=True, threads=1)

    def _pipeline(self) -> Pipeline:
        train, job = self.table.examples(self.table.train), Job(seed=7, threads=1)
        features = TableFeatures(schema=input_fields(self.table.schema)).fit(train, None, job)
        matrix = Examples(
            columns=train.columns.with_columns({MATRIX: features.train_matrix(train)}),
            y=train.y,
            answer=train.answer,
            rows=train.rows,
        )
        self.fitted = ESTIMATORS.resolve("linear")().fit(matrix, None, job)
        return Pipeline(
            task=table_task(self.table, "r2"),
            featurize=Views({"v": features}),
            score=Blend((Member("v", 1.0, self.fitted),)),
            decide=Threshold(self.table.answer),
        )

    def _contents(self) -> Contents:
        holdout = self.table.rows[self.table.holdout]
        names = [field.name for field in self.table.schema.inputs]
        member = {
            "name": "linear", "family": "linear", "params": {}, "view_id": "v", "weight": 1.0,
            "seed": 7, "rounds": None, "rows": 1, "train_rows": 1,
        }  # fmt: skip
        return Contents(
            lineage={
                "fingerprint": self.source.fingerprint(),
                "schema": self.table.schema.to_json(),
            },
            recipe={"members": [member], "temperature": None, "multipliers": None},
            golden=golden_rows(self.source, holdout, names),
            rows={"train": self.table.rows[self.table.train], "holdout": holdout},
        )


def sealed(made: Made, source: Any = None) -> Seal:
    manifest = read_manifest(made.folder)
    task = load_pipeline(made.folder).task
    return seal(source or made.source, task, manifest["lineage"], made.folder, seed=7)


def learnable(found: Seal, source: Any) -> np.ndarray:
    parts = [
        np.arange(first, first + t.num_rows)[
            found.learnable(np.arange(first, first + t.num_rows), t)
        ]
        for first, t in source.batches(list(source.columns))
    ]
    return np.concatenate(parts)


def test_rows_after_the_cutoff_and_in_the_gap_are_not_learned_though_never_sampled(
    tmp_path: Path,
) -> None:
    made = Made(tmp_path, days_table(2000), sample=300, time="when", gap_s=10 * 3600.0)
    cutoff = np.datetime64(made.table.split.cutoff, "us")
    rows = learnable(sealed(made), made.source)
    when = days_table(2000)["when"].to_numpy()
    assert when[rows].max() < cutoff - np.timedelta64(10, "h")
    assert len(rows) == (when < cutoff - np.timedelta64(10, "h")).sum()  # and not one row fewer
    outcome = train_again(made.source, made.order(), lambda _: None)
    assert outcome.rows == len(rows)
    kept = outcome.contents.rows["holdout"]
    assert kept.tolist() == np.sort(made.table.rows[made.table.holdout]).tolist()


def test_held_out_groups_are_not_learned_though_never_sampled(tmp_path: Path) -> None:
    made = Made(tmp_path, days_table(2000), sample=400, group="shop")
    shops = np.array(days_table(2000)["shop"].to_pylist())
    rows = learnable(sealed(made), made.source)
    held_out = set(shops[made.table.rows[made.table.holdout]])
    assert held_out
    assert not held_out & set(shops[rows])
    assert set(shops[rows]) | held_out == set(shops)


def test_the_intervals_of_held_out_groups_resample_whole_groups(tmp_path: Path) -> None:
    made = Made(tmp_path, days_table(2000), sample=400, group="shop")
    outcome = train_again(made.source, made.order(), lambda _: None)
    assert outcome.contents.evaluation is not None
    assert len(np.unique(outcome.contents.evaluation["group"])) < 20


def test_other_data_is_split_by_the_same_cutoff(tmp_path: Path) -> None:
    made = Made(tmp_path, days_table(1000), sample=1000, time="when")
    later = made.open(days_table(1000, first="2024-01-21"), "later")
    found = sealed(made, later)
    when = days_table(1000, first="2024-01-21")["when"].to_numpy()
    cutoff = np.datetime64(made.table.split.cutoff, "us")
    assert (when[learnable(found, later)] < cutoff).all()
    assert (when[found.judged] >= cutoff).all()
    assert len(found.judged) == (when >= cutoff).sum()


def test_data_wholly_after_the_cutoff_moves_it(tmp_path: Path) -> None:
    made = Made(tmp_path, days_table(500), sample=500, time="when")
    later = made.open(days_table(500, first="2025-01-01"), "later")
    outcome = train_again(later, made.order(), lambda _: None)
    assert outcome.rows == 400
    assert str(outcome.pipeline.task.split["cutoff"]).startswith("2025-01")


def test_a_stratified_version_keeps_its_own_sealed_rows(tmp_path: Path) -> None:
    made = Made(tmp_path, days_table(400).drop_columns(["when", "shop"]), sample=400)
    rows = learnable(sealed(made), made.source)
    assert np.array_equal(rows, np.sort(made.table.rows[made.table.train]))


def test_data_without_the_column_that_splits_is_refused(tmp_path: Path) -> None:
    made = Made(tmp_path, days_table(500), sample=500, time="when")
    other = made.open(days_table(400).drop_columns(["when"]), "other")
    with pytest.raises(DataError, match="no column 'when', by which"):
        train_again(other, made.order(), lambda _: None)


@pytest.mark.slow
def test_resuming_goes_on_with_nothing_but_the_same_work(tmp_path: Path) -> None:
    made = Made(tmp_path, days_table(400).drop_columns(["when", "shop"]), sample=400)
    order = replace(made.order(), resume=True)
    train_again(made.source, order, lambda _: None)
    train_again(made.source, order, lambda _: None)
    other = made.open(days_table(300).drop_columns(["when", "shop"]), "other")
    with pytest.raises(ConfigError, match=r"the data changed since .* without --resume"):
        train_again(other, order, lambda _: None)
    with pytest.raises(ConfigError, match="the seed changed"):
        train_again(made.source, replace(order, seed=8), lambda _: None)


def test_an_undefined_score_is_told_in_words(tmp_path: Path) -> None:
    metrics = {"metric": "r2", "score": float("nan"), "ci": [None, None], "split": "one row"}
    assert "r2: undefined (95 % interval undefined) on one row" in card("t", metrics, 3, [])


def test_a_version_trained_again_is_whole(tmp_path: Path) -> None:
    made = Made(tmp_path, days_table(600), sample=300, time="when")
    outcome = train_again(made.source, made.order(), lambda _: None)
    folder = tmp_path / "again"
    folder.mkdir()
    assert isinstance(outcome.contents, Contents)
    save_pipeline(outcome.pipeline, folder, outcome.contents)
    assert load_pipeline(folder).task.split["kind"] == "temporal"


def test_judged_rows_have_their_order_in_time_where_a_member_reads_it(tmp_path: Path) -> None:
    made = Made(tmp_path, days_table(300), sample=300, time="when")
    task = load_pipeline(made.folder).task
    when = made.table.schema.only(("when",)).fields
    label = Schema.from_json([task.split["label_field"]]).fields
    schema = Schema((*task.request.fields, *when, *label))
    backwards = made.open(days_table(300).take(np.arange(300)[::-1]), "backwards")
    stream = Stream(backwards, schema, "target", task.answer, sealed(made, backwards))
    judged = read_judged(stream)
    assert judged.request[ORDER][:, 1].tolist() == list(range(len(judged.y)))[::-1]
