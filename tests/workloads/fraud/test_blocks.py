from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promise.errors import DataError
from promise.workloads.fraud.blocks import Blocks, blocks_of, days_of

DAY_S = 86400.0


def cut(days: int, per_day: int = 20, gap_days: float = 7.0, rate: int = 10) -> Blocks:
    start = np.datetime64("2024-01-01", "us")
    time = np.repeat(start + np.arange(days) * np.timedelta64(1, "D"), per_day)
    y = (np.arange(len(time)) % rate == 0).astype(np.float64)
    return blocks_of(time, y, column="when", gap_s=gap_days * DAY_S, seed=7)


@settings(max_examples=25, deadline=None)
@given(st.integers(70, 200), st.integers(1, 10))
def test_blocks_follow_one_another_with_gaps_between(days: int, gap: int) -> None:
    per_day = 20
    blocks = cut(days, per_day, gap)
    train, calibration, holdout = (
        rows // per_day for rows in (blocks.train, blocks.calibration, blocks.holdout)
    )
    assert train.max() + gap < calibration.min() + 1
    assert calibration.max() + gap < holdout.min() + 1
    assert holdout.max() == days - 1


def test_rows_without_a_label_are_in_no_block() -> None:
    time = np.repeat(np.arange("2024-01-01", "2024-06-01", dtype="M8[D]"), 20).astype("M8[us]")
    y = (np.arange(len(time)) % 10 == 0).astype(np.float64)
    y[::3] = np.nan
    blocks = blocks_of(time, y, column="when", gap_s=7 * DAY_S, seed=7)
    every = np.concatenate([blocks.train, blocks.calibration, blocks.holdout])
    assert not np.isnan(y[every]).any()


def test_a_history_shorter_than_its_gaps_names_the_way_out() -> None:
    with pytest.raises(DataError, match="add earlier days, or say a shorter --set label_delay="):
        cut(12, gap_days=10)


def test_too_few_frauds_are_told_by_block() -> None:
    with pytest.raises(DataError, match=r"block has \d frauds in .* expected at least 5"):
        cut(100, rate=900)


def test_the_split_tells_itself_and_its_gap() -> None:
    blocks = cut(100)
    assert blocks.split.gap_s == 7 * DAY_S
    assert blocks.describe()["holdout_from"] == blocks.split.cutoff
    assert days_of(np.array(["2024-01-01", "2024-01-04"], dtype="M8[us]")) == 3.0


def test_labels_that_came_after_the_next_block_began_are_in_no_earlier_block() -> None:
    time = np.repeat(np.arange("2024-01-01", "2024-06-01", dtype="M8[D]"), 20).astype("M8[us]")
    y = (np.arange(len(time)) % 10 == 0).astype(np.float64)
    known_at = time + np.timedelta64(2, "D")
    known_at[::7] = np.datetime64("NaT")
    known_at[3::7] = time[3::7] + np.timedelta64(40, "D")
    plain = blocks_of(time, y, column="when", gap_s=7 * DAY_S, seed=7)
    blocks = blocks_of(time, y, column="when", gap_s=7 * DAY_S, seed=7, known_at=known_at)
    assert (blocks.holdout == plain.holdout).all()
    for mine, theirs, until in (
        (blocks.train, plain.train, blocks.calibration_from),
        (blocks.calibration, plain.calibration, str(blocks.split.cutoff)),
    ):
        late = known_at[theirs] > np.datetime64(until)
        assert late.any()
        assert (mine == theirs[~late]).all()
