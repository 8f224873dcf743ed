"""Time cut into blocks: train, gap, calibration, gap, holdout, as labels come in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from promise.data.columns import Array, FloatArray, IntArray
from promise.data.split import Split, time_cutoff
from promise.errors import DataError

HOLDOUT_SHARE = 0.2
CALIBRATION_SHARE = 0.2
"""Of the rows before the holdout's gap."""

LEAST_FRAUDS = 5


@dataclass(frozen=True)
class Blocks:
    """Positions of labelled rows in each block, rising, and the rule of the holdout.

    A gap is as long as labels take: on the first day of a block no later label was known.
    """

    train: IntArray
    calibration: IntArray
    holdout: IntArray
    split: Split
    calibration_from: str

    def describe(self) -> dict[str, Any]:
        """Return a JSON-ready account."""
        return {
            "train_rows": len(self.train),
            "calibration_rows": len(self.calibration),
            "calibration_from": self.calibration_from,
            "holdout_rows": len(self.holdout),
            "holdout_from": str(self.split.cutoff),
            "gap_s": self.split.gap_s,
        }


def blocks_of(
    time: Array,
    y: FloatArray,
    *,
    column: str,
    gap_s: float,
    seed: int,
    known_at: Array | None = None,
) -> Blocks:
    """Cut time so that nothing is learned, calibrated or judged out of its turn.

    Parameters
    ----------
    time
        datetime64[us] (n,), rising.
    y
        Labels, NaN where unknown: such rows are in no block.
    column
        Name of the time column.
    known_at
        When each label became known, where the table tells it (not-a-time: within the gap). A
        row whose label came after the next block had begun is in neither of the earlier blocks.

    Raises
    ------
    DataError
        When a block has too few frauds, or none remains beside the gaps: names the way out.

    Examples
    --------
    >>> days = np.arange("2024-01-01", "2024-07-01", dtype="M8[D]").astype("M8[us]")
    >>> time, y = np.repeat(days, 10), np.tile([0.0] * 9 + [1.0], 182)
    >>> blocks_of(time, y, column="day", gap_s=7 * 86400.0, seed=7).describe()["train_rows"]
    1040
    """
    known = np.flatnonzero(~np.isnan(y))
    cutoff = time_cutoff(time[known], HOLDOUT_SHARE)
    split = Split(
        "temporal", HOLDOUT_SHARE, seed, column, cutoff, gap_s,
        reason="frauds change, and labels come late",
    )  # fmt: skip
    side = split.holdout(known, time=time[known])
    holdout, before = known[side == 1], known[side == 0]
    if not len(before):
        raise DataError(_too_short(time, gap_s))
    turn = time_cutoff(time[before], CALIBRATION_SHARE)
    inner = Split("temporal", CALIBRATION_SHARE, seed, column, turn, gap_s)
    part = inner.holdout(before, time=time[before])
    train = _in_time(before[part == 0], known_at, turn)
    calibration = _in_time(before[part == 1], known_at, cutoff)
    if not len(train):
        raise DataError(_too_short(time, gap_s))
    for rows, what in ((train, "training"), (calibration, "calibration"), (holdout, "holdout")):
        frauds = int((y[rows] == 1).sum())
        if min(frauds, len(rows) - frauds) < LEAST_FRAUDS:
            raise DataError(
                f"the {what} block has {frauds:,} frauds in {len(rows):,} rows; expected at least "
                f"{LEAST_FRAUDS} of either kind: add days, or check the label."
            )
    return Blocks(train, calibration, holdout, split, turn)


def _in_time(rows: IntArray, known_at: Array | None, next_from: str) -> IntArray:
    """Return the rows whose labels were known when the next block began."""
    if known_at is None:
        return rows
    return rows[~(known_at[rows] > np.datetime64(next_from))]


def days_of(time: Array) -> float:
    """Return how many days events span, at least one."""
    return max(1.0, float((time.max() - time.min()) / np.timedelta64(1, "D")))


def _too_short(time: Array, gap_s: float) -> str:
    return (
        f"the events span {days_of(time):.0f} days, too short for a training block beside two gaps "
        f"of {gap_s / 86400:g} days: add earlier days, or say a shorter --set label_delay=."
    )
