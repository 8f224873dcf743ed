"""Whether a retrained version goes on its way or the live one stays, in words."""

from __future__ import annotations

import math
from dataclasses import dataclass

from promise.training.compare import Comparison

LEAST_JUDGED = 30
"""With fewer rows not even "not worse" says anything."""


@dataclass(frozen=True)
class Choice:
    """What follows from a comparison.

    Parameters
    ----------
    goes
        Whether the new version is brought on its way to users.
    sentence
        Why.
    """

    goes: bool
    sentence: str


def choose(found: Comparison, new: str, live: str, *, lenient: bool) -> Choice:
    """Choose by the paired interval: a win goes; a tie only where the live one is in trouble.

    Parameters
    ----------
    found
        Of the new version against the live one; above zero the new one is better.
    lenient
        Whether it is enough not to be worse, as for drift or a broken promise.

    Examples
    --------
    >>> tie = Comparison("accuracy", 0.81, 0.8, 0.01, (-0.02, 0.04), tie=True, rows=500)
    >>> choose(tie, "churn@2", "churn@1", lenient=False).goes
    False
    >>> choose(tie, "churn@2", "churn@1", lenient=True).goes
    True
    """
    told = found.sentence(new, live)
    low, high = found.interval
    if math.isnan(found.difference) or math.isnan(low) or math.isnan(high):
        return Choice(False, f"{told} {live} stays, since nothing can be told.")
    if found.rows < LEAST_JUDGED:
        why = f"{found.rows} rows are too few to judge by, it takes {LEAST_JUDGED}"
        return Choice(False, f"{told} {live} stays: {why}.")
    if low > 0:
        return Choice(True, told)
    if high < 0:
        return Choice(False, f"{told} {live} stays.")
    if lenient:
        return Choice(True, f"{told} It is not worse, which is enough here.")
    return Choice(False, f"{told} {live} stays, since only a win replaces it.")
