"""The hashed linear model learns as its formula says, keeps its digits, and grows."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from promise.data.columns import Columns
from promise.data.synthetic import name_table
from promise.errors import ArtifactError, DataError
from promise.features.names import NAME, normalise_many, pinned_suffixes
from promise.job import Job
from promise.kernels.hashed import BIAS_STEP, leading, likeliest_above
from promise.kernels.ngrams import ROOM, terms_and_shape
from promise.models import hashed
from promise.models.hashed import (
    BITS,
    CUTS,
    RULED,
    SHARP,
    SURE,
    Batch,
    HashedLinear,
    Kept,
    Terms,
    counted,
    name_bytes,
)
from promise.models.hashed_growth import (
    MOST_STRESS,
    empty_model,
    frequent,
    grown,
    stress_of,
)

SUFFIXES = pinned_suffixes()


def batch_of(texts: list[str], codes: list[int]) -> Batch:
    names = normalise_many(texts, SUFFIXES)
    return Batch(names.data, names.offsets, names.cuts, np.array(codes, np.int64))


def generated(n: int, n_classes: int = 3) -> Batch:
    rows = name_table(n, n_classes=n_classes)
    codes = [int(label[-2:]) for label in rows["category"].to_pylist()]
    return batch_of(rows["domain"].to_pylist(), codes)


def fitted(batch: Batch, n_classes: int = 3, **how: float) -> HashedLinear:
    n = len(batch.codes)
    model = empty_model(counted([batch]), n, n_classes, background=False)
    return model.learned([[batch]], n, Terms(1, how.get("step", 0.5)), Job(seed=1))


def slow_terms(batch: Batch, row: int, model: HashedLinear) -> list[int]:
    found = np.empty(ROOM, np.int64)
    first, last = batch.offsets[row], batch.offsets[row + 1]
    cut = batch.cuts[row, 1]
    n = terms_and_shape(batch.data, first, last, cut, BITS, model.shaped, found)
    places = {bucket: place for place, bucket in enumerate(model.buckets.tolist())}
    return [places[bucket] for bucket in found[:n].tolist() if bucket in places]


def slow_margins(model: HashedLinear, places: list[int]) -> tuple[np.ndarray, float]:
    worth = model.worth[places].astype(np.float64)
    scale = 1.0 / np.sqrt((worth**2).sum() + 1e-9)
    return scale * worth @ model.weights[places] + model.bias, scale


def softmax(margins: np.ndarray) -> np.ndarray:
    raised = np.exp(margins - margins.max())
    return raised / raised.sum()


def slow_learning(model: HashedLinear, batch: Batch, step: float, seed: int) -> HashedLinear:
    """Take the same steps by the formula: the readable twin of `learn`."""
    model = replace(model, weights=model.weights.astype(float), bias=model.bias.astype(float))
    n, k = len(batch.codes), len(model.bias)
    for i, row in enumerate(np.random.default_rng([seed, 0]).permutation(n)):
        places = slow_terms(batch, row, model)
        margins, scale = slow_margins(model, places)
        side = np.where(np.arange(k) == batch.codes[row], 1.0, -1.0)
        error = -side * np.maximum(1.0 - side * margins, 0.0)
        if model.stress is not None:
            error[batch.codes[row]] *= model.stress[batch.codes[row]]
        length = step * (1.0 - i / n)
        model.bias[:] -= length * BIAS_STEP * error
        for place in places:
            model.weights[place] -= length * scale * model.worth[place] * error
    return model


def test_learning_takes_the_steps_of_the_formula() -> None:
    batch = generated(60)
    empty = empty_model(counted([batch]), 60, 3, background=False)
    fast = fitted(batch)
    slow = slow_learning(empty, batch, 0.5, seed=1)
    np.testing.assert_allclose(fast.weights, slow.weights, atol=2e-5)
    np.testing.assert_allclose(fast.bias, slow.bias, atol=2e-6)
    shares = fast.of(batch)
    told = [softmax(slow_margins(slow, slow_terms(batch, i, slow))[0] / SHARP) for i in range(60)]
    np.testing.assert_allclose(shares, told, atol=1e-5)
    assert (shares.argmax(axis=1) == batch.codes).mean() > 0.9


def test_names_of_rare_classes_take_longer_steps_towards_their_class() -> None:
    batch = generated(60)
    sizes = np.array([900, 90, 9])
    empty = empty_model(counted([batch]), 60, 3, background=False, sizes=sizes)
    assert empty.stress is not None
    np.testing.assert_allclose(empty.stress, (901 / (sizes + 1)) ** 0.15, rtol=1e-6)
    fast = empty.learned([[batch]], 60, Terms(1, 0.5), Job(seed=1))
    slow = slow_learning(empty, batch, 0.5, seed=1)
    np.testing.assert_allclose(fast.weights, slow.weights, atol=2e-5)
    assert np.abs(fast.weights - fitted(batch).weights).max() > 0.01


def test_no_class_takes_steps_that_throw_it_about() -> None:
    found = stress_of(np.array([10_000_000, 0]), 3)
    assert found.tolist() == [1.0, MOST_STRESS, 1.0]


def test_learning_again_gives_the_same_bits() -> None:
    batch = generated(300)
    np.testing.assert_array_equal(fitted(batch).weights, fitted(batch).weights)


def columns_of(texts: list[str]) -> Columns:
    names = normalise_many(texts, SUFFIXES)
    return Columns({NAME: np.array(names.texts(), dtype=object), CUTS: names.cuts})


def test_rows_do_not_depend_on_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    model = fitted(generated(300))
    texts = name_table(50, n_classes=3, seed=9)["domain"].to_pylist()
    whole = model.many(columns_of(texts))
    alone = np.concatenate([model.many(columns_of([text])) for text in texts])
    np.testing.assert_array_equal(whole, alone)
    monkeypatch.setattr(hashed, "SHARED", 10)  # by several threads
    np.testing.assert_array_equal(model.many(columns_of(texts)), whole)
    np.testing.assert_allclose(whole.sum(axis=1), 1.0)


def test_what_is_no_name_belongs_to_no_class_and_rules_come_first() -> None:
    model = fitted(generated(300))
    columns = columns_of(["192.0.2.1", "example.com", "other.example"])
    assert model.many(columns)[0].tolist() == [0.0, 0.0, 0.0]
    ruled = columns.with_columns(
        {RULED: np.array([-1, 2, -1], np.int32), SURE: np.array([0.0, 0.9, 0.0])}
    )
    np.testing.assert_allclose(model.many(ruled)[1], [0.05, 0.05, 0.9])
    np.testing.assert_array_equal(model.many(ruled)[2], model.many(columns)[2])


def test_saved_and_loaded_it_has_the_same_digits(tmp_path: Path) -> None:
    batch = generated(200)
    kept = Kept(batch, np.zeros(200, np.int8))
    stress = np.array([1.0, 2.0, 3.0], np.float32)
    model = replace(fitted(batch), temperature=0.8, kept=kept, stress=stress)
    model.save(tmp_path)
    again = HashedLinear.load(tmp_path)
    np.testing.assert_array_equal(again.of(batch), model.of(batch))
    assert again.kept is not None
    np.testing.assert_array_equal(again.kept.batch.data, batch.data)
    assert again.stress is not None
    np.testing.assert_array_equal(again.stress, stress)
    assert grown(again, counted([batch]), 1, added=1).stress.tolist() == [1.0, 2.0, 3.0, 1.0]  # type: ignore[union-attr]
    assert {path.suffix for path in tmp_path.iterdir()} == {".npy", ".json"}


def test_weights_of_other_buckets_are_refused(tmp_path: Path) -> None:
    fitted(generated(50)).save(tmp_path)
    path = tmp_path / "hashed.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"bits": 20}))
    with pytest.raises(ArtifactError, match="train the version again"):
        HashedLinear.load(tmp_path)


def test_rare_classes_are_raised_where_names_are_answered_not_where_they_are_learned(
    tmp_path: Path,
) -> None:
    batch = generated(200)
    plain = fitted(batch)
    lift = np.array([0.0, 0.5, 0.0], np.float32)
    raised = replace(plain, lift=lift)
    odds = np.log(raised.of(batch)) - np.log(plain.of(batch))
    np.testing.assert_allclose(odds[:, 1] - odds[:, 0], 0.5 / SHARP, atol=1e-5)
    again = [model.learned([[batch]], 200, Terms(1, 0.1), Job(seed=2)) for model in (plain, raised)]
    np.testing.assert_array_equal(again[0].weights, again[1].weights)
    raised.save(tmp_path)
    np.testing.assert_array_equal(HashedLinear.load(tmp_path).of(batch), raised.of(batch))


def test_versions_from_before_names_had_a_shape_answer_as_they_did(tmp_path: Path) -> None:
    batch = generated(200)
    before = replace(fitted(batch), shaped=False)
    before.save(tmp_path)
    path = tmp_path / "hashed.json"
    told = json.loads(path.read_text())
    del told["shaped"]  # as kind 1 wrote it
    path.write_text(json.dumps(told))
    np.testing.assert_array_equal(HashedLinear.load(tmp_path).of(batch), before.of(batch))
    assert not np.array_equal(before.of(batch), fitted(batch).of(batch))


def test_growing_forgets_nothing() -> None:
    batch = generated(200)
    model = fitted(batch)
    more = batch_of(["brandnewthing.io", "anothernewone.io"], [3, 3])
    bigger = grown(model, counted([more]), 2, added=1)
    before, after = model.of(batch), bigger.of(batch)
    assert bigger.n_classes == 4
    assert after.shape == (200, 4)
    # what was known keeps its order; new terms of known names have no weight yet
    np.testing.assert_array_equal(before.argmax(axis=1), after[:, :3].argmax(axis=1))
    learned = bigger.learned([[more]] * 10, 20, Terms(10, 0.5), Job(seed=1))
    assert learned.of(more).argmax(axis=1).tolist() == [3, 3]


def test_names_of_no_class_keep_their_column_when_classes_come() -> None:
    batch = generated(100, n_classes=2)
    model = empty_model(counted([batch]), 100, 2, background=True)
    model = replace(model, bias=np.array([1.0, 2.0, 3.0], np.float32))
    bigger = grown(model, np.zeros(1 << BITS, np.int64), 1, added=2)
    assert bigger.bias.tolist() == [1.0, 2.0, 1.0, 1.0, 3.0]
    lifted = grown(
        replace(model, lift=np.array([0.0, 0.5, 0.2], np.float32)),
        np.zeros(1 << BITS, np.int64), 1, added=2,
    )  # fmt: skip
    assert lifted.lift is not None
    np.testing.assert_allclose(lifted.lift, [0.0, 0.5, 0.5, 0.5, 0.2], atol=1e-7)
    assert bigger.n_classes == 4


def test_the_most_frequent_buckets_carry_weights() -> None:
    counts = np.array([0, 5, 1, 5, 9])
    assert frequent(counts, 10).tolist() == [1, 2, 3, 4]
    assert frequent(counts, 2).tolist() == [1, 4]


def test_a_missing_name_is_refused() -> None:
    with pytest.raises(DataError, match="a normalised name is missing"):
        name_bytes(np.array(["a.com", None], dtype=object))


def test_the_leading_classes_are_those_of_a_stable_sort() -> None:
    rng = np.random.default_rng(3)
    shares = rng.integers(0, 4, size=(200, 7)) / 4.0
    expected = np.argsort(-shares, axis=1, kind="stable")[:, :4]
    np.testing.assert_array_equal(leading(shares, 4), expected)
    two = shares[:, :2].copy()
    np.testing.assert_array_equal(leading(two, 2), np.argsort(-two, axis=1, kind="stable"))


def test_groups_of_classes_are_as_likely_as_their_members() -> None:
    shares = np.array([[0.3, 0.3, 0.4], [0.1, 0.1, 0.1]])
    best, sure = likeliest_above(shares, np.array([0, 0, -1], np.int32), 2)
    assert best.tolist() == [0, 0]
    np.testing.assert_allclose(sure, [0.6, 0.2])
