"""Training of matching: chosen on one period, judged on the next, learned again from everything."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from promise.data.source import Source
from promise.engine.memory import MemoryWatch
from promise.errors import ConfigError, DataError
from promise.job import Job
from promise.pipeline.order import Order, Outcome
from promise.pipeline.pipeline import Pipeline
from promise.records.history import History
from promise.workloads.matching.arena import Arena
from promise.workloads.matching.contents import contents_of, importance, recipe_of
from promise.workloads.matching.evaluate import judge
from promise.workloads.matching.ground import Ground, lay_ground
from promise.workloads.matching.learn import Learnt, learn, refitted
from promise.workloads.matching.presets import PRESETS, Preset
from promise.workloads.matching.snapshot import Basis, Snapshot
from promise.workloads.matching.stages import PairFeatures, RetrievePeople
from promise.workloads.matching.task import LIMIT, NAME, matching_task

_CHOOSING_SHARE = 0.4
"""Of the budget, for trying collaborative sources."""


def train_people(source: Source, order: Order, tell: Callable[[str], None]) -> Outcome:
    """Train a preset on people and their events, or on decided pairs."""
    watch = MemoryWatch(bound_mb=order.memory_mb)
    watch.start()
    try:
        preset, number = terms_of(order)
        number = _log_number(source, order, number)
        tell(f"reading people and events from {source.name}")
        ground = lay_ground(source, order)
        deadline_s = time.monotonic() + _CHOOSING_SHARE * order.budget_s
        job = Job(order.seed, deadline_s, order.memory_mb, order.threads)
        learnt = learn(ground, preset, job, tell)
        tell("judging on what came later")
        judged = judge(ground, learnt, job)
        tell("learning from everything")
        pipeline = pipeline_of(ground, learnt, job, number)
        contents = contents_of(source, ground, learnt, judged, seed=order.seed)
        return Outcome(
            pipeline=pipeline,
            contents=contents,
            metrics=judged.metrics,
            split=ground.cut.describe(),
            rows=ground.n_decisions,
            peak_memory_mb=watch.peak_mb,
            details={
                **details_of(ground, learnt, judged.details, judged.intervals),
                **_log_read(source),
            },
        )
    finally:
        watch.stop()


def terms_of(order: Order) -> tuple[Preset, int]:
    """Return the preset as the order changes it, and the number of the log's last event in it.

    Raises
    ------
    ConfigError
        For a value that is out of its range.
    """
    if order.start is not None:
        raise ConfigError(
            "people are learned anew from all their events, not from a version (--from): give "
            "--people PEOPLE --events EVENTS, old and new ones."
        )
    preset = PRESETS[order.preset]
    explored = _whole(order, "explored", preset.explored, 0, LIMIT)
    most_shown = _whole(order, "most_shown", 0, 0, 10**6)
    number = _whole(order, "number", 0, 0, 2**62)
    return replace(preset, explored=explored, most_shown=most_shown or None), number


def pipeline_of(ground: Ground, learnt: Learnt, job: Job, number: int) -> Pipeline:
    """Return the stages over everybody, the collaborative source learned from everything."""
    snapshot = Snapshot.of(ground.people, ground.deeds, number=number)
    model = refitted(learnt, Arena(ground.people, ground.deeds), job)
    find = RetrievePeople.over(Basis.of(snapshot, model), learnt.plan, job.seed)
    return Pipeline(
        task=matching_task(),
        retrieve=find,
        featurize=PairFeatures.over(find, mutual=learnt.rule != "one_sided"),
        score=learnt.scorer,
        decide=learnt.pick,
    )


def details_of(
    ground: Ground,
    learnt: Learnt,
    judged: dict[str, Any],
    intervals: dict[str, tuple[float, float]],
) -> dict[str, Any]:
    """Return what `promise train --json` tells beside the metrics."""
    return {
        "ci": {name: list(ends) for name, ends in intervals.items()},
        "people": ground.people.n,
        "chosen": recipe_of(learnt),
        "ladder": [one.to_json() for one in learnt.ladder],
        "sources": [] if learnt.source is None else [t.to_json() for t in learnt.source.tried],
        "not_tried": [] if learnt.source is None else list(learnt.source.told),
        "reciprocity": learnt.notes["reciprocity"],
        "importance": importance(learnt),
        **judged,
        "left_out": {
            "selves": ground.left.selves,
            "unknown_people": ground.left.unknown,
            "repeated": ground.left.repeated,
            "without_time": ground.left.no_time,
        },
        "columns": ground.columns,
        "told": list(ground.told),
    }


def _log_number(source: Source, order: Order, number: int) -> int:
    """Return the number of the last event that is learned from, as the log itself tells it.

    Raises
    ------
    ConfigError, DataError
        Where the number is told a second time, or the log is empty.
    """
    if not isinstance(source, History):
        return number
    if "number" in order.options:
        raise ConfigError(
            "a log tells its number itself; --set number is for files that were made from it."
        )
    if not source.n_events:
        name = source.model
        raise DataError(
            f"{source.name} has no events yet; import them by `promise events {name} FILE` (before "
            f"the first version: --workload {NAME}), people first, or train from files: "
            "--people PEOPLE --events EVENTS."
        )
    return source.head


def _log_read(source: Source) -> dict[str, Any]:
    if not isinstance(source, History):
        return {}
    return {"log": {"events": source.n_events, "number": source.head}}


def _whole(order: Order, key: str, usual: int, least: int, most: int) -> int:
    text = order.options.get(key)
    if text is None:
        return usual
    if not text.isdecimal() or not least <= int(text) <= most:
        raise ConfigError(f"--set {key}={text}: expected a whole number from {least} to {most}.")
    return int(text)
