"""Only a win replaces the live version, except where that one is in trouble."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promise.retraining.choice import LEAST_JUDGED, choose
from promise.training.compare import Comparison


def found(low: float, high: float, rows: int = 400) -> Comparison:
    middle = (low + high) / 2
    tie = not (low > 0 or high < 0)
    return Comparison("accuracy", 0.8 + middle, 0.8, middle, (low, high), tie, rows)


@pytest.mark.parametrize(
    ("comparison", "strict", "lenient"),
    [
        (found(0.01, 0.05), True, True),
        (found(-0.02, 0.03), False, True),
        (found(-0.05, -0.01), False, False),
        (found(0.01, 0.05, rows=LEAST_JUDGED - 1), False, False),
        (found(math.nan, math.nan), False, False),
    ],
)
def test_who_goes(comparison: Comparison, strict: bool, lenient: bool) -> None:
    assert choose(comparison, "churn@2", "churn@1", lenient=False).goes is strict
    assert choose(comparison, "churn@2", "churn@1", lenient=True).goes is lenient


@given(low=st.floats(-1, 1), wide=st.floats(0, 1), rows=st.integers(0, 90), lenient=st.booleans())
def test_what_is_worse_never_goes(low: float, wide: float, rows: int, lenient: bool) -> None:
    choice = choose(found(low, low + wide, rows), "churn@2", "churn@1", lenient=lenient)
    if choice.goes:
        assert low + wide >= 0
        assert rows >= LEAST_JUDGED
    else:
        assert "churn@1 stays" in choice.sentence
