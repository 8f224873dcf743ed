"""A few planned looks at evidence, between which the chance of error is shared out."""

from __future__ import annotations

from dataclasses import dataclass

FIRST_LOOK = 50
"""Rows at the first look; every later one has twice as many."""


@dataclass(frozen=True)
class Look:
    """The last planned look that the rows so far have reached.

    Parameters
    ----------
    rows
        Rows that it looks at, the earliest ones; 0 before the first.
    index
        Counts looks from 0; -1 before the first.
    """

    rows: int
    index: int

    @classmethod
    def reached(cls, n_rows: int) -> Look:
        """Return the last look that this many rows have reached.

        Examples
        --------
        >>> Look.reached(49), Look.reached(399)
        (Look(rows=0, index=-1), Look(rows=200, index=2))
        """
        index = (n_rows // FIRST_LOOK).bit_length() - 1
        return cls(FIRST_LOOK << index if index >= 0 else 0, index)

    @property
    def following(self) -> int:
        """Rows at the next look."""
        return FIRST_LOOK << (self.index + 1)

    def share_of(self, alpha: float) -> float:
        """Return this look's part of an error; the parts of all looks add to `alpha`.

        Examples
        --------
        >>> round(sum(Look(0, i).share_of(0.05) for i in range(10_000)), 4)
        0.05
        """
        return alpha / ((self.index + 1) * (self.index + 2))
