"""Nearest rows: exact while few, measured above, and right after any coming and going."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.models.worlds import clustered

from promise.errors import ArtifactError, DataError
from promise.job import Job
from promise.models.index import VectorIndex

SIZE = 6
ROWS = clustered(60, SIZE)
CHANGES = st.lists(
    st.tuples(st.sampled_from(["put", "remove"]), st.integers(0, 40), st.integers(0, 59)),
    max_size=40,
)


def expected(rows: dict[int, np.ndarray], query: np.ndarray, k: int) -> list[int]:
    """Return the best ids of what is there, each looked at."""
    scores = {code: np.float32(vector @ query) for code, vector in rows.items()}
    return sorted(scores, key=lambda code: (-scores[code], code))[:k]


@pytest.fixture(scope="module")
def large() -> VectorIndex:
    """Return an index that opens some lists only."""
    return VectorIndex.build(clustered(3000, 16), exact_below=1000, recall=0.95, job=Job(seed=3))


def copied(index: VectorIndex, folder: Path) -> VectorIndex:
    """Return an index of its own, by the disk."""
    index.save(folder)
    return VectorIndex.load(folder)


@given(CHANGES)
@settings(max_examples=60, deadline=None)
def test_any_coming_and_going_leaves_what_is_there(changes: list[tuple[str, int, int]]) -> None:
    ids = np.arange(0, 40, 2)
    index = VectorIndex.build(ROWS[:20], ids)
    there = dict(zip(ids.tolist(), ROWS[:20], strict=True))
    for what, code, row in changes:
        if what == "put":
            index.put(np.array([code]), ROWS[row : row + 1])
            there[code] = ROWS[row]
        else:
            index.remove(np.array([code]))
            there.pop(code, None)
    for some in (index, index.merged()):
        assert len(some) == len(there)
        codes, vectors = some.everything()
        assert codes.tolist() == sorted(there)
        np.testing.assert_array_equal(vectors, [there[c] for c in codes] or np.empty((0, SIZE)))
        found, scores = some.search(ROWS[50:52], 10)
        for number in range(2):
            kept = found[number][found[number] >= 0].tolist()
            right = expected(there, ROWS[50 + number], 10)
            np.testing.assert_allclose(
                scores[number][: len(kept)],
                [there[code] @ ROWS[50 + number] for code in right],
                rtol=1e-5, atol=1e-6,
            )  # fmt: skip
            assert len(set(kept)) == len(kept) == len(right)
        taken, present = some.take(np.arange(41))
        assert np.flatnonzero(present).tolist() == sorted(there)
        np.testing.assert_array_equal(taken[present], vectors)
        assert some.recall_against_exact(ROWS[50:55], 10) == 1.0


def test_ids_are_as_given_in_any_order() -> None:
    ids = np.array([70, 3, 10**12])
    index = VectorIndex.build(np.diag([1.0, 2.0, 3.0]).astype(np.float32), ids)
    found, scores = index.search(np.ones((1, 3), np.float32), 5)
    assert found.tolist() == [[10**12, 3, 70, -1, -1]]
    assert scores[0, :3].tolist() == [3, 2, 1]
    assert index.take(np.array([3, 4]))[1].tolist() == [True, False]


def test_equal_scores_come_by_id() -> None:
    index = VectorIndex.build(np.ones((5, 2), np.float32), np.array([9, 4, 7, 1, 3]))
    index.put(np.array([2]), np.ones((1, 2), np.float32))
    assert index.search(np.ones((1, 2), np.float32), 3)[0].tolist() == [[1, 2, 3]]


def test_few_rows_are_all_looked_at(large: VectorIndex) -> None:
    assert VectorIndex.build(ROWS).exact
    assert VectorIndex.build(ROWS).measured_recall == 1.0
    assert not large.exact


def test_what_was_measured_when_built_holds(large: VectorIndex) -> None:
    assert large.measured_recall >= 0.95
    assert large.recall_against_exact(clustered(3000, 16)[:300], 100) >= 0.93


def test_many_queries_are_answered_as_one(large: VectorIndex) -> None:
    queries = clustered(40, 16, seed=9)
    many = large.search(queries, 10)
    for number in range(40):
        one = large.search(queries[number : number + 1], 10)
        np.testing.assert_array_equal(many[0][number], one[0][0])
        np.testing.assert_array_equal(many[1][number], one[1][0])


def test_scores_are_inner_products(large: VectorIndex) -> None:
    vectors, queries = clustered(3000, 16), clustered(3, 16, seed=9)
    found, scores = large.search(queries, 10)
    for number, query in enumerate(queries):
        np.testing.assert_allclose(scores[number], vectors[found[number]] @ query, rtol=1e-5)


def test_the_nearest_going_away_leaves_the_next(large: VectorIndex, tmp_path: Path) -> None:
    index, query = copied(large, tmp_path), clustered(1, 16, seed=9)
    before = index.search(query, 300)[0][0]
    index.remove(before[:200])
    after = index.search(query, 50)[0][0]
    assert (after >= 0).all()
    assert not np.isin(after, before[:200]).any()
    assert np.isin(before[200:230], after).mean() > 0.8


def test_a_changed_row_moves_at_once(large: VectorIndex, tmp_path: Path) -> None:
    index, query = copied(large, tmp_path), clustered(1, 16, seed=9)
    last = np.array([int(index.search(-query, 1)[0][0, 0])])
    index.put(last, 10 * query)
    assert index.search(query, 1)[0][0, 0] == last[0]
    assert (index.search(-query, 3000)[0] == last[0]).sum() <= 1
    merged = index.merged(Job(seed=3), exact_below=1000)
    assert merged.search(query, 1)[0][0, 0] == last[0]
    assert (merged.changes, len(merged)) == (0, 3000)
    assert not merged.exact


@pytest.mark.parametrize("mapped", [False, True])
def test_saved_is_loaded_with_what_came_and_went(
    large: VectorIndex, tmp_path: Path, mapped: bool
) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    index = copied(large, tmp_path / "one")
    index.put(np.array([5000, 7]), clustered(2, 16, seed=10))
    index.remove(np.array([11]))
    index.save(tmp_path / "two")
    again = VectorIndex.load(tmp_path / "two", mapped=mapped)
    queries = clustered(5, 16, seed=9)
    for mine, theirs in zip(index.search(queries, 20), again.search(queries, 20), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert len(again) == len(index) == 3000
    assert again.measured_recall == large.measured_recall


def test_recent_rows_are_those_that_came_or_changed(large: VectorIndex, tmp_path: Path) -> None:
    index, query = copied(large, tmp_path), clustered(1, 16, seed=9)
    assert not len(index.recent(query[0], 5)[0])
    index.put(np.array([4000, 5, 4001]), np.concatenate([query, 2 * query, -query]))
    index.remove(np.array([4001]))
    assert index.recent(query[0], 5)[0].tolist() == [5, 4000]
    assert index.recent(query[0], 1)[0].tolist() == [5]


def test_an_empty_index_finds_nobody() -> None:
    index = VectorIndex.build(np.empty((0, 4), np.float32))
    assert index.search(np.ones((1, 4), np.float32), 2)[0].tolist() == [[-1, -1]]
    index.put(np.array([3]), np.ones((1, 4), np.float32))
    assert index.search(np.ones((1, 4), np.float32), 2)[0].tolist() == [[3, -1]]
    assert index.recall_against_exact(np.ones((1, 4), np.float32)) == 1.0


@pytest.mark.parametrize(
    ("vectors", "ids", "said"),
    [
        (np.ones((2, 3)), [1, 1], "the id 1 comes twice"),
        (np.ones((2, 3)), [1, -4], "the id -4 is negative"),
        (np.ones((2, 3)), [1], "one vector for each id"),
        (np.array([[1.0], [np.nan]]), [5, 6], "the vector of id 6 is not finite"),
    ],
)
def test_wrong_rows_are_named(vectors: np.ndarray, ids: list[int], said: str) -> None:
    with pytest.raises(DataError, match=said):
        VectorIndex.build(vectors, np.array(ids))


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    VectorIndex.build(ROWS).save(tmp_path)
    (tmp_path / "index.json").write_text('{"format": 9, "exact": true}')
    with pytest.raises(ArtifactError, match="format 9"):
        VectorIndex.load(tmp_path)
