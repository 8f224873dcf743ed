"""What a workload is told to train, and what it hands back to be registered."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from promise.data.columns import Array, Columns
from promise.data.source import Source
from promise.errors import PromiseError
from promise.models.base import Registry
from promise.pipeline.artifact import Contents
from promise.pipeline.finding import ENCOUNTERS, Finder, Told
from promise.pipeline.one import One
from promise.pipeline.pipeline import Pipeline
from promise.promises.spec import Promise
from promise.records.history import History

WORKLOADS = Registry("promise.workloads")
"""Every workload that is installed."""


@dataclass(frozen=True)
class Order:
    """What to train and on which terms.

    Parameters
    ----------
    columns
        Column to role, as `--column ROLE=NAME` says it the other way round.
    start
        Folder of the version whose pipeline is trained again, or None.
    full
        Whether every row is used, streaming.
    gap_s
        Seconds before a temporal cutoff whose rows are not learned from, since their labels were
        not known then.
    work
        Where checkpoints live; a resumed order finds them there.
    split
        The rule as `--split` says it, for workloads that have rules of their own.
    people
        Where the profiles of people lie, for workloads whose data are their events.
    forgotten
        Says which of some ids asked to be deleted; None where nobody is asked.
    log
        What the model's own log tells beside the data, for workloads that learn from events.
    options
        What only this workload understands, as `--set KEY=VALUE` says it.
    """

    name: str
    work: Path
    target: str | None = None
    columns: dict[str, str] = field(default_factory=dict)
    preset: str = "default"
    start: Path | None = None
    full: bool = False
    budget_s: float = 600.0
    gap_s: float = 0.0
    trials: int | None = None
    memory_mb: float | None = None
    threads: int = 2
    seed: int = 7
    resume: bool = False
    split: str | None = None
    people: str | None = None
    forgotten: Callable[[Iterable[str]], set[str]] | None = None
    log: History | None = None
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """A trained pipeline and what belongs into its version.

    Parameters
    ----------
    metrics
        All metrics of the task on the rows that `split` names.
    rows
        How many rows it learned from.
    details
        What else `promise train --json` tells, JSON-ready: further splits, baselines, curves.
    """

    pipeline: Pipeline
    contents: Contents
    metrics: dict[str, float]
    split: str
    rows: int
    peak_memory_mb: float
    details: dict[str, Any] = field(default_factory=dict)


class Training(Protocol):
    """How a workload trains."""

    def __call__(self, source: Source, order: Order, tell: Callable[[str], None]) -> Outcome:
        """Train as ordered; `tell` hears what is going on."""
        ...


@dataclass(frozen=True)
class Later:
    """What later events say of a version's lists.

    Parameters
    ----------
    y, output
        One row for each request: as `evaluation.arrow` keeps them.
    metrics
        What is told of all lists together.
    """

    y: Array
    output: Array
    metrics: dict[str, float]
    split: str


class Judge(Protocol):
    """How a workload judges a version on data that it has not learned from."""

    def __call__(self, pipeline: Pipeline, source: Source, lineage: Mapping[str, Any]) -> Later:
        """Judge on a source; the version's lineage tells what it has learned from, and how."""
        ...


class Rivals(Protocol):
    """How a workload that answers with lists judges versions side by side."""

    def __call__(
        self, folders: Sequence[Path], log: Iterable[Sequence[Told]], number: int
    ) -> tuple[Later, ...]:
        """Judge versions by what their log tells after an event, of which none has learned.

        Parameters
        ----------
        log
            Pages of the log in its order; each version takes what it has not learned from.
        number
            Of the last event that is known when lists are asked for.
        """
        ...


@dataclass(frozen=True)
class Workload:
    """A kind of question that Promise knows how to train, under its entry-point name.

    A workload that needs none of the optional parts leaves them out.

    Parameters
    ----------
    summary
        Input → answer, as listings show it.
    presets
        Named sets of views, estimators and policy; the first is the default.
    cache_s
        How long servers may keep an answer; 0 for never.
    options
        What `--set` knows beside the settings of every workload: key to what it means.
    paths
        Those of the options that name a local file; they are kept whole, so that whoever trains
        again may work in another folder.
    one
        Compiles a pipeline for single rows; None where it has no fast path.
    again
        Whether it trains a version's own pipeline again (`Order.start`); else only its presets.
    climbs
        Whether what a version was ordered with is measured anew when it is trained again on its
        own, since other data may carry another model; else it is its own pipeline, if it can be.
    by_content
        Whether equal requests ask about one and the same thing, so that all their answers lie on
        one side of a retraining; else each answer counts by itself.
    restored
        What its options become when a version is trained again on its own: (folder, options) →
        options, with those of its parents; the version's own copy stands for a file that is gone.
    measure
        Further metrics of labelled rows: (pipeline, label codes, raw output, request) → values
        by name.
    judge
        How good a version is on other data, for workloads whose truths are later events.
    rivals
        Judges versions side by side by later events, where the workload answers with lists.
    finder
        Opens a version's folder for one process, where the workload answers with lists.
    noun
        Who or what asks for lists, as paths name it: one of `promise.pipeline.finding.NOUNS`.
    event_types
        Events of its log that one does to another, by type.
    bulk_rows
        How many rows `promise predict` answers at a time; fewer where a row takes long.
    promised
        What a name is held to beside the default, until somebody declares other promises.
    retrain
        When it is trained again until then, as `[retrain]` would say it.
    """

    name: str
    summary: str
    presets: tuple[str, ...]
    train: Training
    cache_s: float = 0.0
    options: Mapping[str, str] = field(default_factory=dict)
    paths: tuple[str, ...] = ()
    again: bool = False
    climbs: bool = False
    by_content: bool = False
    restored: Callable[[Path, Mapping[str, str]], dict[str, str]] | None = None
    one: Callable[[Pipeline], One | None] | None = None
    measure: Callable[[Pipeline, Array, Array, Columns], dict[str, float]] | None = None
    judge: Judge | None = None
    rivals: Rivals | None = None
    finder: Callable[[Path], Finder] | None = None
    noun: str = "people"
    event_types: tuple[str, ...] = ENCOUNTERS
    bulk_rows: int = 65_536
    promised: tuple[Promise, ...] = ()
    retrain: Mapping[str, Any] = field(default_factory=dict)


def workload_named(name: str) -> Workload:
    """Return the installed workload of this name; near matches are in the error."""
    found: Any = WORKLOADS.resolve(name)
    workload: Workload = found
    return workload


def lists_workload(name: str) -> Workload | None:
    """Return a workload that answers with lists; None for any other, or one not installed here."""
    try:
        found = workload_named(name)
    except PromiseError:
        return None
    return found if getattr(found, "finder", None) is not None else None
