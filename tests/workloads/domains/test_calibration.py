"""Probabilities fit a stream that holds the stated share of unknown names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.workloads.domains.conftest import train
from tests.workloads.domains.test_fitting import batch_of

from promise.data.columns import Columns, FloatArray
from promise.data.synthetic import name_table
from promise.errors import ConfigError
from promise.features.names import normalise_many, pinned_suffixes
from promise.kernels.dense import sigmoid
from promise.models.hashed import Batch, HashedLinear, Kept, counted
from promise.models.hashed_growth import empty_model
from promise.pipeline.artifact import load_pipeline, save_pipeline
from promise.pipeline.order import Outcome
from promise.workloads.domains import update
from promise.workloads.domains.calibration import calibrated, fit_offset, given_known
from promise.workloads.domains.evaluate import more_metrics
from promise.workloads.domains.split import CLASSLESS, OF_NO_CLASS, STRANGE
from promise.workloads.domains.stream import Stream, calibration_told

SHARES = (0.05, 0.5, 0.8)


def model_of_two() -> HashedLinear:
    """Return a model of two classes and none whose weights are drawn by chance."""
    model = empty_model(counted([batch_of([0] * 400)]), 400, 2, background=True)
    rng = np.random.default_rng(3)
    weights = rng.normal(0.0, 0.3, model.weights.shape).astype(np.float32)
    return replace(model, weights=weights, temperature=1.0)


def held() -> tuple[Batch, Batch]:
    """Return names of classes, and names of none."""
    names = batch_of([0, 1] * 200)
    strange = normalise_many([f"other{i}.net" for i in range(300)], pinned_suffixes())
    codes = np.full(300, 2, np.int64)
    return names, Batch(strange.data, strange.offsets, strange.cuts, codes)


def none_of(model: HashedLinear, batch: Batch) -> FloatArray:
    return 1.0 - model.of(batch)[:, : model.n_classes].sum(axis=1)


@pytest.mark.parametrize("share", SHARES)
def test_as_many_names_are_said_to_be_unknown_as_the_stream_holds(share: float) -> None:
    known, none = held()
    model = calibrated(model_of_two(), known, none, share)
    told = (1 - share) * none_of(model, known).mean() + share * none_of(model, none).mean()
    assert told == pytest.approx(share, abs=1e-4)
    assert model.unknown_share == share


def test_which_class_it_is_does_not_depend_on_how_many_are_unknown() -> None:
    known, none = held()
    alone = calibrated(model_of_two(), known, None, 0.5)
    for share in SHARES:
        model = calibrated(model_of_two(), known, none, share)
        assert model.temperature == alone.temperature
        given = given_known(model.of(known)[:, :2])
        np.testing.assert_allclose(given, given_known(alone.of(known)[:, :2]), atol=1e-6)
    assert (alone.lift, alone.unknown_share) == (None, None)


def test_calibrating_again_changes_nothing() -> None:
    known, none = held()
    once = calibrated(model_of_two(), known, none, 0.8)
    again = calibrated(once, known, none, 0.8)
    np.testing.assert_allclose(again.of(none), once.of(none), atol=1e-5)


@given(
    st.lists(st.floats(-300, 300), min_size=1, max_size=20),
    st.lists(st.floats(-300, 300), min_size=1, max_size=20),
    st.floats(0.01, 0.99),
)
def test_the_offset_is_found_whatever_the_odds(
    known: list[float], unknown: list[float], share: float
) -> None:
    a, b = np.array(known), np.array(unknown)
    offset = fit_offset(a, b, share)
    told = (1 - share) * sigmoid(a + offset).mean() + share * sigmoid(b + offset).mean()
    assert told == pytest.approx(share, abs=1e-6)


def test_the_error_in_a_stream_weighs_both_kinds_by_their_share() -> None:
    codes, output = np.array([0, 0]), np.array([[0.5, 0.0], [0.5, 0.0]])
    gaps = np.zeros(15)
    gaps[7] = 0.5  # unknown names are answered with a confidence of one half as well
    for share, error in ((0.5, 0.0), (0.75, 0.25)):
        told = calibration_told(codes, output, Stream(share, gaps))
        assert told["ece_in_stream"] == pytest.approx(error)
        assert told["ece_given_class"] == 0.0
    assert calibration_told(codes, output, None) == {}


def test_the_share_is_kept_in_a_version(tmp_path: Path) -> None:
    model = calibrated(model_of_two(), *held(), 0.3)
    model.save(tmp_path)
    loaded = HashedLinear.load(tmp_path)
    assert loaded.unknown_share == 0.3
    np.testing.assert_array_equal(loaded.of(held()[0]), model.of(held()[0]))


@pytest.fixture(scope="module")
def unknown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a list of names like those of `name_table`, without its telling stems."""
    rng = np.random.default_rng(5)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    path = tmp_path_factory.mktemp("list") / "background.txt"
    path.write_text("\n".join("".join(rng.choice(letters, 9)) + ".com" for _ in range(1_500)))
    return path


@pytest.fixture(scope="module")
def told_apart(rows: pa.Table, unknown: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """Return what training beside that list gave."""
    work = tmp_path_factory.mktemp("told-apart")
    return train(rows, work, options={"background": str(unknown), "unknown_share": "0.6"})


@pytest.mark.slow
def test_a_training_says_how_well_probabilities_fit_its_stream(told_apart: Outcome) -> None:
    assert told_apart.details["unknown"]["share"] == 0.6
    for one in told_apart.details["splits"].values():
        assert one["ece_in_stream"] < 0.1
        assert one["ece_given_class"] < 0.15
    assert "of which 60% are unknown names" in told_apart.contents.card


@pytest.mark.slow
def test_names_of_no_class_that_were_not_learned_from_are_kept(told_apart: Outcome) -> None:
    kept = told_apart.pipeline.score.kept
    assert isinstance(kept, Kept)
    sizes = [int((kept.sides == side).sum()) for side in (OF_NO_CLASS, STRANGE)]
    assert sum(sizes) == 1_500
    assert 200 < sizes[1] < 400
    assert (kept.batch.codes[np.isin(kept.sides, CLASSLESS)] == -1).all()


@pytest.mark.slow
def test_an_evaluation_tells_the_same_errors(told_apart: Outcome, rows: pa.Table) -> None:
    pipeline = told_apart.pipeline
    asked = Columns({"domain": np.array(rows["domain"].to_pylist(), dtype=object)})
    codes = np.array([pipeline.task.answer.classes.index(c) for c in rows["category"].to_pylist()])
    told = more_metrics(pipeline, codes, pipeline.output(asked), asked)
    assert {"ece_given_class", "ece_in_stream"} <= set(told)


@pytest.mark.slow
def test_an_update_keeps_the_share_of_its_parent(
    told_apart: Outcome, rows: pa.Table, unknown: Path, tmp_path: Path
) -> None:
    parent = tmp_path / "parent"
    parent.mkdir()
    save_pipeline(told_apart.pipeline, parent, told_apart.contents)
    claimed = unknown.read_text().split()[:60]
    fresh = pa.table({"domain": claimed, "category": ["claimed"] * 60})
    child = train(pa.concat_tables([rows.slice(0, 500), fresh]), tmp_path / "work", start=parent)
    assert child.details["unknown"]["share"] == 0.6
    score = child.pipeline.score
    assert isinstance(score, HashedLinear)
    assert score.unknown_share == 0.6
    assert score.kept is not None
    none = np.isin(score.kept.sides, CLASSLESS)
    assert none.sum() == 1_500 - 60  # those that have a class now are unknown no more
    assert load_pipeline(parent).score.unknown_share == 0.6


@pytest.mark.slow
def test_an_update_calibrates_against_the_unknown_names_that_its_parent_kept(
    told_apart: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(update, "ENOUGH_HELD", 50)
    parent = tmp_path / "parent"
    parent.mkdir()
    save_pipeline(told_apart.pipeline, parent, told_apart.contents)
    fresh = name_table(2_000, n_classes=5, seed=11)
    child = train(fresh, tmp_path / "work", start=parent)
    before, after = told_apart.pipeline.score, child.pipeline.score
    assert isinstance(before, HashedLinear)
    assert isinstance(after, HashedLinear)
    assert (before.unknown_share, after.unknown_share) == (0.6, 0.6)
    assert after.temperature != before.temperature
    for one in child.details["splits"].values():
        assert one["ece_in_stream"] < 0.1


@pytest.mark.slow
def test_a_share_without_unknown_names_is_refused(rows: pa.Table, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nothing tells unknown names apart"):
        train(rows, tmp_path, options={"unknown_share": "0.5"})


@pytest.mark.parametrize("share", ["0", "1", "nan", "half"])
def test_a_share_that_no_stream_can_have_is_refused(
    rows: pa.Table, unknown: Path, tmp_path: Path, share: str
) -> None:
    with pytest.raises(ConfigError, match="expected a share"):
        train(rows, tmp_path, options={"background": str(unknown), "unknown_share": share})


@pytest.mark.slow
def test_a_list_of_one_brand_is_refused(rows: pa.Table, tmp_path: Path) -> None:
    path = tmp_path / "one.txt"
    path.write_text("\n".join(f"host{i}.lonely.example.org" for i in range(200)))
    with pytest.raises(ConfigError, match="names are of 1 brands"):
        train(rows, tmp_path / "work", options={"background": str(path)})
