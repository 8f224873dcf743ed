"""Half as wide vectors rank as the whole ones do, are read alike, and lie on the disk once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.models.worlds import clustered

from promise.errors import ArtifactError, DataError
from promise.job import Job
from promise.models.array_files import arrays_within, read_array, read_pages
from promise.models.collaborative import Shortens, load_recommended
from promise.models.factorization import Factorization
from promise.models.graph_filter import GraphFilter
from promise.models.implicit import ImplicitFactors
from promise.models.index import VectorIndex
from promise.models.interactions import Interactions
from promise.models.short_vectors import ShortVectors, products, read_vectors, write_vectors

ROWS = clustered(500, 12)
RNG = np.random.default_rng(5)
LIKES = Interactions.from_pairs(RNG.integers(0, 60, 600), RNG.integers(0, 60, 600), shape=(60, 60))


def test_no_number_is_off_by_more_than_half_a_step_whatever_the_length_of_its_row() -> None:
    rows = ROWS * np.logspace(-12, 9, len(ROWS), dtype=np.float32)[:, None]
    rows[3] = 0.0
    short = ShortVectors.of(rows)
    bound = np.abs(rows).max(axis=1, keepdims=True) / 65_000
    assert (np.abs(short[:] - rows) <= bound + 1e-37).all()
    assert not short[3].any()


def test_rows_and_products_are_read_as_those_of_an_array() -> None:
    short = ShortVectors.of(ROWS)
    whole = short[:]
    assert (len(short), short.shape, short.dtype) == (500, (500, 12), np.float32)
    for rows in (7, slice(3, 9), np.array([4, 1, 4]), np.arange(500) % 3 == 0):
        np.testing.assert_array_equal(short[rows], whole[rows])
    np.testing.assert_allclose(short @ ROWS[0], whole @ ROWS[0], rtol=1e-5)
    np.testing.assert_allclose(products(ROWS[:4], short), ROWS[:4] @ whole.T, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(short.take(np.array([9, 2]))[:], whole[[9, 2]])
    assert ShortVectors.of(np.empty((0, 3), np.float32)).shape == (0, 3)


def test_a_vector_that_is_not_finite_is_named() -> None:
    rows = ROWS.copy()
    rows[41, 2] = np.inf
    with pytest.raises(DataError, match="row 41 is not finite"):
        ShortVectors.of(rows)


@pytest.mark.parametrize("mapped", [False, True])
def test_vectors_are_read_back_as_they_were_written(tmp_path: Path, mapped: bool) -> None:
    for name, vectors in (("wide", ROWS), ("short", ShortVectors.of(ROWS))):
        write_vectors(tmp_path, name, vectors)
        again = read_vectors(tmp_path, name, mapped=mapped)
        assert type(again) is type(vectors)
        np.testing.assert_array_equal(again[:], vectors[:])


@pytest.mark.parametrize(
    "recommender",
    [Factorization(size=8, epochs=5), ImplicitFactors(size=8, sweeps=3), GraphFilter(size=8)],
    ids=lambda one: one.kind,
)
def test_a_shortened_source_answers_as_the_whole_one(recommender: Any, tmp_path: Path) -> None:
    whole = recommender.fit(LIKES, Job(seed=3))
    assert isinstance(whole, Shortens)
    whole.shortened().save(tmp_path)
    short = load_recommended(tmp_path, mapped=True)
    assert isinstance(short.choosers, ShortVectors)
    rows, (codes, weights) = np.arange(60), LIKES.row(2)
    widest = np.abs(whole.scores(rows)).max()
    near = {"rtol": 1e-3, "atol": 2e-4 * widest}
    np.testing.assert_allclose(short.scores(rows), whole.scores(rows), **near)
    for ask in ("fold_in", "fold_in_chosen"):
        mine, theirs = (getattr(one, ask)(codes, weights) for one in (short, whole))
        np.testing.assert_allclose(mine, theirs, rtol=1e-2, atol=1e-3 * np.abs(theirs).max())
    for index in (None, VectorIndex.build(short.chosen)):
        found = short.candidates(codes, weights, 10, index)[1]
        np.testing.assert_allclose(found, whole.candidates(codes, weights, 10)[1], **near)
    alike = short.similar(int(codes[0]), 5)[1]
    np.testing.assert_allclose(alike, whole.similar(int(codes[0]), 5)[1], rtol=1e-2, atol=1e-3)


def test_an_index_over_short_vectors_finds_as_many(tmp_path: Path) -> None:
    rows = clustered(3000, 16)
    short = ShortVectors.of(rows)
    index = VectorIndex.build(short, exact_below=1000, recall=0.95, job=Job(seed=3))
    assert index.recall_against_exact(rows[:50]) >= 0.93
    assert index.lies_over(short)
    index.save(tmp_path, vectors=False)
    assert not (tmp_path / "vectors.npy").exists()
    again = VectorIndex.load(tmp_path, vectors=short, mapped=True)
    for mine, theirs in zip(again.search(rows[:5], 20), index.search(rows[:5], 20), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    with pytest.raises(ArtifactError, match="3,000 vectors that lie elsewhere, and none came"):
        VectorIndex.load(tmp_path)
    turned = VectorIndex.build(short, np.arange(3000)[::-1], exact_below=1000, job=Job(seed=3))
    assert not turned.lies_over(short)
    np.testing.assert_array_equal(turned.take(np.array([0]))[0][0], short[2999])


def test_mapped_pages_are_read_where_memory_holds_them(tmp_path: Path) -> None:
    write_vectors(tmp_path, "some", ShortVectors.of(ROWS))
    short = read_vectors(tmp_path, "some", mapped=True)
    arrays = list(arrays_within(short))
    assert len(arrays) == 2
    size_mb = (tmp_path / "some.npy").stat().st_size / 2**20
    assert read_pages(arrays, 100.0) > size_mb
    assert read_pages(arrays, 0.0) > size_mb  # too large: told, and not read
    assert read_pages([ROWS, read_array(tmp_path, "some")], 100.0) == 0.0  # nothing is mapped
