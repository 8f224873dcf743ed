"""How good a version's lists are by events that came after it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from promise.data.columns import Columns
from promise.data.source import Source
from promise.errors import DataError
from promise.features.people import People
from promise.metrics.pointwise import OF_RANKINGS
from promise.metrics.ranking import Wanted, coverage, each_request, exposure_gini
from promise.pipeline.order import Later, Order
from promise.pipeline.pipeline import Pipeline
from promise.workloads.matching.arena import MOST_REQUESTS, interest
from promise.workloads.matching.ground import is_of_pairs, read_meetings
from promise.workloads.matching.judged_meetings import judge_meetings
from promise.workloads.matching.kinds import is_positive
from promise.workloads.matching.stages import ID, RetrievePeople
from promise.workloads.matching.tables import Deeds, read_events
from promise.workloads.matching.task import LIMIT


def judge_later(pipeline: Pipeline, source: Source, lineage: Mapping[str, Any]) -> Later:
    """Judge the lists of a version as they stand by the yeses that came after it.

    A version that was trained on whole groups of decided pairs is judged on such a table.

    Raises
    ------
    DataError
        Where no event is later than the version, or nobody of it said yes to anybody of it.
    """
    find = pipeline.retrieve
    assert isinstance(find, RetrievePeople), "matching retrieves people"
    snapshot = find.basis.snapshot
    roles = (lineage.get("order") or {}).get("columns") or {}
    named = {column: role for column, role in roles.items() if column in source.columns}
    if (lineage.get("cut") or {}).get("kind") == "grouped":
        return judge_meetings(pipeline, source, named, lineage)
    if is_of_pairs(source, named):
        deeds = _deeds_of(source, named, snapshot.people)
    else:
        deeds, _, _ = read_events(source, named, snapshot.people.ids)
    later = deeds.between(snapshot.until_us, None)
    moment = _EPOCH + timedelta(microseconds=snapshot.until_us)
    if not later.n:
        raise DataError(
            f"{source.name} has no event of known people after {moment:%Y-%m-%d %H:%M:%S}, until "
            "when the version has learned; give later events. What it was judged by when it was "
            "trained: `promise models show`."
        )
    yes = later.take(is_positive(later.kind))
    fresh = np.array(
        [b not in snapshot.seen.row(a)[0] for a, b in zip(yes.chooser, yes.chosen, strict=True)],
        dtype=bool,
    )
    yes = yes.take(fresh)
    both = interest(snapshot.people, yes.chooser, yes.chosen)
    yes = yes.take(both & interest(snapshot.people, yes.chosen, yes.chooser))
    rows = np.unique(yes.chooser)[:MOST_REQUESTS].astype(np.int64)
    if not len(rows):
        raise DataError(f"{source.name}: nobody said yes to somebody new after {moment:%Y-%m-%d}.")
    place = np.minimum(np.searchsorted(rows, yes.chooser), len(rows) - 1)
    kept = rows[place] == yes.chooser
    wanted = Wanted.of_pairs(place[kept], yes.chosen[kept].astype(np.int64), len(rows))
    names = np.array(snapshot.people.ids[rows].tolist(), dtype=object)
    lists = pipeline.output(Columns({ID: names}))[:, :LIMIT].astype(np.int64)
    each = each_request(wanted.found(lists), wanted.counts)
    return Later(
        y=np.ones(len(rows)),
        output=np.column_stack([each[metric.name] for metric in OF_RANKINGS]),
        metrics={
            "coverage": coverage(lists, snapshot.n),
            "exposure_gini": exposure_gini(lists, snapshot.n),
        },
        split=f"the yeses of {source.name} from {moment:%Y-%m-%d %H:%M:%S} on",
    )


def _deeds_of(source: Source, named: dict[str, str], people: People) -> Deeds:
    """Return decided pairs as deeds of a version's people."""
    read = read_meetings(source, named, Order("", Path()))
    if not read.by_time:
        raise DataError(
            f"{source.name} does not tell when decisions were taken, so that none is sure to be "
            "later than what the version has learned; name the column by training with "
            "--column at=NAME, or give later events."
        )
    code = {id: place for place, id in enumerate(people.ids.tolist())}
    codes = np.array([code.get(id, -1) for id in read.people.ids.tolist()], np.int32)
    deeds = read.deeds
    moved = replace(deeds, chooser=codes[deeds.chooser], chosen=codes[deeds.chosen])
    return moved.take((moved.chooser >= 0) & (moved.chosen >= 0))


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
