"""Scans of lists of vectors give what looking at everything gives."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from promise.kernels.vector_lists import best_listed, kept_best, nearest_lists, summed_members


@given(st.lists(st.integers(-50, 50), max_size=60), st.integers(1, 12))
@settings(max_examples=60, deadline=None)
def test_a_heap_keeps_the_best(values: list[int], k: int) -> None:
    scores, rows, n = np.empty(k, np.float32), np.empty(k, np.int32), 0
    for row, value in enumerate(values):
        if n < k or value > scores[0]:
            n = kept_best(scores, rows, n, np.float32(value), row)
    assert n == min(k, len(values))
    assert sorted(scores[:n].tolist(), reverse=True) == sorted(values, reverse=True)[:k]
    assert [values[row] for row in rows[:n]] == scores[:n].tolist()


def listed(rng: np.random.Generator, n: int = 300, lists: int = 9, size: int = 7) -> tuple:
    """Return lists of random codes, one of them empty."""
    edges = np.sort(rng.integers(0, n + 1, lists - 1))
    edges[2] = edges[1]
    return (
        rng.normal(size=(lists, size)).astype(np.float32),
        np.concatenate([[0], edges, [n]]),
        rng.permutation(n).astype(np.int32),
        rng.integers(-127, 128, (n, size)).astype(np.int8),
        rng.uniform(0.5, 2, n).astype(np.float32),
    )


def test_a_scan_is_what_looking_at_everything_of_the_nearest_lists_gives() -> None:
    rng = np.random.default_rng(3)
    centres, starts, rows, codes, scales = listed(rng)
    gone = rng.random(len(rows)) < 0.2
    for opened in (1, 4, 9):
        query = rng.normal(size=7).astype(np.float32)
        nearest = np.argsort(-(centres @ query))[:opened]
        lists = nearest_lists(query, centres, opened)
        assert sorted(lists.tolist()) == sorted(nearest.tolist())
        places = np.concatenate([np.arange(starts[one], starts[one + 1]) for one in nearest])
        places = places[~gone[rows[places]]]
        scores = (codes[places].astype(np.float32) * scales[places, None]) @ query
        right = rows[places[np.argsort(-scores)[:20]]]
        found = best_listed(query, lists, starts, rows, codes, scales, gone, 20)
        assert sorted(found.tolist()) == sorted(right.tolist())


def test_members_are_summed() -> None:
    vectors = np.arange(12, dtype=np.float32).reshape(6, 2)
    sums, counts = summed_members(vectors, np.array([0, 2, 0, 2, 2, 0], np.int32), 4)
    assert counts.tolist() == [3, 0, 3, 0]
    assert sums.tolist() == [[14, 17], [0, 0], [16, 19], [0, 0]]
