"""How good a version is on decided pairs of whole groups, of which nothing was known before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from promise.data.columns import IntArray
from promise.data.source import Source
from promise.errors import DataError
from promise.features.people import People
from promise.job import Job
from promise.metrics.pointwise import OF_RANKINGS
from promise.pipeline.order import Later, Order
from promise.pipeline.pipeline import Pipeline
from promise.workloads.matching.arena import Arena
from promise.workloads.matching.evaluate import judge_lists, pair_scores, served
from promise.workloads.matching.ground import Meetings, read_meetings
from promise.workloads.matching.learn import Learnt, Scored
from promise.workloads.matching.lists import Lists
from promise.workloads.matching.moment import Moment
from promise.workloads.matching.pick import PickPeople
from promise.workloads.matching.presets import DEFAULT
from promise.workloads.matching.split import TEST
from promise.workloads.matching.stages import RetrievePeople
from promise.workloads.matching.tables import no_deeds


def judge_meetings(
    pipeline: Pipeline, source: Source, named: Mapping[str, str], lineage: Mapping[str, Any]
) -> Later:
    """Judge by the decisions of a table of pairs; of the version's own data by the sealed groups.

    Raises
    ------
    DataError
        Where the table has no groups, or nobody in it said yes.
    """
    read = read_meetings(source, dict(named), Order("", Path(), split="grouped"))
    if "group" not in read.roles:
        raise DataError(
            f"{source.name} does not tell who met whom in one group, as the version's data did; "
            f"name such a column as there: {lineage['cut']['column']!r}."
        )
    deeds, which = read.deeds, "all decisions"
    if lineage.get("fingerprint") == source.fingerprint():
        sides = np.array(lineage["cut"]["sides"])
        deeds, which = deeds.take(sides[deeds.group] == TEST), "the sealed groups"
    find, job = cast(RetrievePeople, pipeline.retrieve), Job(seed=7)
    people = _as_known(read.people, find.basis.snapshot.people)
    arena = Arena(people, no_deeds(), _groups(read))
    moment = Moment(arena, 0, None)
    requests = arena.requests(deeds, job.rng())
    if not requests.n:
        raise DataError(f"{source.name}: nobody said yes to anybody whom they seek.")
    learnt = _learnt(pipeline, find)
    seen = Lists.of(moment, requests, find.plan, job.seed)
    judged = judge_lists(served(seen, learnt), seen, deeds, job.seed)
    pairs = pair_scores(moment, learnt, deeds)
    told = {**judged.metrics, **pairs.values()}
    own = [metric.name for metric in OF_RANKINGS]
    return Later(
        y=np.ones(requests.n),
        output=np.column_stack([judged.each[name] for name in own]),
        metrics={k: v for k, v in told.items() if k not in own and np.isfinite(v)},
        split=f"{which} of {source.name}",
    )


def _learnt(pipeline: Pipeline, find: RetrievePeople) -> Learnt:
    """Return a version's stages as training judges them."""
    pick = cast(PickPeople, pipeline.decide)
    preset = replace(DEFAULT, explored=pick.explored, most_shown=pick.most_shown)
    scorer = cast(Scored, pipeline.score)
    return Learnt(preset, None, find.plan, scorer, rung="", rule=pick.rule, ladder=())


def _as_known(people: People, known: People) -> People:
    """Return people with the further numbers that a version reads, in its order; NaN for others."""
    own = {name: place for place, name in enumerate(people.words.extras)}
    extras = np.full((people.n, len(known.words.extras)), np.nan, people.extras.dtype)
    for place, name in enumerate(known.words.extras):
        if name in own:
            extras[:, place] = people.extras[:, own[name]]
    words = replace(people.words, extras=known.words.extras)
    return replace(people, words=words, extras=extras)


def _groups(read: Meetings) -> IntArray:
    found = np.full(read.people.n, -1, np.int64)
    for who in (read.deeds.chosen, read.deeds.chooser):
        found[who] = read.deeds.group
    return found
