"""Diagnostics: known answers, and totals that must add up on any rows."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promise.data.answer import Class, Number
from promise.discovery.diagnostics import CLASSES, PAIRS, diagnose, quantile_bins
from promise.metrics.intervals import wilson


def test_confusion_and_threshold_follow_the_multipliers() -> None:
    output = np.array([[0.7, 0.3], [0.6, 0.4], [0.9, 0.1], [0.2, 0.8]])
    y = np.array([0, 1, 0, 1])
    plain = diagnose(Class(("no", "yes")), y, output)
    moved = diagnose(Class(("no", "yes")), y, output, np.array([1.0, 2.0]))
    assert plain["confusion"]["counts"] == [[2, 0], [1, 1]]
    assert plain["threshold"] == 0.5
    assert moved["confusion"]["counts"] == [[2, 0], [0, 2]]
    assert moved["threshold"] == pytest.approx(1 / 3)
    assert moved["classes"][0] == {"class": "no", "rows": 2, "precision": 1.0, "recall": 1.0}
    assert sum(moved["separation"]["first"]) == sum(moved["separation"]["second"]) == 2


def test_honest_probabilities_lie_on_the_diagonal() -> None:
    rng = np.random.default_rng(0)
    chance = rng.random(20_000)
    y = (rng.random(20_000) < chance).astype(np.int64)
    bins = diagnose(Class(("no", "yes")), y, np.column_stack([1 - chance, chance]))["calibration"]
    assert len(bins) == 10
    assert all(abs(b["predicted"] - b["observed"]) < 0.03 for b in bins)
    assert all(b["low"] <= b["observed"] <= b["high"] for b in bins)


def test_ten_thousand_classes_are_told_in_a_small_table() -> None:
    n = 10_000
    y = np.r_[np.arange(0, n, 100), np.repeat(np.arange(30), 5)]
    output = np.zeros((len(y), n), dtype=np.float32)
    output[np.arange(len(y)), y] = 1.0
    found = diagnose(Class(tuple(f"c{i}" for i in range(n))), y, output)
    counts = np.array(found["confusion"]["counts"])
    assert counts.shape == (CLASSES + 1, CLASSES + 1)
    assert counts.sum() == np.trace(counts) == len(y)
    assert found["confusion"]["others"] == n - CLASSES
    assert len(json.dumps(found)) < 10_000


def test_numbers_give_pairs_that_hold_both_extremes() -> None:
    y = np.linspace(-3, 9, 4_000)
    output = y + np.tile([-1.0, 1.0], 2_000)
    found = diagnose(Number(), y, output)
    actual = [pair[0] for pair in found["pairs"]]
    assert len(actual) == PAIRS
    assert (min(actual), max(actual)) == (-3.0, 9.0)
    assert found["residuals"]["median_size"] == pytest.approx(1.0)
    assert sum(found["histogram"]["counts"]) == 4_000
    middle = found["deciles"][4]
    assert (middle["p10"], middle["p90"]) == (pytest.approx(-1), pytest.approx(1))


@pytest.mark.parametrize(
    ("answer", "output"),
    [(Number(), np.zeros(0)), (Class(("a", "b")), np.zeros((0, 2)))],
)
def test_no_rows_give_no_points(answer: Class | Number, output: np.ndarray) -> None:
    found = diagnose(answer, np.zeros(0), output)
    assert found["rows"] == 0
    json.dumps(found, allow_nan=False)


@given(st.lists(st.tuples(st.floats(width=32), st.floats(width=32)), min_size=1, max_size=60))
@settings(max_examples=60, deadline=None)
def test_every_finite_row_is_counted_once(rows: list[tuple[float, float]]) -> None:
    y, output = (np.array(part, dtype=np.float64) for part in zip(*rows, strict=True))
    found = diagnose(Number(), y, output)
    finite = int((np.isfinite(y) & np.isfinite(output)).sum())
    assert found["rows"] == finite == sum(found["histogram"]["counts"])
    assert sum(d["rows"] for d in found["deciles"]) == finite
    json.dumps(found, allow_nan=False)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=80))
def test_bins_hold_all_rows_and_never_part_equal_values(values: list[int]) -> None:
    array = np.array(values, dtype=np.float64)
    bins = quantile_bins(array)
    assert sorted(np.concatenate(bins).tolist()) == list(range(len(values)))
    held = [set(array[rows].tolist()) for rows in bins]
    assert sum(len(h) for h in held) == len(set(values))


def test_wilson_knows_its_textbook_values() -> None:
    assert wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert wilson(50, 100) == pytest.approx((0.4038, 0.5962), abs=1e-4)
