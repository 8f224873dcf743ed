"""What is learned from and what judges: never the same rows, over any number of retrainings."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from promise.clock import ManualClock
from promise.data.split import Split
from promise.errors import DataError
from promise.pipeline.artifact import load_pipeline, read_arrow
from promise.pipeline.pipeline import Pipeline
from promise.records.source import ID
from promise.registry.versions import Version
from promise.retraining.base import Base, base_of
from promise.retraining.gather import Gathered, gather, gathered_in
from promise.retraining.sides import SET_ASIDE

Rows = list[dict[str, Any]]


@dataclass
class Bench:
    """A live version whose answers come at times that the test chooses."""

    site: Any
    version: Version
    pipeline: Pipeline
    runs: int = 0

    def answered(self, rows: Rows) -> list[str]:
        return self.site.answered(rows)

    def base(self) -> Base:
        return base_of(self.version, self.pipeline, None)

    def gather(self, base: Base | None = None) -> Gathered:
        self.runs += 1
        folder = self.site.settings.home / "retraining" / f"run-{self.runs}"
        folder.mkdir(parents=True)
        return gather(
            self.version, self.pipeline, base or self.base(), self.site.labels,
            records=self.site.settings.records, folder=folder, as_of=self.site.clock.now(),
        )  # fmt: skip

    def made(self, gathered: Gathered) -> Bench:
        """Stand in for the version that a retraining on these rows would make."""
        from promise.data.source import open_source

        print_of = open_source(gathered.train).fingerprint()
        lineage = {**self.version.lineage, "fingerprint": print_of}
        version = replace(self.version, lineage=lineage, created=self.site.clock.now())
        return Bench(self.site, version, self.pipeline, self.runs)


@pytest.fixture
def bench(site: Any) -> Bench:
    version = site.registry.find("churn@1")
    return Bench(site, version, load_pipeline(version.folder))


def incomes(path: Path) -> list[float]:
    """Return what tells each row of these tests from all others."""
    return pq.read_table(path).column("income").to_pylist()


def numbered(rows: Rows, first: int) -> Rows:
    return [{**row, "income": float(first + i)} for i, row in enumerate(rows)]


def test_the_sealed_rows_and_a_fixed_share_of_answers_judge(bench: Bench) -> None:
    ids = bench.answered(numbered(bench.site.people(300, 2), 10_000))
    found = bench.gather()
    kept = read_arrow(bench.version.folder / "evaluation.arrow")
    learned, judging = incomes(found.train), incomes(found.folder / "judge.parquet")
    assert not set(learned) & set(judging)
    assert len(learned) + len(judging) == 120 + 300 == found.n_rows + found.n_judged
    assert found.n_logged == 300
    aside = [i for i in judging if i >= 10_000]
    assert len(judging) - len(aside) == len(kept["row"])
    assert abs(len(aside) - 300 * SET_ASIDE) < 30
    assert found.judged.tolist() == list(range(len(judging)))
    assert gathered_in(found.folder) == found
    logged = pq.read_table(found.folder / "logged.parquet")
    assert logged.column(ID).to_pylist() == sorted(ids)
    assert "people.csv without the 30 rows that churn@1 sealed" in found.notes[0]


def test_a_row_that_judged_once_is_never_learned_from(bench: Bench) -> None:
    bench.answered(numbered(bench.site.people(120, 2), 10_000))
    first = bench.gather()
    second_bench = bench.made(first)
    bench.answered(numbered(bench.site.people(90, 3), 20_000))
    base = base_of(second_bench.version, bench.pipeline, first.folder)
    assert base.note == "what churn@1 was made of"
    second = second_bench.gather(base)
    assert second.n_rows + second.n_judged == 120 + 120 + 90
    for earlier, later in (("train", "judge"), ("judge", "train")):
        one = incomes(first.folder / f"{earlier}.parquet")
        other = incomes(second.folder / f"{later}.parquet")
        assert not set(one) & set(other)
    # what is read again from the log is there once
    assert len(set(incomes(second.train))) == second.n_rows


def test_answers_that_the_log_let_go_are_kept(bench: Bench) -> None:
    old = bench.answered(numbered(bench.site.people(60, 2), 10_000))
    first = bench.gather()
    later = bench.made(first)
    for segment in (bench.site.settings.records / "churn").iterdir():
        segment.unlink()
    bench.answered(numbered(bench.site.people(30, 3), 20_000))
    # one of the old answers gets another label; of an answer that is gone the old one stays
    bench.site.labels.add([{"prediction_id": old[0], "label": "no", "model": "churn"}])
    second = later.gather(base_of(later.version, bench.pipeline, first.folder))
    assert second.n_logged == 90


@pytest.mark.slow
def test_time_sets_the_newest_aside_and_never_moves_back(bench: Bench) -> None:
    split = Split("temporal", 0.2, 7, "day", "2026-01-01").to_json()
    label = bench.pipeline.task.split["label_field"]
    task = replace(bench.pipeline.task, split={**split, "label_field": label})
    pipeline = replace(bench.pipeline, task=task)
    schema = [*bench.version.lineage["schema"], {"name": "day", "type": "date", "role": "time"}]
    lineage = {**bench.version.lineage, "schema": schema}
    version = replace(bench.version, lineage=lineage)
    clock = ManualClock(bench.site.clock.now())
    bench.site.clock = clock  # type: ignore[assignment]
    bench.site.labels.clock = clock
    for i in range(50):
        clock.advance(60)
        bench.answered([{**bench.site.people(1, i)[0], "income": float(i)}])
    timed = Bench(bench.site, version, pipeline)
    base = replace(base_of(version, bench.pipeline, None), split=split, history=None, sealed=None)
    first = timed.gather(base)
    assert incomes(first.train) == [float(i) for i in range(40)]
    assert incomes(first.folder / "judge.parquet") == [float(i) for i in range(40, 50)]
    assert first.rule == "temporal:day"
    days = pq.read_table(first.train).column("day").to_pylist()
    assert days == sorted(days)
    assert days[0].tzinfo is None
    floor = days[0].replace(tzinfo=clock.now().tzinfo).timestamp() + 60 * 45
    second = timed.gather(replace(base, cutoff_s=floor))
    assert incomes(second.folder / "judge.parquet") == [45.0, 46.0, 47.0, 48.0, 49.0]


def test_an_answer_tells_when_its_label_became_known(bench: Bench) -> None:
    known = {"name": "reported", "type": "date", "role": "ignore"}
    split = {**bench.pipeline.task.split, "known_at_field": known}
    lineage = {**bench.version.lineage, "schema": [*bench.version.lineage["schema"], known]}
    timed = Bench(
        bench.site,
        replace(bench.version, lineage=lineage),
        replace(bench.pipeline, task=replace(bench.pipeline.task, split=split)),
    )
    clock = ManualClock(bench.site.clock.now())
    bench.site.clock = bench.site.labels.clock = clock
    rows = bench.site.people(40, 2)
    ids = bench.site.answered(rows, labelled=False)
    clock.advance(3600)
    bench.site.label(ids, rows)
    found = timed.gather(replace(bench.base(), history=None, sealed=None))
    logged = pq.read_table(found.folder / "logged.parquet")
    reported = set(logged.column("reported").to_pylist())
    assert reported == {clock.now().replace(tzinfo=None)}
    assert set(logged.column("predicted_at").to_pylist()) != reported


def test_a_run_that_lost_a_file_is_read_as_any_other_version(bench: Bench) -> None:
    bench.answered(numbered(bench.site.people(60, 2), 10_000))
    first = bench.gather()
    made = bench.made(first)
    (first.folder / "judge.parquet").unlink()
    base = base_of(made.version, made.pipeline, first.folder)
    assert base.logged is None
    assert base.note != "what churn@1 was made of"


def test_a_version_tells_where_its_data_lies_and_what_it_learned(bench: Bench) -> None:
    ordered = bench.version.lineage["order"]
    assert ordered["data"] == str(bench.site.settings.home / "people.csv")
    assert ordered["columns"] == {"target": "label"}


def test_rows_that_look_back_are_kept_whole(bench: Bench, monkeypatch: Any) -> None:
    from promise.retraining import base
    from promise.retraining import gather as gathering

    monkeypatch.setattr(base, "is_ordered", lambda _: True)
    monkeypatch.setattr(gathering, "is_ordered", lambda _: True)
    bench.answered(numbered(bench.site.people(50, 2), 10_000))
    found = bench.gather()
    learned, judging = incomes(found.train), incomes(found.folder / "judge.parquet")
    assert judging[: len(learned)] == learned
    assert len(judging) == 170
    assert found.judged.tolist() == list(range(170 - found.n_judged, 170))
    assert judging[-found.n_judged :] == [10_050.0 - i for i in range(found.n_judged, 0, -1)]


def test_data_that_grew_is_known_again_and_changed_data_is_not(bench: Bench) -> None:
    bench.answered(numbered(bench.site.people(50, 2), 10_000))
    rows = bench.site.people(120, seed=1, turned=True)
    bench.site.data([*rows, *numbered(bench.site.people(40, 5), 30_000)])
    grown = bench.gather()
    assert grown.n_rows + grown.n_judged == 160 + 50
    assert sum(i >= 30_000 for i in incomes(grown.train)) == 40
    bench.site.data(rows[::-1])
    changed = bench.gather()
    assert changed.n_rows + changed.n_judged == 50
    assert "is not what it was when churn@1 was trained" in changed.notes[0]
    (bench.site.settings.home / "people.csv").unlink()
    gone = bench.gather()
    assert gone.n_rows + gone.n_judged == 50
    assert "only logged answers are learned from" in gone.notes[0]


def test_only_what_was_known_and_fits_is_taken(bench: Bench) -> None:
    rows = bench.site.people(40, 2)
    bench.answered(rows)
    late = bench.site.answered(bench.site.people(5, 3), labelled=False)
    known_at = bench.site.clock.now() + timedelta(days=1)
    bench.site.labels.add(
        [{"prediction_id": i, "label": "yes", "model": "churn", "known_at": known_at}
         for i in late]
    )  # fmt: skip
    strange = bench.site.answered(bench.site.people(2, 4), labelled=False)
    bench.site.labels.add(
        [{"prediction_id": i, "label": "maybe", "model": "churn"} for i in strange]
    )
    found = bench.gather()
    assert found.n_logged == 40
    assert found.notes[-1] == "2 more are of values that the model cannot read"


def test_without_a_labelled_answer_there_is_nothing_new(bench: Bench) -> None:
    bench.site.answered(bench.site.people(5, 3), labelled=False)
    with pytest.raises(DataError, match="has a label that was known by now"):
        bench.gather()


def test_types_come_back_as_they_were(tmp_path: Path) -> None:
    from promise.data.columns import Columns
    from promise.data.infer import read_columns
    from promise.data.schema import Field, Schema
    from promise.data.source import open_source
    from promise.retraining.gather import _write_parquet

    schema = Schema(
        (Field("n", "number"), Field("b", "boolean"), Field("c", "category"),
         Field("d", "date", format="%d.%m.%Y"))
    )  # fmt: skip
    days = np.array(["2026-01-02T03:04:05.000006", "NaT"], dtype="M8[us]")
    columns = Columns(
        {"n": np.array([1.5, np.nan]), "b": np.array([np.nan, 0.0]),
         "c": np.array(["7", None], dtype=object), "d": days}
    )  # fmt: skip
    assert _write_parquet(tmp_path / "rows.parquet", schema, [columns, columns]) == 4
    read, _ = read_columns(open_source(tmp_path / "rows.parquet"), schema)
    for name in schema.names:
        np.testing.assert_array_equal(read[name][2:], columns[name])
