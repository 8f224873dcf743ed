"""Seeded transactions with planted frauds, for tests, guides and benchmarks of any size.

Four kinds are planted, each to be found by one kind of feature alone:

`burst`   a stolen card pays several times within the hour: velocity and amount;
`shop`    a compromised shop, for some days: delayed rates of the counterpart;
`device`  one device pays with many cards: distinct cards and delayed rates of the device;
`ring`    new cards that share an address, at ordinary shops and amounts: the address's neighbours.

Amounts, hours and shops of `device` and `ring` frauds are drawn as those of honest ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

KINDS = ("none", "burst", "shop", "device", "ring")
START = np.datetime64("2024-01-01", "us")
_DAY_US = 86_400_000_000
_HOUR_US = _DAY_US // 24
_MINUTE_US = 60_000_000
_AGENTS = pa.array(["app 4.1", "app 4.2", "firefox", "chrome", "safari"])
_CITIES = pa.array(["oslo", "rome", "lima", "graz", "bonn", "cork"])

Ints = NDArray[np.int64]
Draft = dict[str, Ints]
"""One day's events before they are sorted: column to whole numbers."""


@dataclass(frozen=True)
class World:
    """Who there is, and which frauds are planted when.

    Parameters
    ----------
    cards, shops
        How many there are.
    per_day
        Events each day.
    intensity
        How many of each kind of attack start on a day, on average.
    """

    days: int = 90
    per_day: int = 400
    cards: int = 800
    shops: int = 150
    intensity: float = 0.15
    seed: int = 7

    def attacks(self, kind: str) -> tuple[Ints, Ints]:
        """Return the first day and the target of each attack of a kind."""
        rng = np.random.default_rng([self.seed, KINDS.index(kind)])
        n = max(1, round(self.intensity * self.days))
        targets = self.shops if kind == "shop" else self.cards
        return rng.integers(0, self.days, n), rng.integers(0, targets, n)


def fraud_events(world: World | None = None, *, planted: bool = False) -> pa.Table:
    """Return the transactions of a world in order of time.

    Parameters
    ----------
    planted
        Whether a last column names the kind of fraud; no model may read it.

    Examples
    --------
    >>> table = fraud_events(World(days=3, per_day=50))
    >>> table.num_rows, table.column_names[:5]
    (150, ['event_id', 'when', 'card', 'shop', 'amount'])
    """
    table = pa.concat_tables(event_days(world or World()))
    return table if planted else table.drop_columns(["planted"])


def event_days(world: World) -> Iterator[pa.Table]:
    """Yield the transactions day by day, so that a world of any size fits into memory."""
    for day in range(world.days):
        yield _day(world, day)


def _day(world: World, day: int) -> pa.Table:
    rng = np.random.default_rng([world.seed, 99, day])
    n = world.per_day
    card = (world.cards * rng.random(n) ** 1.5).astype(np.int64)
    draft: Draft = {
        "at": np.sort(_clock(rng, n)) + day * _DAY_US,
        "card": card,
        "shop": (card + rng.integers(0, 12, n) ** 2) % world.shops,
        "cents": (100 * (20 + (card * 7919) % 60) * rng.lognormal(0.0, 0.5, n)).astype(np.int64),
        "device": 2 * card + (rng.random(n) < 0.2),
        "address": card % (world.cards // 2 + 1),
        "kind": np.zeros(n, np.int64),
    }
    for plant in (_plant_shops, _plant_devices, _plant_rings, _plant_bursts):
        plant(world, day, rng, draft)
    order = np.argsort(draft["at"], kind="stable")
    return _table(day * n, {name: values[order] for name, values in draft.items()})


def _table(first: int, draft: Draft) -> pa.Table:
    kind, shop, device = draft["kind"], draft["shop"], draft["device"]
    return pa.table(
        {
            "event_id": pa.array(first + np.arange(len(kind))),
            "when": pa.array(START + draft["at"].astype("timedelta64[us]")),
            "card": _named("c", draft["card"]),
            "shop": _named("s", shop),
            "amount": draft["cents"] / 100,
            "device": _named("d", device),
            "ip": _named("10.0.", draft["address"]),
            "user_agent": _AGENTS.take(pa.array((device * 31) % len(_AGENTS))),
            "city": _CITIES.take(pa.array((shop * 17) % len(_CITIES))),
            "fraud": pa.array((kind > 0).astype(np.int64)),
            "planted": pa.array(KINDS).take(pa.array(kind)),
        }
    )


def _clock(rng: np.random.Generator, n: int) -> Ints:
    """Return times of day: few at night."""
    hours = np.clip(rng.normal(14.0, 4.0, n), 0.0, 23.999)
    return (hours * _HOUR_US).astype(np.int64)


def _open(world: World, kind: str, day: int, length: int) -> list[tuple[int, int]]:
    """Return the attacks of a kind that go on today: target and number."""
    first, target = world.attacks(kind)
    now = np.flatnonzero((first <= day) & (day < first + length))
    return [(int(target[i]), int(i)) for i in now]


def _plant_shops(world: World, day: int, rng: np.random.Generator, draft: Draft) -> None:
    for target, _ in _open(world, "shop", day, 20):
        here = (draft["shop"] == target) & (draft["kind"] == 0)
        draft["kind"][here & (rng.random(len(here)) < 0.5)] = KINDS.index("shop")


def _plant_devices(world: World, day: int, rng: np.random.Generator, draft: Draft) -> None:
    for _, number in _open(world, "device", day, 10):
        rows = _honest(rng, draft, 2)
        draft["kind"][rows] = KINDS.index("device")
        draft["device"][rows] = 2 * world.cards + 10 + number


def _plant_rings(world: World, day: int, rng: np.random.Generator, draft: Draft) -> None:
    """Each card of a ring is new and pays once, so that only the address ties them together."""
    for _, number in _open(world, "ring", day, 10):
        rows = _honest(rng, draft, 2)
        members = world.cards + 1 + (day * world.per_day + rows)
        draft["kind"][rows] = KINDS.index("ring")
        draft["card"][rows], draft["device"][rows] = members, 4 * world.cards + 2 * members
        draft["address"][rows] = world.cards + number


def _plant_bursts(world: World, day: int, rng: np.random.Generator, draft: Draft) -> None:
    """A card that was never seen at these shops pays every four minutes, four times as much."""
    for target, _ in _open(world, "burst", day, 1):
        rows = _honest(rng, draft, 6)
        begun = draft["at"][rows[:1]]
        draft["kind"][rows] = KINDS.index("burst")
        draft["card"][rows], draft["device"][rows] = target, 2 * target
        draft["address"][rows] = target % (world.cards // 2 + 1)
        draft["at"][rows] = begun + np.arange(len(rows)) * 4 * _MINUTE_US
        draft["cents"][rows] *= 4


def _honest(rng: np.random.Generator, draft: Draft, n: int) -> Ints:
    """Draw some rows that are not yet part of a fraud."""
    free = np.flatnonzero(draft["kind"] == 0)
    return rng.choice(free, min(n, len(free)), replace=False)


def _named(prefix: str, codes: Ints) -> pa.Array:
    """Return codes as texts, each distinct one made once."""
    distinct, places = np.unique(codes, return_inverse=True)
    texts = pa.array([f"{prefix}{code}" for code in distinct.tolist()], pa.string())
    return texts.take(pa.array(places))
