"""The nine features of the first design, and what is between two people, against known answers."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promise.errors import ConfigError
from promise.features.pairs import (
    PAIR,
    UNARY,
    Side,
    chosen_columns,
    day_one,
    extra_names,
    norms,
    pair_features,
    unary,
)
from promise.features.people import NEVER_US
from promise.features.people_activity import DAY_US, FACTS
from promise.kernels.people_scan import count_marked, shared_neighbours


def side(n: int, seed: int = 0, size: int = 4) -> Side:
    """Random people."""
    rng = np.random.default_rng(seed)
    chosen = rng.normal(size=(n, size)).astype(np.float32)
    norm, sparsity = norms(chosen)
    return Side(
        age=rng.uniform(18, 60, n).astype(np.float32),
        place=rng.integers(-1, 3, n).astype(np.int32),
        position=rng.uniform(-60, 60, (n, 2)).astype(np.float32),
        interests=rng.integers(0, 255, (n, 2)).astype(np.uint64),
        joined_us=rng.integers(0, 100, n) * DAY_US,
        completeness=rng.random(n).astype(np.float32),
        extras=rng.random((n, 1)).astype(np.float32),
        facts=rng.random((n, len(FACTS))).astype(np.float32),
        norm=norm,
        sparsity=sparsity,
        chooser=rng.normal(size=(n, size)).astype(np.float32),
        chosen=chosen,
    )


def rows(people: Side, which: object) -> Side:
    """Some of the people."""
    return Side(*(getattr(people, one.name)[which] for one in fields(people)))


def test_the_nine_features_are_those_of_the_first_design_in_their_order() -> None:
    assert UNARY == (
        "age", "account_age_days", "interests_count", "total_interactions", "like_rate",
        "recent_activity_30d", "activity_streak_days", "embedding_norm", "embedding_sparsity",
    )  # fmt: skip
    assert PAIR[:9] == UNARY
    assert FACTS[:4] == UNARY[3:7]  # copied as one block


def test_the_nine_features_have_the_values_one_works_out_by_hand() -> None:
    one = Side(
        age=np.array([30.0], np.float32),
        place=np.array([0], np.int32),
        position=np.zeros((1, 2), np.float32),
        interests=np.array([[0b1011]], np.uint64),
        joined_us=np.array([5 * DAY_US]),
        completeness=np.ones(1, np.float32),
        extras=np.zeros((1, 0), np.float32),
        facts=np.array([[12, 0.25, 4, 2, 9, 0.5]], np.float32),
        norm=np.array([5.0], np.float32),
        sparsity=np.array([0.5], np.float32),
        chooser=np.array([[1.0, 0.0]], np.float32),
        chosen=np.array([[3.0, 4.0]], np.float32),
    )
    found = unary(one, 15 * DAY_US)[0]
    np.testing.assert_allclose(found, [30, 10, 3, 12, 0.25, 4, 2, 5, 0.5])
    length, sparse = norms(np.array([[3.0, 0.001, 4.0, 0.0]], np.float32))
    assert (float(length[0]), float(sparse[0])) == (5.0, 0.5)


def test_what_is_between_two_people() -> None:
    people = side(2)
    a, b = rows(people, [0]), rows(people, [1])
    found = dict(
        zip(
            (*PAIR, *extra_names(("height",))),
            pair_features(a, b, 0, np.array([3]), np.array([1]))[0].tolist(),
            strict=True,
        )
    )
    assert found["affinity"] == pytest.approx(float(a.chooser[0] @ b.chosen[0]), rel=1e-5)
    assert found["affinity_back"] == pytest.approx(float(b.chooser[0] @ a.chosen[0]), rel=1e-5)
    assert found["age_gap"] == pytest.approx(abs(float(b.age[0] - a.age[0])))
    assert found["age_difference"] == pytest.approx(float(b.age[0] - a.age[0]))
    bits = [{i for i in range(128) if int(p.interests[0, i // 64]) >> i % 64 & 1} for p in (a, b)]
    both, either = bits[0] & bits[1], bits[0] | bits[1]
    assert found["shared_interests"] == len(both)
    assert found["interest_overlap"] == pytest.approx(len(both) / len(either))
    assert found["mutual_neighbours"] == 3
    assert (found["from_content"], found["from_random"]) == (1, 0)
    assert found["height_gap"] == pytest.approx(abs(float(a.extras[0, 0] - b.extras[0, 0])))


def test_one_chooser_for_all_rows_is_a_row_of_the_chooser_for_each() -> None:
    people = side(9)
    a, many = rows(people, [0]), rows(people, np.arange(1, 9))
    neighbours, source = np.arange(8), np.arange(8) % 4
    wide = pair_features(a, many, 40 * DAY_US, neighbours, source)
    repeated = rows(people, np.zeros(8, int))
    np.testing.assert_array_equal(
        pair_features(repeated, many, 40 * DAY_US, neighbours, source), wide
    )
    each = [
        pair_features(a, rows(people, [i + 1]), 40 * DAY_US, neighbours[[i]], source[[i]])
        for i in range(8)
    ]
    np.testing.assert_allclose(np.concatenate(each), wide, rtol=1e-6)


def test_what_is_not_told_is_missing_and_never_zero() -> None:
    people = side(2)
    unknown = Side(
        **{
            **vars(people),
            "age": np.full(2, np.nan, np.float32),
            "place": np.full(2, -1, np.int32),
            "position": np.full((2, 2), np.nan, np.float32),
            "joined_us": np.full(2, NEVER_US),
        }
    )
    found = pair_features(rows(unknown, [0]), people, 0, np.zeros(2, np.int64))
    names = dict(zip(PAIR, found.T[: len(PAIR)], strict=True))
    for name in ("age_gap", "distance_km", "same_place"):
        assert np.isnan(names[name]).all(), name
    assert np.isnan(unary(unknown, 0)[:, :2]).all()


def test_a_feature_that_is_not_there_names_its_neighbour() -> None:
    with pytest.raises(ConfigError, match="did you mean 'affinity'"):
        chosen_columns(("afinity",), ())
    assert chosen_columns(("height",), ("height",)).tolist() == [len(PAIR)]


def test_the_first_day_prefers_complete_active_and_newer_people() -> None:
    def score(complete: float, recent: float, days: float) -> float:
        return float(day_one(*(np.array([v], np.float32) for v in (complete, recent, days)))[0])

    assert score(1, 0, 400) > score(0.5, 0, 400)
    assert score(1, 1, 400) > score(1, 0, 400)
    assert score(1, 1, 1) > score(1, 1, 400)
    assert score(1, 0, 400) > score(0.5, 0, 1)  # the boost of newer ones is slight
    assert score(0.5, 0, float("nan")) == pytest.approx(0.25, abs=1e-6)


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_shared_neighbours_are_counted_alike_by_merging_and_by_marking(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 12
    sets = [np.unique(rng.integers(0, n, rng.integers(0, 8))) for _ in range(n)]
    starts = np.concatenate([[0], np.cumsum([len(one) for one in sets])]).astype(np.int64)
    others = np.concatenate(sets).astype(np.int32)
    left, right = rng.integers(0, n, 20), rng.integers(0, n, 20)
    expected = [len(np.intersect1d(sets[a], sets[b])) for a, b in zip(left, right, strict=True)]
    assert shared_neighbours(starts, others, left, right).tolist() == expected
    for a in range(n):
        marks = np.zeros(n, np.int32)
        marks[sets[a]] = 5
        found = count_marked(starts, others, np.arange(n), marks, 5)
        assert found.tolist() == [len(np.intersect1d(sets[a], one)) for one in sets]
