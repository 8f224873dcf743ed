"""A random slice of what would be declined is approved, so that its labels become known."""

from __future__ import annotations

import math
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from promise.data.columns import Array, FloatArray
from promise.errors import ConfigError


@dataclass(frozen=True)
class Exploration:
    """Approves a random slice of what would be declined, so that its labels become known.

    Chance is a hash of the event's key: the same event is always treated alike, on any machine,
    and nobody can tell beforehand without the salt.

    Parameters
    ----------
    share
        Which share of the declined is approved, in [0, 1).
    key
        The column with the event's key; a row without one is not explored.
    most_amount
        Larger amounts are never approved this way; nor are missing ones.
    salt
        Changes which events are drawn.
    """

    share: float
    key: str
    most_amount: float
    salt: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.share < 1 or not self.most_amount >= 0:
            raise ConfigError(
                "exploration approves a share in [0, 1) of what would be declined, up to an "
                f"amount ≥ 0; got share={self.share!r}, most_amount={self.most_amount!r}."
            )

    def draws(self, key: object) -> bool:
        """Say whether an event is in the slice."""
        if missing(key):
            return False
        digest = blake2b(f"{self.salt}\0{key}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") < self.share * 2.0**64

    def allows(self, amount: Array) -> Array:
        """Return which amounts are known and small enough."""
        return np.asarray(amount <= self.most_amount)

    def drawn(self, keys: Array, amount: Array, open_rows: Array) -> tuple[Array, FloatArray]:
        """Return which rows are let through by chance, and how likely each was treated as it is.

        Parameters
        ----------
        open_rows
            Which rows would be declined otherwise.
        """
        explored = np.zeros(len(amount), dtype=bool)
        propensity = np.ones(len(amount))
        for row in np.flatnonzero(open_rows & self.allows(amount)):
            explored[row], propensity[row] = self.one(keys[row], float(amount[row]))
        return explored, propensity

    def one(self, key: object, amount: float) -> tuple[bool, float]:
        """Return what `drawn` says of one row that would be declined otherwise."""
        if not amount <= self.most_amount:  # a missing amount neither
            return False, 1.0
        explored, share = self.draws(key), 0.0 if missing(key) else self.share
        return explored, share if explored else 1.0 - share


def missing(key: object) -> bool:
    """Say whether a row has no key: None, or a number that is not one."""
    return key is None or (isinstance(key, float) and math.isnan(key))
