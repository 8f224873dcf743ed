"""What is learned from, what is chosen by and what is judged on: by time, or by whole groups."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from promise.data.columns import Array
from promise.errors import DataError
from promise.workloads.matching.kinds import is_decision
from promise.workloads.matching.tables import Deeds

TRAIN, VALIDATE, TEST = 0, 1, 2
LEAST_DECISIONS = 30
"""Fewer decisions cannot be learned from and judged on."""
_SHARES = (0.7, 0.85)
_GROUP_SHARE = 0.65
"""Of whole groups more are sealed: what they tell is noisier."""


@dataclass(frozen=True)
class Cut:
    """A rule that gives every deed one of three sides.

    Parameters
    ----------
    validate_us, test_us
        Where the second and the third period begin; 0 for groups.
    sides
        The side of each group's code; none for periods.
    """

    kind: Literal["temporal", "grouped"]
    column: str
    validate_us: int = 0
    test_us: int = 0
    sides: tuple[int, ...] = ()

    @property
    def grouped(self) -> bool:
        """Whether whole groups are kept together, so that people only meet within one."""
        return self.kind == "grouped"

    def side(self, deeds: Deeds) -> Array:
        """Return `TRAIN`, `VALIDATE` or `TEST` for each deed: int8 (n,)."""
        if self.grouped:
            return np.array(self.sides, dtype=np.int8)[deeds.group]
        later = (deeds.at_us >= self.validate_us).astype(np.int8)
        return later + (deeds.at_us >= self.test_us).astype(np.int8)

    def describe(self) -> str:
        """Say in one phrase what is sealed."""
        if self.grouped:
            n = sum(side == TEST for side in self.sides)
            return f"all decisions of {n} of {len(self.sides)} whole values of `{self.column}`"
        moment = np.datetime64(self.test_us, "us").astype("M8[s]")
        return f"everything from {moment} on by `{self.column}`, one moment for everybody"

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready description."""
        return {**asdict(self), "sides": list(self.sides)}


def cut_by_time(deeds: Deeds, column: str) -> Cut:
    """Cut at two moments that are the same for everybody: 70 and 85 % of the decisions before.

    Raises
    ------
    DataError
        Where there are too few decisions, or all have the same time.
    """
    at = deeds.at_us[is_decision(deeds.kind)]
    _check(len(at))
    first, second = (int(at[int(share * len(at))]) for share in _SHARES)
    if not at[0] < first < second:
        raise DataError(
            f"the times in `{column}` do not tell three periods apart (from "
            f"{np.datetime64(int(at[0]), 'us')} to {np.datetime64(int(at[-1]), 'us')}); give "
            "events of a longer time, or whole groups: --split grouped:COLUMN."
        )
    return Cut("temporal", column, first, second)


def cut_by_group(deeds: Deeds, column: str, seed: int) -> Cut:
    """Seal about a third of the groups, drawn at random; the others are learned from in turn."""
    _check(int(is_decision(deeds.kind).sum()))
    n = int(deeds.group.max()) + 1
    if n < 6:
        raise DataError(
            f"`{column}` has {n} groups; expected at least 6 to learn from some "
            "and judge on the others. Name another column: --split grouped:COLUMN."
        )
    order = np.random.default_rng(seed).permutation(n)
    sides = np.full(n, TEST, dtype=np.int64)
    sides[order[: round(_GROUP_SHARE * n)]] = TRAIN
    return Cut("grouped", column, sides=tuple(sides.tolist()))


def _check(decisions: int) -> None:
    if decisions < LEAST_DECISIONS:
        raise DataError(
            f"there are {decisions} decisions (like, pass, …) between known people; expected at "
            f"least {LEAST_DECISIONS}, better some thousands. Add events, or the people's profiles."
        )
