"""The graph filter is the paper's formula, though none of its matrices is ever made."""

import numpy as np
import pytest
from tests.models.worlds import SIDE, two_blocks

from promise.job import Job
from promise.models.graph_filter import FittedGraphFilter, GraphFilter
from promise.models.interactions import Interactions

WORLD = two_blocks()


def by_formula(source: GraphFilter, likes: Interactions) -> tuple[np.ndarray, np.ndarray]:
    """Return the linear and the ideal filter's scores of everyone, with dense matrices."""
    own = np.maximum(likes.matrix().toarray().astype(np.float64), 0)
    r = (own > 0).astype(np.float64)
    c = np.maximum(r.sum(axis=1), 1) ** -source.chooser_power
    d = np.maximum(r.sum(axis=0), 1) ** -source.chosen_power
    normal = np.sqrt(c)[:, None] * r * d
    linear = own * d @ r.T @ (c[:, None] * r * d)
    right = np.linalg.svd(normal)[2][: source.size].T
    return linear, source.alpha * (own * d @ right @ right.T / d)


@pytest.mark.parametrize(
    "source", [GraphFilter(size=3), GraphFilter(4, 0.7, chooser_power=0.6, chosen_power=0.3)]
)
def test_scores_are_the_papers(source: GraphFilter) -> None:
    weights = np.where(np.arange(WORLD.nnz) % 3, 1, 2).astype(np.float32)
    likes = Interactions.from_pairs(WORLD.rows(), WORLD.others, weights, shape=(80, 80))
    fitted = GraphFilter(**{**vars(source), "passes": 30}).fit(likes, Job(seed=1))
    linear, ideal = by_formula(source, likes)
    found = fitted.scores(np.arange(80))
    np.testing.assert_allclose(found, linear + ideal, rtol=1e-2, atol=2e-3)
    np.testing.assert_allclose(fitted.choosers @ fitted.chosen.T, ideal, rtol=1e-2, atol=2e-3)


@pytest.fixture(scope="module")
def fitted() -> FittedGraphFilter:
    """Return a filter of the two blocks."""
    return GraphFilter(size=12).fit(WORLD, Job(seed=1))


def test_candidates_are_the_best_scores(fitted: FittedGraphFilter) -> None:
    for chooser in (0, 41, 79):
        scores = fitted.scores(np.array([chooser]))[0]
        codes, found = fitted.candidates(*WORLD.row(chooser), k=12)
        np.testing.assert_allclose(found, scores[codes], rtol=1e-5, atol=1e-6)
        scores[WORLD.row(chooser)[0]] = -np.inf
        assert set(codes) == set(np.argsort(-scores)[:12])


def test_a_walk_leaves_nothing_behind(fitted: FittedGraphFilter) -> None:
    before = fitted.candidates(*WORLD.row(0), k=10)
    fitted.candidates(*WORLD.row(60), k=10)
    again = fitted.candidates(*WORLD.row(0), k=10)
    np.testing.assert_array_equal(before[0], again[0])
    np.testing.assert_array_equal(before[1], again[1])


def test_threads_share_the_work(fitted: FittedGraphFilter) -> None:
    rows = np.arange(7)
    np.testing.assert_allclose(
        fitted.scores(rows, threads=3), fitted.scores(rows), rtol=1e-6, atol=1e-7
    )


def test_walking_only_part_of_the_popular_stays_in_the_block() -> None:
    few = GraphFilter(size=12, most_walks=3).fit(WORLD, Job(seed=1))
    codes, _ = few.candidates(*WORLD.row(50), k=10)
    assert (codes >= SIDE).all()


def test_a_no_is_not_walked_over(fitted: FittedGraphFilter) -> None:
    history, sizes = np.array([1, 2, SIDE + 1]), np.array([1, 1, -5], np.float32)
    codes, _ = fitted.candidates(history, sizes, k=10)
    assert (codes < SIDE).all()
