"""Sketches against exact answers, whatever the order of the batches."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promise.profiling.sketches import Distinct, Moments, Repeats, hash_array, hash_cells

TEXTS = st.lists(st.text(max_size=40) | st.sampled_from(["a" * 600, "a" * 601, ""]), max_size=30)


@settings(max_examples=60, deadline=None)
@given(texts=TEXTS, start=st.integers(0, 5), wide=st.booleans())
def test_text_hashes_agree_with_equality(texts: list[str], start: int, wide: bool) -> None:
    # surrogates cannot be stored in Arrow
    texts = [t.encode("utf-8", "ignore").decode() for t in texts]
    array = pa.array(texts, pa.large_string() if wide else pa.string())
    hashes = hash_array(array).tolist()
    assert len(set(hashes)) == len(set(texts))
    assert len(set(zip(texts, hashes, strict=True))) == len(set(texts))
    # a slice of an array hashes like the texts it shows
    assert hash_array(array.slice(start)).tolist() == hashes[start:]
    assert hash_array(pa.array(texts[start:], pa.string())).tolist() == hashes[start:]


def test_numbers_hash_by_value() -> None:
    assert hash_array(pa.array([0.0, -0.0, 1.0])).tolist()[0] == hash_array(pa.array([0.0]))[0]
    zero, minus_zero = hash_array(pa.array([0.0, -0.0]))
    assert zero == minus_zero
    # neighbours beyond 2^53 are one and the same as float64, but not as keys
    assert len(set(hash_array(pa.array([2**60, 2**60 + 1])).tolist())) == 2
    null, nan, one = hash_cells(pa.array([None, float("nan"), 1.0]))
    assert null == nan != one


@settings(max_examples=40, deadline=None)
@given(
    values=st.lists(st.integers(0, 400), max_size=600),
    cuts=st.lists(st.integers(0, 600), max_size=4),
)
def test_distinct_does_not_depend_on_batches(values: list[int], cuts: list[int]) -> None:
    hashes = hash_array(pa.array(values, pa.int64()))
    whole = Distinct(k=64).merge(hashes)
    parts = Distinct(k=64)
    for part in reversed(np.split(hashes, sorted(min(c, len(values)) for c in cuts))):
        parts = parts.merge(part)
    assert parts.hashes.tolist() == whole.hashes.tolist()
    if whole.exact:
        assert whole.count == len(set(values))


@pytest.mark.parametrize("n", [20_000, 300_000])
def test_distinct_is_close(n: int) -> None:
    sketch = Distinct(k=4096).merge(hash_array(pa.array(np.arange(n) * 7)))
    assert not sketch.exact
    # four standard errors
    assert abs(sketch.count / n - 1) < 4 / np.sqrt(4096)


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=50),
    cut=st.integers(0, 50),
)
def test_moments_merge_to_those_of_all(values: list[float], cut: int) -> None:
    x = np.array(values)
    merged = Moments.of(x[:cut]).merge(Moments.of(x[cut:]))
    assert merged.n == len(x)
    assert merged.mean == pytest.approx(x.mean(), rel=1e-9, abs=1e-6)
    assert merged.std == pytest.approx(x.std(ddof=1), rel=1e-7, abs=1e-5)
    assert (merged.low, merged.high) == (x.min(), x.max())


def test_weighted_moments_are_those_of_repeated_values() -> None:
    x, counts = np.array([1.0, 5.0, 9.0]), np.array([4, 1, 2])
    weighted, plain = Moments.of(x, counts), Moments.of(np.repeat(x, counts))
    assert (weighted.n, weighted.mean) == (plain.n, pytest.approx(plain.mean))
    assert weighted.std == pytest.approx(plain.std)


def test_repeats_are_counted_exactly_while_they_fit_and_estimated_beyond() -> None:
    rng = np.random.default_rng(7)
    rows = hash_array(
        pa.array(np.concatenate([np.arange(90_000), rng.integers(0, 90_000, 10_000)]))
    )
    for limit, tolerance in ((200_000, 1e-12), (10_000, 0.02)):
        sketch = Repeats(limit=limit)
        for part in np.array_split(rng.permutation(rows), 9):
            wanted = part[sketch.wants(part)]
            sketch = sketch.merge(wanted, wanted, np.ones(len(wanted), dtype=np.int64))
        assert sketch.share == pytest.approx(0.1, abs=tolerance)
        assert len(sketch.rows) <= limit
    assert Repeats().share == 0.0
