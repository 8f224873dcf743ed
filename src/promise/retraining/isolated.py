"""The training itself, in a process of its own that serving hardly notices."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from promise.clock import SteadyClock
from promise.engine.local import LocalEngine
from promise.engine.memory import available_mb
from promise.errors import FitFailed, PromiseError
from promise.pipeline.order import workload_named
from promise.registry.versions import Version
from promise.retraining.gather import Gathered
from promise.retraining.lease import admit_holder
from promise.retraining.lists import GatheredEvents, again
from promise.rollout.leases import Leases
from promise.settings import Settings
from promise.state.database import Database
from promise.training.train import train_version

_NICE = 10
_MEMORY_SHARE = 0.5
_LOOK_S = 1.0


@dataclass(frozen=True)
class Bounds:
    """What a training may take of the machine.

    Parameters
    ----------
    threads
        By default half of the machine's, so that requests find the others.
    memory_mb
        By default half of what is free when it begins.
    """

    threads: int | None = None
    memory_mb: float | None = None

    def filled(self) -> Bounds:
        """Return the bounds with their defaults for this machine, as it is now."""
        threads = self.threads or max(1, (os.cpu_count() or 1) // 2)
        return Bounds(threads, self.memory_mb or _MEMORY_SHARE * available_mb())


@dataclass(frozen=True)
class Errand:
    """Everything that the training process needs to know; picklable.

    Parameters
    ----------
    run
        Number of the retraining, kept in the new version's lineage.
    holder
        Who must hold the lease when the version is registered.
    """

    settings: Settings
    version: Version
    gathered: Gathered | GatheredEvents
    run: int
    holder: str
    threads: int
    memory_mb: float


def train_apart(errand: Errand, check: Callable[[], None]) -> int:
    """Train a version again in a process of its own; return the new version's number.

    Parameters
    ----------
    check
        Called about every second; what it raises ends the training.

    Raises
    ------
    PromiseError
        What the training could not do, or that it was killed for its memory.
    """
    with LocalEngine(threads=errand.threads, memory_mb=errand.memory_mb) as engine:
        name = f"retraining of {errand.version.name}"
        handle = engine.submit(_train, errand, name=name, threads=errand.threads)
        while not handle.done:
            engine.wait([handle], timeout_s=_LOOK_S)
            check()
        try:
            return handle.result()
        except FitFailed as failed:
            cause = failed.__cause__
            raise (cause if isinstance(cause, PromiseError) else failed) from None


def _train(errand: Errand) -> int:
    """Train and register; runs in the process that `train_apart` starts."""
    os.nice(_NICE)
    version, settings = errand.version, errand.settings
    clock = SteadyClock()
    leases = Leases(Database(settings.database), clock)
    leases.holder("")  # its table is there before the transaction that reads it
    data, terms = _terms(errand)
    trained = train_version(
        version.workload,
        data,
        name=version.name,
        settings=settings,
        lineage={"retraining": {"run": errand.run}, "parents": [str(version)]},
        admit=partial(admit_holder, leases=leases, name=version.name, holder=errand.holder),
        threads=errand.threads,
        memory_mb=errand.memory_mb,
        **terms,
    )
    return trained.version.number


def _terms(errand: Errand) -> tuple[Any, dict[str, Any]]:
    """Return the data, and what the order says: the version's pipeline again, or its preset."""
    version, gathered = errand.version, errand.gathered
    seed = int(version.lineage.get("seed", 7))
    if isinstance(gathered, GatheredEvents):
        data, terms = again(version, gathered)
        return data, {**terms, "seed": seed}
    workload = workload_named(version.workload)
    if workload.again and not workload.climbs:
        return gathered.train, {"start": str(version), "split": gathered.rule, "seed": seed}
    order = version.lineage.get("order") or {}
    kept = ("preset", "columns", "split", "options")
    terms = {"seed": seed, **{key: order[key] for key in kept if key in order}}
    if workload.climbs:  # a column that set other rows apart is not told by answers
        terms["split"] = gathered.rule
    if workload.restored is not None:
        terms["options"] = workload.restored(version.folder, terms.get("options") or {})
    return gathered.train, terms
