"""What people did, counted event by event: the same loop behind training and serving.

A state is a function of which events there were, not of their order: counts add up, the newest day
is a maximum, and of days that are too old nothing is kept, whenever they come.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from promise.kernels.compiled import compiled

Array = npt.NDArray[Any]

DAYS = 32
"""Days of which the counts are kept: thirty, and two for clocks that run ahead."""
MASK_DAYS = 64
"""Days of which it is kept whether anything was done: the longest streak."""
NO_DAY = -(1 << 30)
"""The newest day of somebody who never did anything."""
MADE_YES, MADE_NO, GOT_YES, GOT_NO = 0, 1, 2, 3
_MOST = 65_535


@compiled
def count_events(
    counts: Array,
    last_day: Array,
    days: Array,
    daily: Array,
    actors: Array,
    others: Array,
    signs: Array,
    at_day: Array,
) -> None:
    """Count events into the state of both people, in place.

    Parameters
    ----------
    counts
        Yeses and noes made, yeses and noes got: int32 (n, 4).
    last_day
        The newest day with a deed, days since 1970: int32 (n,).
    days
        Bit `i` is set where something was done `i` days before the newest: uint64 (n,).
    daily
        Deeds of each of the last `DAYS` days, at the day modulo `DAYS`: uint16 (n, DAYS).
    signs
        1 for a yes, -1 for a no, 0 for what says neither: int8 (m,).
    """
    for i in range(len(actors)):
        actor, other, sign, day = actors[i], others[i], signs[i], at_day[i]
        if sign > 0:
            counts[actor, 0] += 1
            counts[other, 2] += 1
        elif sign < 0:
            counts[actor, 1] += 1
            counts[other, 3] += 1
        newest = last_day[actor]
        if day > newest:
            ahead = day - newest
            for step in range(1, min(ahead, 32) + 1):
                daily[actor, (newest + step) % 32] = 0
            if ahead >= 32:
                daily[actor, :] = 0
            shift = np.uint64(min(ahead, 63))
            days[actor] = (days[actor] << shift) if ahead < 64 else np.uint64(0)
            last_day[actor] = day
            newest = day
        back = newest - day
        if back < 64:
            days[actor] |= np.uint64(1) << np.uint64(back)
        if back < 32 and daily[actor, day % 32] < 65_535:
            daily[actor, day % 32] += 1


@compiled
def read_state(
    rows: Array,
    last_day: Array,
    days: Array,
    daily: Array,
    today: Array,
    recent: Array,
    streak: Array,
) -> None:
    """Fill deeds of the last 30 days, and days in a row that end today or yesterday.

    What lies after `today` is not counted.
    """
    for i in range(len(rows)):
        row, now = rows[i], today[i]
        newest = last_day[row]
        total = 0
        first = max(newest - 31, now - 29)
        for day in range(first, min(newest, now) + 1):
            total += daily[row, day % 32]
        recent[i] = total
        length = 0
        begin = newest - now  # bits of days after today are passed over
        place = max(begin, 0)
        if begin >= -1 or (days[row] >> np.uint64(0)) & np.uint64(1):
            if begin < -1:
                place = 64
            elif place < 64 and not (days[row] >> np.uint64(place)) & np.uint64(1):
                place += 1  # nothing yet today: yesterday's streak still stands
            while place < 64 and (days[row] >> np.uint64(place)) & np.uint64(1):
                length += 1
                place += 1
        streak[i] = length


@compiled
def replay_events(
    counts: Array,
    last_day: Array,
    days: Array,
    daily: Array,
    actors: Array,
    others: Array,
    signs: Array,
    at_us: Array,
    asked: Array,
    asked_us: Array,
    out_counts: Array,
    recent: Array,
    streak: Array,
) -> None:
    """Walk through events and questions in order of time; each sees only what came before it.

    Parameters
    ----------
    at_us, asked_us
        Microseconds since 1970, both ascending.
    out_counts
        The counts of each asked person at that time: int32 (q, 4).
    """
    day_us = 86_400_000_000
    event = 0
    for i in range(len(asked)):
        last = event
        while last < len(at_us) and at_us[last] < asked_us[i]:
            last += 1
        if last > event:
            part = slice(event, last)
            at_day = at_us[part] // day_us
            count_events(
                counts, last_day, days, daily, actors[part], others[part], signs[part], at_day
            )
            event = last
        out_counts[i] = counts[asked[i]]
        now = np.full(1, asked_us[i] // day_us)
        read_state(
            asked[i : i + 1], last_day, days, daily, now, recent[i : i + 1], streak[i : i + 1]
        )
