"""What every collaborative source must do: find a planted block, fold in, save, serve by index."""

from pathlib import Path

import numpy as np
import pytest
from tests.models.worlds import SIDE, two_blocks

from promise.errors import ArtifactError, DataError
from promise.job import Job
from promise.models.collaborative import (
    RECOMMENDERS,
    Recommended,
    Recommender,
    load_recommended,
)
from promise.models.factorization import Factorization
from promise.models.graph_filter import GraphFilter
from promise.models.implicit import ImplicitFactors
from promise.models.index import VectorIndex
from promise.models.interactions import Interactions

SOURCES: dict[str, Recommender] = {
    "factorization": Factorization(size=8, epochs=60),
    "implicit": ImplicitFactors(size=8),
    "graph_filter": GraphFilter(size=12),
}
WORLD = two_blocks()
NEAR = {"factorization": 0.35, "implicit": 1e-4, "graph_filter": 1e-4}
"""How far a folded vector may lie from the trained one, as a share of its length."""


@pytest.fixture(scope="module", params=SOURCES)
def fitted(request: pytest.FixtureRequest) -> Recommended:
    """Return each kind of source, trained on the two blocks."""
    return SOURCES[request.param].fit(WORLD, Job(seed=1))


def test_every_kind_is_installed_under_its_name() -> None:
    for name, source in SOURCES.items():
        assert RECOMMENDERS.resolve(name) is type(source)
        assert source.kind == name


def test_candidates_come_from_the_choosers_own_block(fitted: Recommended) -> None:
    shares = []
    for chooser in range(2 * SIDE):
        codes, scores = fitted.candidates(*WORLD.row(chooser), k=10)
        assert not np.isin(codes, WORLD.row(chooser)[0]).any()
        assert (np.diff(scores) <= 0).all()
        shares.append((codes // SIDE == chooser // SIDE).mean())
    assert np.mean(shares) > 0.95


def test_somebody_new_gets_their_block_from_three_likes(fitted: Recommended) -> None:
    likes = np.array([SIDE + 1, SIDE + 7, SIDE + 20])
    codes, _ = fitted.candidates(likes, np.ones(3, np.float32), k=10)
    assert (codes >= SIDE).mean() >= 0.9


def test_nobody_is_found_twice_and_never_more_than_there_are(fitted: Recommended) -> None:
    codes, scores = fitted.candidates(*WORLD.row(0), k=10_000)
    assert sorted(codes) == sorted(set(range(2 * SIDE)) - set(WORLD.row(0)[0].tolist()))
    assert np.isfinite(scores).all()


def test_an_empty_history_has_a_vector_of_zeros(fitted: Recommended) -> None:
    nothing = np.empty(0, np.int64), np.empty(0, np.float32)
    assert not fitted.fold_in(*nothing).any()
    assert not fitted.fold_in_chosen(*nothing).any()
    assert len(fitted.candidates(*nothing, k=5)[0]) == 5


def test_a_known_history_folds_in_near_the_trained_vector(fitted: Recommended) -> None:
    near = NEAR[fitted.kind]
    for code in (0, 5, 77):
        folded = fitted.fold_in(*WORLD.row(code))
        own = fitted.choosers[code]
        assert np.linalg.norm(folded - own) <= near * np.linalg.norm(own)


def test_somebody_chosen_folds_in_where_their_block_lies(fitted: Recommended) -> None:
    back = WORLD.transposed()
    folded = fitted.fold_in_chosen(*back.row(3))
    scores = fitted.choosers @ folded
    assert scores[:SIDE].mean() > scores[SIDE:].mean() + 0.5 * scores.std()
    own = fitted.chosen[3]
    assert folded @ own > 0.9 * np.linalg.norm(folded) * np.linalg.norm(own)


def test_scores_of_many_are_those_of_one(fitted: Recommended) -> None:
    rows = np.array([3, 50, 3])
    many = fitted.scores(rows)
    assert many.shape == (3, 2 * SIDE)
    assert many.dtype == np.float32
    for place, row in enumerate(rows):
        one = fitted.scores(np.array([row]))[0]
        np.testing.assert_allclose(many[place], one, rtol=1e-5, atol=1e-6)


def test_similar_are_of_the_same_block_and_not_oneself(fitted: Recommended) -> None:
    codes, scores = fitted.similar(5, 8)
    assert 5 not in codes
    assert (codes < SIDE).mean() > 0.8
    assert (np.diff(scores) <= 0).all()


@pytest.mark.parametrize("mapped", [False, True])
def test_saved_is_loaded(fitted: Recommended, tmp_path: Path, mapped: bool) -> None:
    fitted.save(tmp_path)
    assert {path.suffix for path in tmp_path.rglob("*.*")} <= {".npy", ".json", ".txt"}
    again = load_recommended(tmp_path, mapped=mapped)
    assert type(again) is type(fitted)
    history = WORLD.row(9)
    for mine, theirs in zip(
        fitted.candidates(*history, k=20), again.candidates(*history, k=20), strict=True
    ):
        np.testing.assert_array_equal(mine, theirs)
    np.testing.assert_array_equal(fitted.fold_in_chosen(*history), again.fold_in_chosen(*history))
    np.testing.assert_array_equal(fitted.scores(np.arange(4)), again.scores(np.arange(4)))
    assert again.choosers.flags.writeable is not mapped


def test_a_folder_of_something_else_is_refused(fitted: Recommended, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"no kind\.txt"):
        load_recommended(tmp_path)


def test_the_same_seed_gives_the_same_bits(fitted: Recommended) -> None:
    again = SOURCES[fitted.kind].fit(WORLD, Job(seed=1))
    np.testing.assert_array_equal(again.choosers, fitted.choosers)
    np.testing.assert_array_equal(again.chosen, fitted.chosen)


def test_an_index_finds_what_looking_at_all_finds(fitted: Recommended) -> None:
    index = VectorIndex.build(fitted.chosen)
    history = WORLD.row(11)
    expected = fitted.candidates(*history, k=15)
    found = fitted.candidates(*history, k=15, index=index)
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-4, atol=1e-6)


def test_who_leaves_the_index_is_no_candidate_and_who_comes_is(fitted: Recommended) -> None:
    index, history = VectorIndex.build(fitted.chosen), WORLD.row(11)
    first = int(fitted.candidates(*history, k=1)[0][0])
    newcomer = 2 * SIDE + 5
    liked_by = np.arange(SIDE // 2)
    vector = 3 * fitted.fold_in_chosen(liked_by, np.ones(len(liked_by), np.float32))
    index.remove(np.array([first]))
    index.put(np.array([newcomer]), vector[None])
    codes, _ = fitted.candidates(*history, k=15, index=index)
    assert first not in codes
    assert newcomer in codes


def test_nothing_to_learn_from_is_said(fitted: Recommended) -> None:
    empty = Interactions.from_pairs(np.empty(0, int), np.empty(0, int), shape=(3, 3))
    with pytest.raises(DataError, match="no pair to learn from"):
        SOURCES[fitted.kind].fit(empty, Job())


def test_chosen_by_nobody_and_choosing_nobody_are_fine(fitted: Recommended) -> None:
    likes = Interactions.from_pairs(np.array([0, 0, 1]), np.array([0, 1, 1]), shape=(4, 5))
    small = SOURCES[fitted.kind].fit(likes, Job(seed=1))
    assert np.isfinite(small.choosers).all()
    assert np.isfinite(small.chosen).all()
    assert np.isfinite(small.scores(np.arange(4))).all()
    assert len(small.similar(4, 2)[0]) <= 2


def test_memory_grows_with_people_and_likes() -> None:
    for source in SOURCES.values():
        small, large = source.memory_mb(1000, 1000, 10_000), source.memory_mb(10**6, 10**6, 10**7)
        assert 0 < small < 50
        assert large > 100 * small
