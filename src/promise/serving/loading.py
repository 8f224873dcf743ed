"""From a registered version to one that answers: verified, recomputed, warmed, compiled."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from promise.data.columns import Array, Columns
from promise.data.schema import Schema
from promise.errors import ArtifactError, PromiseError
from promise.features.keyed import Keyed
from promise.features.view import refuse_other_versions
from promise.pipeline.artifact import (
    golden_difference,
    load_pipeline,
    read_manifest,
)
from promise.pipeline.as_sent import golden_bodies
from promise.pipeline.bind import Bound, bind, heuristic_answer
from promise.pipeline.finding import Asked, Warms
from promise.pipeline.order import Workload, lists_workload, workload_named
from promise.pipeline.pipeline import Pipeline
from promise.pipeline.policy import PREDICTION, Threshold
from promise.pipeline.rehearsal import Rehearsal
from promise.pipeline.task import Task
from promise.records.events import Events
from promise.registry.versions import Version
from promise.serving.finding import Follower
from promise.state.files import check_digests, sha256

_WARM_ROWS = 50
_WARM_LISTS = 5


@dataclass(frozen=True)
class Loaded:
    """A version in memory: checked, compiled, warmed with its golden rows.

    Parameters
    ----------
    bound
        For the serving loop's thread alone; other threads bind the pipeline for themselves.
    fingerprint
        Of its files and feature versions: part of the cache key.
    heuristic
        The answer of last resort, without the model; None where the workload has none.
    cache_s
        How long an answer may be kept, as the workload declares it; 0 for never.
    one_ms
        What one row took when it was warmed, at the median.
    follower
        What answers with lists; None where rows are answered.
    """

    version: Version
    pipeline: Pipeline
    bound: Bound
    fingerprint: str
    heuristic: dict[str, Any] | None = None
    cache_s: float = 0.0
    one_ms: float = 0.0
    follower: Follower | None = None

    @property
    def schema(self) -> Schema:
        """What one row of a request holds."""
        return self.pipeline.task.request


@dataclass(frozen=True)
class Remains:
    """What is left of a version that could not be loaded, as long as its manifest can be read.

    Parameters
    ----------
    schema
        What one row of a request holds, so that a bad one is told apart.
    heuristic
        The answer without the model; None where the workload has none.
    """

    schema: Schema
    heuristic: dict[str, Any] | None


def load_version(version: Version, events: Events | None = None) -> Loaded:
    """Load a version for serving.

    Parameters
    ----------
    events
        The log that versions follow which answer with lists.

    Raises
    ------
    PromiseError
        A file is missing or changed, the manifest is another one than was registered, a kind is
        unknown here, or the golden rows do not give the digits that were kept.
    """
    folder = version.folder
    if not (folder / "manifest.json").is_file():
        raise ArtifactError(f"{folder}: manifest.json is missing; restore the folder.")
    if sha256(folder / "manifest.json") != version.digest:
        raise ArtifactError(
            f"{version}: its manifest is not the one that was registered; restore the folder "
            "from a backup or train again."
        )
    lists = lists_workload(version.workload)
    if lists is not None and events is not None:
        return _load_lists(version, lists, events)
    pipeline = load_pipeline(folder)
    if isinstance(pipeline.featurize, Keyed):
        views = pipeline.featurize.features.views
        refuse_other_versions(views, read_manifest(folder)["views"])
    bound = bind(pipeline)
    return Loaded(
        version=version,
        pipeline=pipeline,
        bound=bound,
        fingerprint=version.digest[:16],
        heuristic=_heuristic(pipeline),
        cache_s=_lifetime(version.workload),
        one_ms=_check_and_warm(version, pipeline, bound),
    )


def _load_lists(version: Version, workload: Workload, events: Events) -> Loaded:
    """Open a version's finder, let it take what happened since it was trained, and warm it."""
    folder, clock = version.folder, events.clock
    manifest = read_manifest(folder)
    check_digests(folder, manifest["digests"])
    assert workload.finder is not None, "it answers with lists"
    finder = workload.finder(folder)
    follower = Follower(version.name, finder, events, clock, lifetime_s=workload.cache_s)
    follower.follow(math.inf)
    if isinstance(finder, Warms):
        finder.warm()
    took = []
    for draw in range(_WARM_LISTS):
        began = time.perf_counter()
        finder.find(Asked(None, draw=draw), clock.now())
        took.append(1e3 * (time.perf_counter() - began))
    pipeline = _without_stages(Task.from_json(manifest["task"]))
    return Loaded(
        version=version,
        pipeline=pipeline,
        bound=bind(pipeline),
        fingerprint=version.digest[:16],
        cache_s=workload.cache_s,
        one_ms=float(np.median(took)),
        follower=follower,
    )


def _without_stages(task: Task) -> Pipeline:
    """Return a pipeline that stands for its task alone."""
    return Pipeline(task=task, score=_NoScore(), decide=Threshold(task.answer))  # type: ignore[arg-type]


def remains_of(version: Version) -> Remains | None:
    """Return what the manifest alone allows to answer; None where it is damaged too."""
    try:
        task = Task.from_json(read_manifest(version.folder)["task"])
        heuristic = _heuristic(_without_stages(task))
    except (PromiseError, OSError, KeyError, ValueError, TypeError):
        return None
    return Remains(task.request, heuristic)


class _NoScore:
    """Stands where a scorer would: the answer of last resort needs none."""

    def many(self, columns: Columns) -> Array:  # noqa: ARG002 — the stage's signature
        raise ArtifactError("the scorer of this version could not be loaded.")


def _heuristic(pipeline: Pipeline) -> dict[str, Any] | None:
    try:
        answer = heuristic_answer(pipeline)
    except (PromiseError, ValueError, IndexError):
        return None
    return None if answer[PREDICTION] is None else answer


def _lifetime(workload: str) -> float:
    try:
        return float(getattr(workload_named(workload), "cache_s", 0.0))
    except PromiseError:  # a workload that is not installed here can still be answered
        return 0.0


def _check_and_warm(version: Version, pipeline: Pipeline, bound: Bound) -> float:
    """Recompute the golden rows exactly, then answer them as requests; return the median in ms."""
    if not (version.folder / "golden.arrow").is_file():
        return 0.0
    difference = golden_difference(pipeline, version.folder)
    if difference != 0.0:
        raise ArtifactError(
            f"{version}: the golden rows are answered differently than when it was trained "
            f"(largest difference {difference:.3g}); the libraries here differ from those of the "
            "training: run `promise doctor`."
        )
    took, rehearsal = [], Rehearsal(pipeline, bound)
    bodies = list(islice(golden_bodies(version.folder, pipeline.task.request), _WARM_ROWS))
    for body in bodies * max(1, _WARM_ROWS // max(1, len(bodies))):
        began = time.perf_counter()
        rehearsal.answer(body)
        took.append(1e3 * (time.perf_counter() - began))
    return float(np.median(took)) if took else 0.0
