"""Names as words: known sums, components that match an independent PCA, no feeling neighbours."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.decomposition import PCA

from promise.data.columns import Columns
from promise.features.name_shape import SHAPE, shape, shapes, telling
from promise.features.words import (
    VIEW,
    AveragedWords,
    PooledWords,
    Sentences,
    pooled_vectors,
    principal_axes,
    rare_buckets,
)
from promise.models.blend import matrix_column
from promise.models.hashed import NAME
from promise.models.words import SubwordVectors, WordVectors

NAMES = ["api.red-blue.com", "blue.com", "", "unseen9.net", "red.red.com", "xn--bcher-kva.de"]
KNOWN = WordVectors(
    ("com", "red", "blue"),
    np.array([[1, 0], [0, 2], [4, 4]], np.float32),
    np.array([9, 3, 1], np.int64),
)


def subwords() -> SubwordVectors:
    """Return vectors of three words and 64 buckets of n-grams."""
    table = np.random.default_rng(1).normal(size=(64, 2)).astype(np.float32)
    return SubwordVectors(KNOWN, table, 3, 6)


def pooled(names: list[str] = NAMES) -> PooledWords:
    """Return features reduced to three numbers and two of the shape."""
    mean, axes = principal_axes(names, subwords(), 16, 3)
    return PooledWords(subwords(), mean, axes, kept=(0, 3))


def request(names: list[str]) -> Columns:
    """Return normalised names as they arrive."""
    return Columns({NAME: np.array(names, dtype=object)})


def test_the_mean_is_of_the_known_words() -> None:
    found = AveragedWords(KNOWN).matrix(NAMES)
    assert found.shape == (6, 2 + len(SHAPE))
    expected = [[5 / 3, 2], [2.5, 2], [0, 0], [0, 0], [1 / 3, 4 / 3], [0, 0]]
    np.testing.assert_allclose(found[:, :2], expected, rtol=1e-6)


def test_frequent_words_weigh_less() -> None:
    found = pooled_vectors(Sentences.of(["blue.com"]), subwords())
    blue, com = 1 / 2, 1 / 10
    expected = (blue * np.array([4, 4]) + com * np.array([1, 0])) / (blue + com)
    np.testing.assert_allclose(found[0], expected)


def test_words_without_a_vector_fall_into_buckets() -> None:
    cut = Sentences.of(["blue.unseen.com"])
    buckets, rare = rare_buckets(cut, subwords(), 16)
    assert rare.tolist() == [0.0, 1.0, 0.0]
    assert ((buckets >= 0) & (buckets < 16)).all()


def test_the_components_are_those_of_a_full_pca() -> None:
    rng = np.random.default_rng(5)
    letters = list("abcdefgh")
    names = ["".join(rng.choice(letters, 4)) + ".blue.com" for _ in range(200)] + NAMES * 5
    stage = pooled(names)
    cut = Sentences.of(names)
    buckets, rare = rare_buckets(cut, subwords(), 16)
    bags = np.zeros((len(names), 16))
    for row, words in enumerate(cut):
        for word in words:
            code = cut.words.index(word)
            bags[row, buckets[code]] += rare[code]
    wide = np.hstack([pooled_vectors(cut, subwords()), bags])
    expected = PCA(3, svd_solver="full").fit_transform(wide)
    found = stage.matrix(names)[:, :3]
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-5)


@pytest.mark.parametrize("stage", [AveragedWords(KNOWN), pooled()])
def test_batch_equals_single_and_loaded_equals_saved(
    stage: AveragedWords | PooledWords, tmp_path: Path
) -> None:
    whole = stage.many(request(NAMES), {}, None)[matrix_column(VIEW)]
    assert whole.dtype == np.float32
    stage.save(tmp_path)
    again = type(stage).load(tmp_path)
    for row, name in enumerate(NAMES):
        alone = again.many(request([name]), {}, None)[matrix_column(VIEW)]
        np.testing.assert_array_equal(alone[0], whole[row])
    assert stage.many(request([]), {}, None)[matrix_column(VIEW)].shape == (0, whole.shape[1])


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    stage, names = pooled(), NAMES * 3
    whole = stage.many(request(names), {}, None)[matrix_column(VIEW)]
    mean, axes = stage.mean, stage.axes
    monkeypatch.setattr("promise.features.words._BLOCK", 4)
    blocks = stage.many(request(names), {}, None)[matrix_column(VIEW)]
    np.testing.assert_array_equal(whole, blocks)
    for one, other in zip((mean, axes), principal_axes(NAMES, subwords(), 16, 3), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-9)


def test_the_shape_of_a_name() -> None:
    told = dict(zip(SHAPE, shape("aab-11.co.uk"), strict=True))
    assert told["length"] == 12
    assert told["labels"] == 3
    assert told["longest_label"] == 6
    assert told["digit_share"] == pytest.approx(2 / 12)
    assert told["hyphens"] == 1
    assert told["vowel_share"] == pytest.approx(4 / 12)
    assert shape("aaaa")[-1] == 0.0
    assert shape("abcd")[-1] == pytest.approx(2.0)
    assert shapes([]).shape == (0, 7)


def test_telling_numbers_come_first() -> None:
    rng = np.random.default_rng(2)
    codes = rng.integers(3, size=300)
    values = rng.normal(size=(300, 4)).astype(np.float32)
    values[:, 2] += codes
    values[:, 1] += 0.3 * codes
    assert telling(values, codes, 3, keep=2) == (1, 2)
