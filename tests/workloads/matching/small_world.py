"""A few dozen people of which everything can be worked out slowly, for the tests of this room."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from promise.features.people import People
from promise.features.people_reading import read_people
from promise.job import Job
from promise.models.implicit import ImplicitFactors
from promise.pipeline.finding import Told
from promise.workloads.matching.kinds import KINDS
from promise.workloads.matching.overlay import World, microseconds
from promise.workloads.matching.snapshot import Basis, Snapshot
from promise.workloads.matching.tables import Deeds

START = datetime(2024, 5, 1, 12, tzinfo=UTC)
GENDERS, SEEKS = ("f", "m", None), ("f", "m", "f;m", None)
PLACES, INTERESTS = ("Oslo", "Rome", None), ("chess", "jazz", "hiking", "go", "poetry")

Event = tuple[str, str, str]
"""Who, what, to whom."""


def profile(seed: int) -> dict[str, Any]:
    """Somebody by chance, with parts left out."""
    rng = np.random.default_rng([seed, 11])
    liked = [word for word in INTERESTS if rng.random() < 0.4]
    return {
        "age": int(rng.integers(20, 45)) if rng.random() < 0.9 else None,
        "place": PLACES[rng.integers(0, 3)],
        "gender": GENDERS[rng.choice(3, p=(0.45, 0.45, 0.1))],
        "seeks": SEEKS[rng.integers(0, 4)],
        "interests": ";".join(liked),
        "joined_at": (START - timedelta(days=int(rng.integers(0, 300)))).isoformat(),
    }


def folk(profiles: dict[str, dict[str, Any]]) -> People:
    """These people as a table."""
    fields = ("age", "place", "gender", "seeks", "interests", "joined_at")
    columns = {name: [one[name] for one in profiles.values()] for name in fields}
    return read_people({"id": list(profiles), **columns})


def profiles(n: int, seed: int = 0) -> dict[str, dict[str, Any]]:
    """So many by chance: `p0`, `p1`, …"""
    return {f"p{i}": profile(seed * 1000 + i) for i in range(n)}


def anybody(n: int) -> dict[str, dict[str, Any]]:
    """So many who all may meet one another."""
    same = {"gender": None, "seeks": None}
    return {id: {**one, **same} for id, one in profiles(n).items()}


def log(events: Iterable[Event], first: int = 1, at: datetime = START) -> list[Told]:
    """Events as a log tells them, a minute apart."""
    return [
        Told(first + i, who, whom, what, at + timedelta(minutes=i))
        for i, (who, what, whom) in enumerate(events)
    ]


def deeds(people: People, told: Sequence[Told]) -> Deeds:
    """Events as a table of training has them; those of strangers are left out."""
    code = {id: i for i, id in enumerate(people.ids.tolist())}
    rows = [one for one in told if one.entity in code and one.other in code and one.type in KINDS]
    m = len(rows)
    return Deeds(
        chooser=np.array([code[one.entity] for one in rows], np.int32),
        chosen=np.array([code[one.other] for one in rows], np.int32),
        kind=np.array([KINDS.index(one.type) for one in rows], np.int8),
        at_us=np.array([microseconds(one.at) for one in rows], np.int64),
        position=np.full(m, np.nan, np.float32),
        propensity=np.full(m, np.nan, np.float32),
        group=np.full(m, -1, np.int32),
        row=np.arange(m),
    )


def basis(people: People, told: Sequence[Told] = (), *, tastes: bool = False) -> Basis:
    """What a version knows of these people; `tastes` learns vectors of four numbers."""
    snapshot = Snapshot.of(people, deeds(people, told), until_us=microseconds(START))
    if not tastes:
        return Basis.of(snapshot)
    source = ImplicitFactors(size=4).fit(snapshot.likes, Job(seed=1))
    return Basis.of(snapshot, source)


def world(people: People, told: Sequence[Told] = (), *, tastes: bool = False) -> World:
    """A world over a version that learned from these events."""
    own = people.take(np.arange(people.n))  # a world changes profiles in place
    return World(basis(own, told, tastes=tastes))


def seeks(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Say whether one seeks somebody like the other."""
    if one["seeks"] is None:
        return True
    return other["gender"] is not None and other["gender"] in one["seeks"].split(";")


def eligible(everybody: dict[str, dict[str, Any]], who: str, events: Iterable[Event]) -> set[str]:
    """Return whom a person may meet, as one would look it up by hand."""
    closed = {who}
    for a, what, b in events:
        if what == "block" and who in (a, b):
            closed |= {a, b}
        if a == who and what != "impression":
            closed.add(b)
    me = everybody[who]
    told = any(me[name] for name in ("age", "place", "gender", "seeks", "interests"))
    return {
        id
        for id, one in everybody.items()
        if id not in closed
        and seeks(me, one)
        and (seeks(one, me) or (me["gender"] is None and not told))
    }
