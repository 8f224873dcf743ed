"""Versions side by side: the lists that each would have given, judged by what came after."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np

from promise.data.columns import IntArray
from promise.data.rows import even_rows
from promise.errors import DataError
from promise.features.people_ids import NOBODY
from promise.metrics.pointwise import OF_RANKINGS
from promise.metrics.ranking import Wanted, each_request
from promise.pipeline.finding import FORGET, Asked, Told
from promise.pipeline.order import Later
from promise.workloads.matching.finder import PeopleFinder
from promise.workloads.matching.kinds import KINDS, POSITIVE
from promise.workloads.matching.overlay import microseconds
from promise.workloads.matching.quest import begin
from promise.workloads.matching.task import LIMIT

MOST_ASKED = 2_000
"""So many people are asked for at most, evenly spread: more would tell no more."""
_YES = frozenset(KINDS[code] for code in POSITIVE)


def judge_rivals(
    folders: Sequence[Path], log: Iterable[Sequence[Told]], number: int
) -> tuple[Later, ...]:
    """Judge versions by the yeses that their log tells after an event.

    Each version takes what it has not learned from, up to that event, as it does where it serves;
    then everybody who said yes later to somebody who could be offered is listed by each of them.

    Raises
    ------
    DataError
        Where nobody said yes later to somebody who could be offered.
    """
    finders = [PeopleFinder.open(folder) for folder in folders]
    wanted: dict[str, dict[str, None]] = {}
    at: datetime | None = None
    for page in log:
        known = [event for event in page if event.number <= number]
        for finder in finders:
            finder.take(known)
        at = max([at, *(e.at for e in known)] if at else [e.at for e in known], default=at)
        for event in page[len(known) :]:
            if event.type in _YES:
                wanted.setdefault(event.entity, {})[event.other] = None
            elif event.type == FORGET:
                wanted.pop(event.entity, None)
    asked = {} if at is None else _offered(finders[0], wanted, at)
    if at is None or not asked:
        raise DataError(
            "the log tells of nobody who said yes later to somebody who could be offered, so that "
            "nothing can be compared; wait for more events."
        )
    return tuple(_later(finder, asked, at) for finder in finders)


def _offered(
    finder: PeopleFinder, wanted: dict[str, dict[str, None]], at: datetime
) -> dict[str, list[str]]:
    """Return who said yes to whom of those who could be offered to them at the moment."""
    world, found = finder.world, {}
    for id, others in wanted.items():
        quest = begin(world, Asked(id), microseconds(at), 0)
        named = [(other, world.register.code(other)) for other in others]
        there = [(other, code) for other, code in named if code != NOBODY]
        if quest.code == NOBODY or not there:
            continue
        kept = quest.allowed(np.array([code for _, code in there], np.int64))
        fresh = [other for (other, _), ok in zip(there, kept, strict=True) if ok]
        if fresh:
            found[id] = fresh
    ids = list(found)
    return {ids[row]: found[ids[row]] for row in even_rows(len(ids), MOST_ASKED)}


def _later(finder: PeopleFinder, asked: dict[str, list[str]], at: datetime) -> Later:
    """Return how good one version's lists are."""
    code = finder.world.register.code
    lists = np.full((len(asked), LIMIT), NOBODY, np.int64)
    request: list[int] = []
    items: list[int] = []
    for row, (id, others) in enumerate(asked.items()):
        shown = finder.find(Asked(id, limit=LIMIT), at)["items"]
        lists[row, : len(shown)] = [code(item["id"]) for item in shown]
        request += [row] * len(others)
        items += [code(other) for other in others]
    wanted = Wanted.of_pairs(_ints(request), _ints(items), len(asked))
    each = each_request(wanted.found(lists), wanted.counts)
    return Later(
        y=np.ones(len(asked)),
        output=np.column_stack([each[metric.name] for metric in OF_RANKINGS]),
        metrics={},
        split=f"the yeses after {at:%Y-%m-%d %H:%M:%S} of {len(asked):,} people",
    )


def _ints(values: list[int]) -> IntArray:
    return np.array(values, dtype=np.int64)
