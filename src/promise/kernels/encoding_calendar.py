"""Which calendar parts of the column that orders the rows say something of rows to come.

Such a column's trend (day number, year) is never read: later rows lie outside of it. A part that
comes round again is read where the rows saw it come round.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

ROUNDS = {"hour": ("h", 24, "D"), "weekday": ("D", 7, "W"), "day": ("D", 30, "M"),
          "month": ("D", 365, "Y"), "day of year": ("D", 365, "Y")}  # fmt: skip
"""Part of a date to the step it is counted in, the steps of a round, and the unit of a round."""

STRAY = 0.01
"""This share of the rows on either side does not stretch the time that the rows cover."""


def calendar_terms(times: npt.NDArray[Any], name: str, *, cycles: bool) -> list[list[str]]:
    """Return the terms of a time column: parts that came round twice, and perhaps their cycles.

    Examples
    --------
    >>> hours = np.datetime64("2026-03-02", "us") + np.arange(72) * np.timedelta64(1, "h")
    >>> calendar_terms(hours, "when", cycles=True)
    [['when', 'hour'], ['when', 'hour sine'], ['when', 'hour cosine']]
    """
    terms = []
    for part in calendar_parts(times):
        terms.append([name, part])
        if cycles and part in ("hour", "weekday", "day of year"):
            terms += [[name, f"{part} sine"], [name, f"{part} cosine"]]
    return terms


def calendar_parts(times: npt.NDArray[Any]) -> list[str]:
    """Return the parts of dates that these rows saw come round at least twice.

    The rows must reach over two rounds, and most of them must lie at a place of the round that
    was seen in another round, too: a stray date does not make a year of a fortnight.

    Examples
    --------
    >>> days = np.datetime64("2026-03-02", "us") + np.arange(14) * np.timedelta64(1, "D")
    >>> calendar_parts(days), calendar_parts(days[:13])
    (['weekday'], [])
    """
    known = np.sort(np.asarray(times, dtype="M8[us]"))
    known = known[~np.isnat(known)]
    if len(known) == 0:
        return []
    stray = int(STRAY * len(known))
    first, last = known[stray], known[len(known) - 1 - stray]
    share = 1 - 2 * stray / len(known)  # of two rounds, when as many rows are left out
    found = []
    for part, (step, size, unit) in ROUNDS.items():
        reach = last.astype(f"M8[{step}]") - first.astype(f"M8[{step}]")
        covered = int(reach.astype(np.int64)) + 1 >= 2 * size * share
        if covered and came_round(known, step, unit):
            found.append(part)
    return found


def came_round(times: npt.NDArray[Any], step: str, unit: str) -> bool:
    """Say whether most times lie at a place of the round that two rounds share; not at one alone.

    `unit` is the length of a round and `step` that of a place in it; the year's places are months.
    """
    step = "M" if unit == "Y" else step
    # weeks of NumPy begin on a Thursday, which changes neither their number nor their length
    rounds = times.astype(f"M8[{unit}]")
    places = (times.astype(f"M8[{step}]") - rounds.astype(f"M8[{step}]")).astype(np.int64)
    if len(places) == 0 or places.min() == places.max():
        return False
    numbers = rounds.astype(np.int64)
    pairs = np.unique((numbers - numbers.min()) * 64 + places)  # at most 31 places
    seen = np.bincount(pairs % 64)
    return bool((seen[places] > 1).mean() > 0.5)
