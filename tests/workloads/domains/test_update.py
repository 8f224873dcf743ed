"""Updates take in new names and classes, forget nothing, and are refused where they harm."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from tests.workloads.domains.conftest import train

from promise.data.synthetic import name_table
from promise.errors import ConfigError, FitFailed
from promise.features.names import normalise_many, pinned_suffixes
from promise.pipeline.artifact import load_pipeline, recipe_of, save_pipeline
from promise.pipeline.order import Outcome
from promise.workloads.domains import update
from promise.workloads.domains.held import names_of
from promise.workloads.domains.split import BRAND, NameSplit

ROWS = name_table(4_000, n_classes=5)


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a version that knows four of five classes, of most names."""
    old = ROWS.filter(pa.array(_old()))
    outcome = train(old, tmp_path_factory.mktemp("work"))
    folder = tmp_path_factory.mktemp("version")
    save_pipeline(outcome.pipeline, folder, outcome.contents)
    return folder


def _old() -> np.ndarray:
    known = np.array(ROWS["category"].to_pylist()) != "category_04"
    return known & (np.arange(len(ROWS)) % 10 != 0)


def updated(parent: Path, rows: pa.Table, work: Path, **terms: object) -> Outcome:
    return train(rows, work, start=parent, **terms)


@pytest.mark.slow
def test_an_update_knows_old_and_new_classes(parent: Path, tmp_path: Path) -> None:
    new = ROWS.filter(pa.array(~_old()))
    child = updated(parent, new, tmp_path / "a")
    again = updated(parent, new.sort_by("category"), tmp_path / "b")
    assert child.metrics == again.metrics
    assert again.details["ordered_by_label"]
    told = child.details["update"]
    assert told["new_classes"] == ["category_04"]
    assert told["gates"]["old"]["after"] >= told["gates"]["old"]["before"] - 0.01
    assert told["gates"]["new"]["after"] > told["gates"]["new"]["before"]
    whole = train(ROWS, tmp_path / "whole")
    for split in ("random", "registrable", "brand"):
        full, part = whole.details["splits"][split], child.details["splits"][split]
        assert part["accuracy"] > full["accuracy"] - 0.03, split


@pytest.mark.slow
def test_an_update_can_be_updated(parent: Path, tmp_path: Path) -> None:
    new = ROWS.filter(pa.array(~_old()))
    child = updated(parent, new.slice(0, 300), tmp_path / "a")
    folder = tmp_path / "child"
    folder.mkdir()
    save_pipeline(child.pipeline, folder, child.contents)
    second = updated(folder, new.slice(300), tmp_path / "b")
    assert second.details["update"]["new_classes"] == []
    assert second.metrics["accuracy"] > 0.7


@pytest.mark.slow
def test_an_update_that_harms_is_refused(parent: Path, tmp_path: Path) -> None:
    old = ROWS.filter(pa.array(_old()))
    labels = old["category"].to_pylist()
    wrong = old.set_column(1, "category", pa.array([*labels[1:], labels[0]]))
    with pytest.raises(FitFailed, match="sealed names of the old data accuracy falls"):
        updated(parent, wrong, tmp_path)


def test_an_update_judges_by_a_split_that_there_is(parent: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'brand'"):
        updated(parent, ROWS, tmp_path, split="brnd")


def test_an_update_has_its_parents_preset(parent: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--preset reference: an update goes on from"):
        updated(parent, ROWS, tmp_path, preset="reference")


@pytest.mark.slow
def test_an_update_keeps_its_parents_terms(parent: Path, tmp_path: Path) -> None:
    for option in ("background", "unknown_share"):
        with pytest.raises(ConfigError, match=f"--set {option}: an update keeps its parent's"):
            updated(parent, ROWS, tmp_path / "a", options={option: "0.5"})
    new = ROWS.filter(pa.array(~_old()))
    strict = train(ROWS.filter(pa.array(_old())), tmp_path / "b", options={"reject": "0.3"})
    folder = tmp_path / "strict"
    folder.mkdir()
    save_pipeline(strict.pipeline, folder, strict.contents)
    child = updated(folder, new, tmp_path / "c")
    assert child.contents.recipe["options"] == {"reject": "0.3"}
    again = updated(folder, new, tmp_path / "d", options={"reject": "0.1"})
    assert again.contents.recipe["options"] == {"reject": "0.1"}


def test_who_trains_a_version_again_follows_the_options_of_its_parents(tmp_path: Path) -> None:
    recipe = {"options": {"background": "popular.txt", "reject": "0.3"}}
    (tmp_path / "pipeline.json").write_text(json.dumps({"recipe": recipe}), encoding="utf-8")
    assert update.restored(tmp_path, {"reject": "0.1"}) == {
        "background": "popular.txt", "reject": "0.1",
    }  # fmt: skip


def test_the_last_resort_of_an_update_is_of_old_and_new_names(parent: Path, tmp_path: Path) -> None:
    one = ROWS.filter(pc.equal(ROWS["category"], "category_04"))
    prior = updated(parent, one, tmp_path).pipeline.task.heuristic
    assert sum(prior) == pytest.approx(1.0)
    assert min(prior) > 0.05


@pytest.mark.slow
def test_few_new_names_of_a_known_class_leave_sealed_brands_sealed(
    parent: Path, tmp_path: Path
) -> None:
    split = NameSplit(**recipe_of(parent)["split"])
    brands = (
        split.sides(normalise_many(ROWS["domain"].combine_chunks(), pinned_suffixes())) == BRAND
    )
    few = ROWS.filter(pa.array(brands))
    few = few.filter(pc.equal(few["category"], "category_00")).slice(0, 4)
    assert len(few) == 4
    rows = pa.concat_tables([ROWS.filter(pa.array(~_old())), few])
    keep = np.array(rows["category"].to_pylist()) != "category_00"
    keep[-4:] = True
    child = updated(parent, rows.filter(pa.array(keep)), tmp_path)
    kept = child.pipeline.score.kept
    assert (kept.sides == split.sides(names_of(kept.batch))).all()


@pytest.mark.slow
def test_known_brands_tell_nothing_of_how_sure_new_ones_are(
    parent: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(update, "ENOUGH_HELD", 50)
    old = load_pipeline(parent)
    rows = ROWS.filter(pa.array(_old()))
    known = rows.set_column(0, "domain", pc.binary_join_element_wise("m", rows["domain"], "."))
    child = updated(parent, known, tmp_path / "known").pipeline
    assert child.decide.threshold == old.decide.threshold
    assert child.score.temperature == old.score.temperature
    fresh = updated(parent, name_table(2_000, n_classes=5, seed=11), tmp_path / "fresh").pipeline
    assert fresh.score.temperature != old.score.temperature
