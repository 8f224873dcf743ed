"""Retraining of versions that answer with lists: their data and their log, cut where a list is."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from promise.data.source import open_source
from promise.errors import DataError, PromiseError
from promise.metrics.intervals import paired_difference
from promise.metrics.pointwise import metric_named
from promise.pipeline.artifact import read_manifest
from promise.pipeline.finding import Told
from promise.pipeline.order import lists_workload, workload_named
from promise.pipeline.task import Task
from promise.records.decisions import Decisions
from promise.records.events import Events
from promise.records.history import LOG
from promise.registry.versions import Version
from promise.retraining.base import META
from promise.state.database import Database
from promise.state.files import write_json
from promise.state.moments import maybe_moment
from promise.training.compare import Comparison

_SEED = 7
_JUDGING_SHARE = 0.2
"""Of the decisions that no version knows yet, the last so many judge and are not learned from."""
_PAGE = 10_000
_SHOWN = "impression"


@dataclass(frozen=True)
class GatheredEvents:
    """Where a model's log is cut: what a retraining learns from, and what both are judged by.

    Parameters
    ----------
    until
        The last event that is learned from; the version's servers follow the log from there.
    known
        The last event that the live version has learned from.
    n_rows, n_judged
        Decisions since the live version that are learned from, and that judge.
    """

    folder: Path
    until: int
    known: int
    n_rows: int
    n_judged: int
    notes: tuple[str, ...]

    @property
    def unit(self) -> str:
        """What `n_rows` counts."""
        return "new decisions, beside all that was known"

    @property
    def n_logged(self) -> int:
        """All of these decisions."""
        return self.n_rows + self.n_judged

    def to_json(self) -> dict[str, Any]:
        """Return what `events_in` reads back."""
        kept = {k: v for k, v in vars(self).items() if k != "folder"}
        return {"events": {**kept, "notes": list(self.notes)}}

    def compare(self, version: Version, live: Version, database: Database) -> Comparison:
        """Compare by paired bootstrap over people, on what the log tells after `until`.

        The live version has taken what the log tells up to there, as it has where it serves.

        Parameters
        ----------
        database
            That keeps the log.

        Raises
        ------
        DataError
            Where nothing can be compared.
        """
        rivals = workload_named(live.workload).rivals
        if rivals is None:
            raise DataError(f"versions of {live.workload} cannot be judged side by side.")
        log = _pages(database, live.name, self.known)
        new, old = rivals([version.folder, live.folder], log, self.until)
        task = Task.from_json(read_manifest(live.folder)["task"])
        metric = metric_named(task.metric, task.answer)
        difference = paired_difference(metric, new.y, new.output, old.output, seed=_SEED)
        return Comparison(
            metric=metric.name,
            first=metric.score(new.y, new.output),
            second=metric.score(old.y, old.output),
            difference=difference.mean,
            interval=(difference.low, difference.high),
            tie=difference.tie,
            rows=len(new.y),
        )


def gather_events(live: Version, database: Database, folder: Path) -> GatheredEvents:
    """Cut the log of a live version's model, and note where.

    Raises
    ------
    DataError
        Where nothing came since, or what the version learned from cannot be read again.
    """
    order = live.lineage.get("order") or {}
    source = _data_of(live, order)
    known, later = learned_until(live)
    decisions = Decisions(database, live.name, decision_types(live))
    n = decisions.since(known, later)
    n_judged = max(1, int(_JUDGING_SHARE * n))
    if n - n_judged < 1:
        raise DataError(
            f"the log of {live.name} tells of {n} decisions since {live} was trained: too few to "
            "learn from some and judge by the others; wait for more events."
        )
    until = decisions.number(known, n - n_judged - 1, later)
    gathered = GatheredEvents(
        folder=folder,
        until=until,
        known=known,
        n_rows=n - n_judged,
        n_judged=n_judged,
        notes=(source, f"{n:,} new decisions, the last {n_judged:,} of them set aside to judge by"),
    )
    write_json(folder / META, {"gathered": gathered.to_json(), "version": live.number})
    return gathered


def events_in(folder: Path) -> GatheredEvents | None:
    """Return what a run noted before it was killed; None where it did not come to that."""
    if not (folder / META).is_file():
        return None
    kept = json.loads((folder / META).read_text(encoding="utf-8"))["gathered"]["events"]
    return GatheredEvents(folder=folder, **{**kept, "notes": tuple(kept["notes"])})


def again(live: Version, gathered: GatheredEvents) -> tuple[str, dict[str, Any]]:
    """Return what to train on, and the terms: as the live version was, up to the cut."""
    order = live.lineage.get("order") or {}
    kept = {key: order[key] for key in ("people", "split", "preset") if order.get(key) is not None}
    options = {k: v for k, v in (order.get("options") or {}).items() if k != "number"}
    columns = dict(order.get("columns") or {})
    terms = {**kept, "columns": columns, "options": options, "until": gathered.until}
    return order["data"], {**terms, "start": str(live)}


def learned_until(live: Version) -> tuple[int, datetime | None]:
    """Return the last event that a version has learned from, and until when: None for no bound.

    A version that does not tell its number is asked itself.
    """
    told = live.lineage.get("log")
    if told is not None:
        return int(told["number"]), maybe_moment(told["until"])
    finder = workload_named(live.workload).finder
    assert finder is not None, "it answers with lists"
    return finder(live.folder).follow_from(), None


def decision_types(live: Version) -> tuple[str, ...]:
    """Return the types of events that tell what somebody thinks of another."""
    workload = lists_workload(live.workload)
    assert workload is not None, "it answers with lists"
    return tuple(type for type in workload.event_types if type != _SHOWN)


def _data_of(live: Version, order: dict[str, Any]) -> str:
    """Say what a version learned from, once that is sure to be there still."""
    data = order.get("data")
    way_out = (
        f"keep its events in the log and train from there: `promise events {live.name} FILE`, "
        f"`promise train {live.workload} --name {live.name} --events {LOG}`."
    )
    if data is None:
        raise DataError(f"{live} does not tell what it was trained on; {way_out}")
    if data == LOG:
        return f"the log of {live.name}"
    try:
        names = [open_source(place).name for place in (data, order.get("people")) if place]
    except PromiseError as error:
        raise DataError(f"the data of {live} is gone ({error}); {way_out}") from error
    return f"{' and '.join(names)}, and the log of {live.name}"


def _pages(database: Database, model: str, number: int) -> Iterator[Sequence[Told]]:
    events = Events(database)
    while page := events.told_since(number, _PAGE, model=model):
        number = page[-1][0]
        yield [Told(*one) for one in page if one[1]]
