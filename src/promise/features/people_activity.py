"""How active people are: counted by one loop, whether it replays a history or follows a log."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Literal

import numpy as np

from promise.data.columns import Array, FloatArray, IntArray
from promise.features.people import mapped
from promise.kernels.people_activity import (
    DAYS,
    GOT_NO,
    GOT_YES,
    MADE_NO,
    MADE_YES,
    NO_DAY,
    count_events,
    read_state,
    replay_events,
)

DAY_US = 86_400_000_000
FACTS = (
    "total_interactions", "like_rate", "recent_activity_30d", "activity_streak_days", "received",
    "received_like_rate",
)  # fmt: skip
"""What is told of each person at a time, in this order."""


@dataclass(frozen=True)
class Encounters:
    """What some people did to others, as codes.

    Parameters
    ----------
    actor, other
        Rows of people: int64 (m,).
    sign
        1 for a yes, -1 for a no, 0 for what says neither but shows that somebody is there:
        int8 (m,).
    at_us
        Microseconds since 1970: int64 (m,).
    """

    actor: IntArray
    other: IntArray
    sign: IntArray
    at_us: IntArray

    def in_order(self) -> Encounters:
        """Return them by time; those of one moment as they stand."""
        order = np.argsort(self.at_us, kind="stable")
        return Encounters(*(getattr(self, one.name)[order] for one in fields(self)))


@dataclass(frozen=True)
class Activity:
    """The state of everybody; `count` changes it in place, so each owner has their own.

    Parameters
    ----------
    counts
        Yeses and noes made, yeses and noes got: int32 (n, 4).
    last_day
        The newest day with a deed, days since 1970: int32 (n,).
    days
        Bit `i` is set where something was done `i` days before the newest: uint64 (n,).
    daily
        Encounters of each of the last 32 days, at the day modulo 32: uint16 (n, 32).
    """

    counts: IntArray
    last_day: IntArray
    days: IntArray
    daily: IntArray

    @classmethod
    def none(cls, n: int) -> Activity:
        """Begin with people who did nothing yet."""
        return cls(
            counts=np.zeros((n, 4), np.int32),
            last_day=np.full(n, NO_DAY, np.int32),
            days=np.zeros(n, np.uint64),
            daily=np.zeros((n, DAYS), np.uint16),
        )

    @classmethod
    def of(cls, n: int, encounters: Encounters) -> Activity:
        """Count a whole history.

        Examples
        --------
        >>> once = Encounters(*(np.array([v]) for v in (0, 1, 1, 3 * DAY_US)))
        >>> Activity.of(2, once).facts(np.array([0, 1]), np.array([4 * DAY_US] * 2))[:, 0]
        array([1., 0.], dtype=float32)
        """
        found = cls.none(n)
        found.count(encounters)
        return found

    def count(self, encounters: Encounters) -> None:
        """Count further deeds, in any order, late ones too."""
        count_events(
            self.counts, self.last_day, self.days, self.daily,
            np.asarray(encounters.actor, np.int64), np.asarray(encounters.other, np.int64),
            np.asarray(encounters.sign, np.int8), np.asarray(encounters.at_us, np.int64) // DAY_US,
        )  # fmt: skip

    def facts(self, rows: IntArray, at_us: IntArray) -> FloatArray:
        """Return what is told of people, each at a time: float32 (m, n_facts), see `FACTS`.

        Rates are smoothed by one yes and one no, so that the first decision does not decide.
        """
        rows = np.asarray(rows, np.int64)
        recent, streak = np.zeros(len(rows), np.int64), np.zeros(len(rows), np.int64)
        today = np.broadcast_to(np.asarray(at_us, np.int64) // DAY_US, len(rows))
        read_state(rows, self.last_day, self.days, self.daily, today, recent, streak)
        return _told(self.counts[rows], recent, streak)

    def grown(self, n: int) -> Activity:
        """Return room for `n` people, the further ones without a deed."""
        more = Activity.none(n - len(self.last_day))
        joined = {
            one.name: np.concatenate([getattr(self, one.name), getattr(more, one.name)])
            for one in fields(self)
        }
        return replace(self, **joined)

    def forget(self, row: int) -> None:
        """Leave nothing of what one person did."""
        self.counts[row], self.days[row], self.daily[row] = 0, 0, 0
        self.last_day[row] = NO_DAY

    def save(self, folder: Path) -> None:
        """Write one `.npy` for each array into an existing folder."""
        for one in fields(self):
            np.save(folder / f"{one.name}.npy", getattr(self, one.name))

    @classmethod
    def load(cls, folder: Path, mode: Literal["r", "c"] | None = "r") -> Activity:
        """Read back what `save` wrote; `"c"` lets this process alone go on counting."""
        return cls(**{one.name: mapped(folder / f"{one.name}.npy", mode) for one in fields(cls)})


def facts_before(n: int, encounters: Encounters, rows: IntArray, at_us: IntArray) -> FloatArray:
    """Return what was told of people just before a time: float32 (q, n_facts), see `FACTS`.

    A deed of the same microsecond is not before it.

    Parameters
    ----------
    n
        How many people there are.
    rows, at_us
        Whom and when: int64 (q,), in any order.
    """
    state, past = Activity.none(n), encounters.in_order()
    order = np.argsort(at_us, kind="stable")
    counts = np.zeros((len(rows), 4), np.int32)
    recent, streak = np.zeros(len(rows), np.int64), np.zeros(len(rows), np.int64)
    replay_events(
        state.counts, state.last_day, state.days, state.daily,
        np.asarray(past.actor, np.int64), np.asarray(past.other, np.int64),
        np.asarray(past.sign, np.int8), np.asarray(past.at_us, np.int64),
        np.asarray(rows, np.int64)[order], np.asarray(at_us, np.int64)[order],
        counts, recent, streak,
    )  # fmt: skip
    found = np.empty((len(rows), len(FACTS)), np.float32)
    found[order] = _told(counts, recent, streak)
    return found


def _told(counts: Array, recent: IntArray, streak: IntArray) -> FloatArray:
    found = np.empty((len(counts), len(FACTS)), np.float32)
    made = counts[:, MADE_YES] + counts[:, MADE_NO]
    got = counts[:, GOT_YES] + counts[:, GOT_NO]
    found[:, 0] = made
    found[:, 1] = (counts[:, MADE_YES] + 1) / (made + 2)
    found[:, 2], found[:, 3] = recent, streak
    found[:, 4] = got
    found[:, 5] = (counts[:, GOT_YES] + 1) / (got + 2)
    return found
