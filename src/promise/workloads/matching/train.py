"""Training of matching: chosen on one period, judged on the next, learned again from everything."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from promise.data.source import Source
from promise.engine.memory import MemoryWatch
from promise.errors import ConfigError, DataError
from promise.job import Job
from promise.pipeline.artifact import read_manifest
from promise.pipeline.order import Order, Outcome
from promise.pipeline.pipeline import Pipeline
from promise.records.history import History
from promise.workloads.matching.arena import Arena
from promise.workloads.matching.contents import contents_of, importance, recipe_of
from promise.workloads.matching.evaluate import judge
from promise.workloads.matching.ground import Ground, lay_ground
from promise.workloads.matching.learn import Learnt, learn, refitted
from promise.workloads.matching.presets import PRESETS, Preset
from promise.workloads.matching.retrieve import Plan
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
        of_files = not isinstance(source, History) and "number" not in order.options
        tell(f"reading people and events from {source.name}")
        ground = lay_ground(source, order)
        deadline_s = time.monotonic() + _CHOOSING_SHARE * order.budget_s
        job = Job(order.seed, deadline_s, order.memory_mb, order.threads)
        learnt = learn(ground, preset, job, tell)
        tell("judging on what came later")
        judged = judge(ground, learnt, job)
        tell("learning from everything")
        pipeline = pipeline_of(ground, learnt, job, number, of_files=of_files)
        contents = contents_of(source, ground, learnt, judged, number=number, seed=order.seed)
        return Outcome(
            pipeline=pipeline,
            contents=contents,
            metrics=judged.metrics,
            split=ground.cut.describe(),
            rows=ground.n_decisions,
            peak_memory_mb=watch.peak_mb,
            details={
                **details_of(ground, learnt, judged.details, judged.intervals),
                **_log_read(source, order),
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
    preset = PRESETS[order.preset] if order.start is None else preset_again(order.start)
    explored = _whole(order, "explored", preset.explored, 0, LIMIT)
    most_shown = _whole(order, "most_shown", preset.most_shown or 0, 0, 10**6)
    number = _whole(order, "number", 0, 0, 2**62)
    return replace(preset, explored=explored, most_shown=most_shown or None), number


def preset_again(folder: Path) -> Preset:
    """Return the preset of a version, narrowed to what the version chose among it.

    Its source, plan, rule and policy are kept; vectors, ranker and rung follow from the data, and
    what the version had too few likes to choose is chosen now.

    Raises
    ------
    ConfigError
        Where it is a version of another workload.
    """
    workload = read_manifest(folder)["task"].get("workload")
    if workload != NAME:
        raise ConfigError(f"--from names a version of {workload}, not of {NAME}.")
    recipe = json.loads((folder / "pipeline.json").read_text(encoding="utf-8"))["recipe"]
    policy = json.loads((folder / "policy.json").read_text(encoding="utf-8"))
    preset, source = PRESETS[recipe["preset"]], recipe["source"]
    return replace(
        preset,
        sources=preset.sources if source is None else {source: preset.sources[source]},
        plans=preset.plans if source is None else (Plan.from_json(recipe["plan"]),),
        rules=(recipe["rule"],) if recipe["rule"] != "one_sided" else preset.rules,
        explored=policy["explored"],
        most_shown=policy["most_shown"],
    )


def pipeline_of(
    ground: Ground, learnt: Learnt, job: Job, number: int, *, of_files: bool = False
) -> Pipeline:
    """Return the stages over everybody, the collaborative source learned from everything.

    Parameters
    ----------
    number
        Of the last event of the model's log that is learned from.
    of_files
        Whether files told events that the log may tell again after that number.
    """
    snapshot = Snapshot.of(ground.people, ground.deeds, number=number, of_files=of_files)
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
        return number if order.log is None else order.log.head
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


def _log_read(source: Source, order: Order) -> dict[str, Any]:
    log = source if isinstance(source, History) else order.log
    return {} if log is None else {"log": {"events": log.n_events, "number": log.head}}


def _whole(order: Order, key: str, usual: int, least: int, most: int) -> int:
    text = order.options.get(key)
    if text is None:
        return usual
    if not text.isdecimal() or not least <= int(text) <= most:
        raise ConfigError(f"--set {key}={text}: expected a whole number from {least} to {most}.")
    return int(text)
