"""Seeded people and what they did, with planted tastes, for tests, guides and benchmarks.

Everybody belongs to a circle, which no profile tells; the people of a circle want those of one
other circle, and are wanted by them. Interests betray the circle in part, ages matter a little,
and some people are shown to everybody, so that popularity is a fair opponent. Who is planted for
whom is known: `Crowd.wants`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Draft = dict[str, NDArray[np.generic]]

START = np.datetime64("2024-01-01", "us")
KINDS = ("impression", "like", "super_like", "message", "pass", "dislike", "block")
_IMPRESSION, _LIKE, _SUPER, _MESSAGE, _PASS, _DISLIKE, _BLOCK = range(len(KINDS))
_DAY_US = 86_400_000_000
_SECOND_US = 1_000_000
_INTERESTS = (
    "hiking", "chess", "jazz", "cooking", "climbing", "poetry", "sailing", "gaming", "cinema",
    "gardening", "running", "theatre", "painting", "cycling", "pottery", "football", "yoga",
    "photography", "dancing", "astronomy", "baking", "skiing", "history", "knitting",
)  # fmt: skip
_PLACES = (
    ("Oslo", 59.91, 10.75), ("Rome", 41.89, 12.48), ("Lima", -12.05, -77.04),
    ("Graz", 47.07, 15.44), ("Bonn", 50.73, 7.10), ("Cork", 51.90, -8.47),
    ("Porto", 41.15, -8.61), ("Turin", 45.07, 7.69),
)  # fmt: skip
_UNTOLD = 0.03
"""Share of people who leave out their age, and of those who leave out their place."""


@dataclass(frozen=True)
class Crowd:
    """Who there is and how much they do.

    Parameters
    ----------
    people, days, per_day
        How many people, days, and decisions each day.
    circles
        Hidden tastes, an even number; circle 2i and circle 2i + 1 want each other.
    planted
        Share of those shown who come from the wanted circle.
    logged
        Share of the others whose impression is logged with its propensity: drawn evenly.
    """

    people: int = 2_000
    days: int = 60
    per_day: int = 1_000
    circles: int = 20
    planted: float = 0.5
    logged: float = 0.3
    seed: int = 7

    @cached_property
    def circle(self) -> Ints:
        """The hidden circle of each person: (people,)."""
        return self.rng(1).integers(0, self.circles, self.people)

    @cached_property
    def gender(self) -> Ints:
        """0 or 1 for each person; everybody seeks the other: (people,)."""
        return self.rng(2).integers(0, 2, self.people)

    @cached_property
    def age(self) -> Ints:
        """Years, also of those who do not tell: (people,)."""
        return (18 + 42 * self.rng(3).beta(2, 3, self.people)).astype(np.int64)

    @cached_property
    def bucket(self) -> Ints:
        """Circle and gender as one number: (people,)."""
        return 2 * self.circle + self.gender

    @cached_property
    def wants(self) -> Ints:
        """The bucket that each person wants: (people,)."""
        return 2 * (self.circle ^ 1) + 1 - self.gender

    @cached_property
    def by_bucket(self) -> tuple[Ints, Ints]:
        """Everybody sorted by bucket, the most shown first, and where each bucket starts."""
        rank = self.rng(4).permutation(self.people)
        order = np.lexsort((rank, self.bucket))
        starts = np.searchsorted(self.bucket[order], np.arange(2 * self.circles + 1))
        return order, starts

    @cached_property
    def by_gender(self) -> tuple[Ints, Ints]:
        """Everybody sorted by gender, the most shown first, and where each gender starts."""
        rank = self.rng(5).permutation(self.people)
        order = np.lexsort((rank, self.gender))
        return order, np.searchsorted(self.gender[order], np.arange(3))

    def planted_pair(self, chooser: Ints, chosen: Ints) -> NDArray[np.bool_]:
        """Say for pairs of row numbers whether the second is planted for the first."""
        return np.asarray(self.wants[chooser] == self.bucket[chosen])

    def ids(self, rows: Ints) -> pa.Array:
        """Return the ids of row numbers, as both tables tell them."""
        return _ids(rows)

    def rng(self, *part: int) -> np.random.Generator:
        """Return the generator of one part of the world."""
        return np.random.default_rng([self.seed, *part])


def people_table(crowd: Crowd | None = None) -> pa.Table:
    """Return the profiles of a crowd, a row each.

    Examples
    --------
    >>> people_table(Crowd(people=3)).column_names
    ['id', 'age', 'city', 'lat', 'lon', 'gender', 'seeks', 'interests', 'joined']
    """
    crowd = crowd or Crowd()
    rng, n = crowd.rng(6), crowd.people
    place = rng.integers(0, len(_PLACES), n)
    no_age, no_place = rng.random(n) < _UNTOLD, rng.random(n) < _UNTOLD
    names = np.array([place[0] for place in _PLACES], dtype=object)[place]
    lat, lon = (np.array([p[i] for p in _PLACES])[place] for i in (1, 2))
    genders = np.array(["f", "m"], dtype=object)
    since = rng.integers(0, 700, n) * _DAY_US
    return pa.table(
        {
            "id": _ids(np.arange(n)),
            "age": pa.array(crowd.age.astype(np.float64), mask=no_age),
            "city": pa.array(names, pa.string(), mask=no_place),
            "lat": pa.array(lat + rng.normal(0, 0.05, n), mask=no_place),
            "lon": pa.array(lon + rng.normal(0, 0.05, n), mask=no_place),
            "gender": pa.array(genders[crowd.gender], pa.string()),
            "seeks": pa.array(genders[1 - crowd.gender], pa.string()),
            "interests": _interests(crowd, rng),
            "joined": pa.array(START - since.astype("timedelta64[us]"), pa.timestamp("us")),
        }
    )


def people_events(crowd: Crowd | None = None) -> pa.Table:
    """Return everything that a crowd did, in order of time.

    Examples
    --------
    >>> table = people_events(Crowd(people=50, days=2, per_day=20))
    >>> table.column_names
    ['event_id', 'person', 'other', 'type', 'at', 'position', 'propensity']
    """
    return pa.concat_tables(people_days(crowd or Crowd()))


def people_days(crowd: Crowd) -> Iterator[pa.Table]:
    """Yield what happened day by day, so that a crowd of any size fits into memory."""
    for day in range(crowd.days):
        yield _day(crowd, day)


def _day(crowd: Crowd, day: int) -> pa.Table:
    rng, n = crowd.rng(99, day), crowd.per_day
    chooser = (crowd.people * rng.random(n) ** 1.5).astype(np.int64)
    at = day * _DAY_US + np.sort(rng.integers(0, _DAY_US - 10 * _SECOND_US, n))
    way = rng.random(n)
    even = way < crowd.logged * (1 - crowd.planted)
    shown = np.where(
        way > 1 - crowd.planted,
        _of_bucket(crowd, chooser, rng.random(n) ** 1.3),
        _of_gender(crowd, chooser, np.where(even, 1.0, 3.0), rng.random(n)),
    )
    kind = _decisions(crowd, chooser, shown, rng)
    kept = chooser != shown
    decided = {"at": at, "chooser": chooser, "shown": shown, "kind": kind}
    seen = {
        "at": at - 5 * _SECOND_US * even,
        "chooser": chooser,
        "shown": shown,
        "kind": np.full(n, _IMPRESSION),
    }
    parts = [{k: v[m] for k, v in one.items()} for one, m in ((seen, kept & even), (decided, kept))]
    position = np.concatenate([rng.integers(1, 9, len(parts[0]["at"])), np.zeros(kept.sum(), int)])
    draft = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return _table(crowd, day, {**draft, "position": position})


def _of_bucket(crowd: Crowd, chooser: Ints, draw: Floats) -> Ints:
    """Return somebody of the wanted bucket for each chooser; of an empty one, anybody."""
    order, starts = crowd.by_bucket
    first, size = starts[crowd.wants[chooser]], np.diff(starts)[crowd.wants[chooser]]
    found = order[np.minimum(first + (draw * size).astype(np.int64), len(order) - 1)]
    return np.asarray(found, dtype=np.int64)


def _of_gender(crowd: Crowd, chooser: Ints, skew: Floats, draw: Floats) -> Ints:
    """Return somebody of the sought gender for each chooser, the larger the skew the more known."""
    order, starts = crowd.by_gender
    sought = 1 - crowd.gender[chooser]
    place = starts[sought] + (draw**skew * np.diff(starts)[sought]).astype(np.int64)
    return np.asarray(order[np.minimum(place, len(order) - 1)], dtype=np.int64)


def _decisions(crowd: Crowd, chooser: Ints, shown: Ints, rng: np.random.Generator) -> Ints:
    """Return what each chooser did: those whom they want are mostly liked, the nearer in age."""
    apart = np.abs(crowd.age[chooser] - crowd.age[shown])
    liking = np.where(crowd.planted_pair(chooser, shown), 0.85, 0.15) * np.exp(-apart / 40.0)
    likes, which = rng.random(len(chooser)) < liking, rng.random(len(chooser))
    good = np.select([which < 0.9, which < 0.95], [_LIKE, _SUPER], _MESSAGE)
    bad = np.select([which < 0.9, which < 0.995], [_PASS, _DISLIKE], _BLOCK)
    return np.where(likes, good, bad)


def _table(crowd: Crowd, day: int, draft: Draft) -> pa.Table:
    order = np.argsort(draft["at"], kind="stable")
    at, chooser, shown, kind, position = (
        draft[name][order].astype(np.int64)
        for name in ("at", "chooser", "shown", "kind", "position")
    )
    sizes = np.diff(crowd.by_gender[1])
    share = 1.0 / np.maximum(sizes[1 - crowd.gender[chooser]], 1)
    logged = kind == _IMPRESSION
    numbers = day * 2 * crowd.per_day + np.arange(len(at))
    return pa.table(
        {
            "event_id": pa.array([f"e{number}" for number in numbers.tolist()]),
            "person": _ids(chooser),
            "other": _ids(shown),
            "type": pa.array(np.array(KINDS, dtype=object)[kind], pa.string()),
            "at": pa.array(START + at.astype("timedelta64[us]"), pa.timestamp("us")),
            "position": pa.array(position, mask=~logged),
            "propensity": pa.array(share, mask=~logged),
        }
    )


def _interests(crowd: Crowd, rng: np.random.Generator) -> pa.Array:
    """Return each person's interests, joined by `;`: two shared with the wanted
    circle, one of the own circle, and some of chance.
    """
    n, many = crowd.people, len(_INTERESTS)
    both = crowd.circle // 2
    topics = np.stack([2 * both % many, (2 * both + 5) % many, crowd.circle * 7 % many], axis=1)
    chance = rng.integers(0, many, (n, 2))
    codes = np.concatenate([topics, chance], axis=1)
    told = rng.random(codes.shape) < np.array([0.6, 0.6, 0.6, 0.8, 0.5])
    rows = zip(codes.tolist(), told.tolist(), strict=True)
    return pa.array(
        [
            ";".join(dict.fromkeys(_INTERESTS[c] for c, t in zip(row, tells, strict=True) if t))
            for row, tells in rows
        ],
        pa.string(),
    )


def _ids(rows: NDArray[np.generic]) -> pa.Array:
    return pa.array([f"p{row}" for row in rows.tolist()], pa.string())
