"""`promise label` and `promise events`: what came true, and what happened, from files."""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from promise.cli.keyed import check_event, feed_events, feed_labels, keyed_model
from promise.cli.show import Json, console, errors, print_json
from promise.clock import SystemClock
from promise.data.answer import Answer
from promise.data.rows import OnBadRows
from promise.data.source import Source, open_source
from promise.errors import ConfigError, DataError, near
from promise.kernels.parsing import number_text
from promise.pipeline.artifact import read_manifest
from promise.pipeline.order import Workload, lists_workload, workload_named
from promise.pipeline.task import Task
from promise.records.events import Events
from promise.records.given import as_answered, checked
from promise.records.labels import Labels
from promise.records.owners import Owners
from promise.registry.registry import Registry
from promise.registry.versions import check_name
from promise.settings import Settings

CHUNK_ROWS = 10_000
SHOWN_BAD = 5
_ID = re.compile(r"[0-9A-Za-z_]+\.[0-9A-Za-z_]+-[0-9a-z]+-[0-9a-z]+")
_LABEL_COLUMNS = ("prediction_id", "label", "source", "event_at", "known_at")
_EVENT_COLUMNS = ("event_id", "entity", "type", "at")

Row = dict[str, Any]
_Tell = Callable[[str], None]
_Refused = Callable[[list[Row]], Mapping[int, str]]
Name = Annotated[str, typer.Argument(help="The model's name.")]
File = Annotated[str, typer.Argument(help="CSV, Parquet or JSON Lines; also s3:// or SQL URLs.")]
BadRows = Annotated[
    OnBadRows,
    typer.Option("--on-bad-rows", help="`fail` keeps nothing, `skip` keeps the good rows."),
]


@dataclass
class BadEntries:
    """Rows that cannot be kept: how many, and the first few with their reasons."""

    count: int = 0
    examples: list[tuple[int, str]] = field(default_factory=list)

    def add(self, row: int, reason: str) -> None:
        """Count a row; the first few are shown by their number, counted from 1."""
        self.count += 1
        if len(self.examples) < SHOWN_BAD:
            self.examples.append((row, reason))

    def lines(self) -> list[str]:
        """Return one line for each example."""
        return [f"row {row}: {reason}" for row, reason in self.examples]

    def refuse(self, file: str) -> None:
        """Raise where there is any, naming the first ones."""
        if self.count:
            more = f" (and {self.count - SHOWN_BAD} more)" if self.count > SHOWN_BAD else ""
            raise DataError(
                f"{file}: {self.count} rows cannot be kept, so none was: "
                f"{'; '.join(self.lines())}{more}; mend them or say --on-bad-rows skip."
            )

    def to_json(self) -> Row:
        """Return a JSON-ready dictionary."""
        examples = [{"row": row, "reason": reason} for row, reason in self.examples]
        return {"count": self.count, "examples": examples}


def label(name: Name, file: File, on_bad_rows: BadRows = "fail", as_json: Json = False) -> None:
    """Keep labels of predictions: columns prediction_id, label[, source, event_at, known_at].

    The same label again changes nothing; another value of one source is its next revision.
    """
    settings = Settings.load()
    registry = Registry.open(settings)
    answer = _answer_of(registry, name)
    source = open_source(file, on_bad_rows=on_bad_rows)
    names = _named(source, file, ("prediction_id", "label"), {"id": "prediction_id"})
    _tell_ignored(source, names, _LABEL_COLUMNS)
    labels = Labels(
        registry.database,
        SystemClock(),
        owners=Owners(settings.run),
        normalise=lambda _, value: as_answered(value, answer),
    )
    counts = {"accepted": 0, "unchanged": 0, "revisions": 0}
    model = keyed_model(registry, name)

    def keep(rows: list[Row]) -> None:
        kept = labels.add(rows)
        for one in kept:
            kind = "unchanged" if one.unchanged else "revisions" if one.revision > 1 else "accepted"
            counts[kind] += 1
        if model is not None:
            feed_labels(settings, model, kept, counts)

    def read(row: Row) -> Row:
        found = _label_entry({names.get(key, key): value for key, value in row.items()}, answer)
        checked([found])
        return {**found, "model": name}

    def refused(rows: list[Row]) -> dict[int, str]:
        others = labels.strangers([row["prediction_id"] for row in rows], name)
        return {
            place: f"prediction {row['prediction_id']} is of the model {other!r}, not of {name!r}"
            for place, row in enumerate(rows)
            if (other := others.get(row["prediction_id"])) is not None
        }

    bad = _pass_on(source, file, on_bad_rows, read, keep, refused)
    _report("labels of", name, counts, bad, as_json)


def events(
    name: Name,
    file: File,
    on_bad_rows: BadRows = "fail",
    workload: Annotated[
        str | None, typer.Option("--workload", help="Before NAME's first version: its workload.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Keep events of entities: columns event_id, entity, type[, at]; the others are the payload.

    An event id that is known changes nothing; with another content it is refused. A model that
    answers with lists takes what people did to one another (column other, too), and profiles.
    """
    registry = Registry.open()
    lists = _lists_of(registry, name, workload)
    source = open_source(file, on_bad_rows=on_bad_rows)
    if lists is not None:
        from promise.cli.import_people import Importing

        importing = Importing(name, lists, registry.database, SystemClock())
        found, left_out = importing.run(source, file, on_bad_rows)
        _report("events of", name, found, left_out, as_json)
        return
    _named(source, file, ("event_id", "entity", "type"), {})
    settings, clock = Settings.load(), SystemClock()
    kept = Events(registry.database, clock)
    counts = {"accepted": 0, "unchanged": 0}
    model = keyed_model(registry, name)

    def keep(rows: list[Row]) -> None:
        found = kept.add(name, rows)
        counts["accepted"] += found.added
        counts["unchanged"] += len(found.events) - found.added
        if model is not None:
            feed_events(settings, model, found.events)

    def read(row: Row) -> Row:
        entry = _event_entry(row)
        event = kept.read(name, entry)
        if model is not None:
            check_event(settings, model, event, clock)
        return entry

    bad = _pass_on(source, file, on_bad_rows, read, keep)
    _report("events of", name, counts, bad, as_json)


def _lists_of(registry: Registry, name: str, workload: str | None) -> Workload | None:
    """Return the workload of a model that answers with lists; None for any other model."""
    if workload is None:
        return lists_workload(registry.get(name).workload)
    if registry.versions(name):
        known = registry.get(name).workload
        if known != workload:
            raise ConfigError(f"--workload {workload}: {name} is {known}; leave it out.")
        return lists_workload(known)
    found = workload_named(workload)
    if found.finder is None:
        raise ConfigError(
            f"--workload {workload}: only models that answer with lists keep events before their "
            "first version; train one first."
        )
    check_name(name)
    return found


def _answer_of(registry: Registry, name: str) -> Answer:
    """Return what kind of answer a name gives: its live version's, or its newest one's."""
    live = registry.lifecycle.route(name).live
    version = registry.find(name if live is None else f"{name}@{live}")
    return Task.from_json(read_manifest(version.folder)["task"]).answer


def _named(
    source: Source, file: str, needed: tuple[str, ...], other: dict[str, str]
) -> dict[str, str]:
    """Return the columns that go by another name; refuse a file that lacks one."""
    renamed = {a: b for a, b in other.items() if a in source.columns and b not in source.columns}
    present = {renamed.get(column, column) for column in source.columns}
    for column in needed:
        if column not in present:
            raise DataError(
                f"{file}: there is no column {column!r}; {near(column, source.columns)}"
            )
    return renamed


def _tell_ignored(source: Source, names: dict[str, str], known: tuple[str, ...]) -> None:
    for column in source.columns:
        if names.get(column, column) not in known:
            errors.print(
                f"column {column!r} is not read; {near(column, known)}",
                markup=False, highlight=False,
            )  # fmt: skip


def _pass_on(
    source: Source,
    file: str,
    on_bad_rows: OnBadRows,
    read: Callable[[Row], Row],
    keep: Callable[[list[Row]], None],
    refused: _Refused | None = None,
) -> BadEntries:
    """Read every row, then keep the good ones; with `fail` nothing is kept where one is bad."""
    with progress() as tell:
        if on_bad_rows == "fail":
            bad = BadEntries()
            for _ in _entries(source, read, bad, tell, "checking", refused):
                pass
            bad.refuse(file)
        bad = BadEntries()
        with contextlib.closing(_entries(source, read, bad, tell, "keeping", refused)) as chunks:
            for chunk in chunks:
                keep(chunk)
    return bad


def _entries(
    source: Source,
    read: Callable[[Row], Row],
    bad: BadEntries,
    tell: _Tell,
    what: str,
    refused: _Refused | None,
) -> Generator[list[Row]]:
    for first, table in source.batches(chunk_rows=CHUNK_ROWS):
        good = []
        for place, row in enumerate(table.to_pylist(), start=first + 1):
            try:
                good.append((place, read(row)))
            except DataError as error:
                bad.add(place, str(error).partition(": ")[2] or str(error))
        tell(f"{what}: {first + len(table):,} rows")
        rows = [row for _, row in good]
        reasons = {} if refused is None else refused(rows)
        for at, reason in reasons.items():
            bad.add(good[at][0], reason)
        rows = [row for at, row in enumerate(rows) if at not in reasons]
        if rows:
            yield rows


def _label_entry(row: Row, answer: Answer) -> Row:
    found = {key: _plain(row.get(key)) for key in _LABEL_COLUMNS}
    id = found["prediction_id"]
    if isinstance(id, str) and not _ID.fullmatch(id):
        raise DataError(
            f"label: prediction_id is {id!r:.80}; expected the id of an answer, such as "
            "k3x9qa.0-mabc1234-0000001"
        )
    if found["label"] is not None:
        try:
            found["label"] = as_answered(found["label"], answer)
        except DataError as error:
            raise DataError(f"label: {error}") from None
    return {key: value for key, value in found.items() if value is not None}


def _event_entry(row: Row) -> Row:
    known = {key: _plain(row.get(key)) for key in _EVENT_COLUMNS}
    if isinstance(known["entity"], float):
        known["entity"] = number_text(known["entity"])
    rest = {key: value for key, value in row.items() if key not in _EVENT_COLUMNS}
    payload = rest.pop("payload", None)
    if isinstance(payload, str):
        try:
            payload = json.loads(payload)
        except ValueError:
            raise DataError(f"event: the payload is no JSON: {payload!r:.80}") from None
    if payload is not None and not isinstance(payload, dict):
        raise DataError(f"event: the payload is {payload!r:.80}, expected an object")
    filled = {key: _json_value(value) for key, value in rest.items() if _plain(value) is not None}
    known["payload"] = {**filled, **(payload or {})}
    return {key: value for key, value in known.items() if value is not None}


def _plain(value: Any) -> Any:
    """Return a cell without what stands for missing: empty text and NaN."""
    if isinstance(value, str):
        return value.strip() or None
    return None if isinstance(value, float) and math.isnan(value) else value


def _json_value(value: Any) -> Any:
    """Return a cell as JSON can hold it: dates and other values as text."""
    plain = isinstance(value, str | bool | int | float | list | dict)
    return value if plain else str(value)


def _report(what: str, name: str, counts: dict[str, int], bad: BadEntries, as_json: bool) -> None:
    if as_json:
        print_json({"model": name, **counts, "bad_rows": bad.to_json()})
        return
    told = ", ".join(f"{count:,} {kind}" for kind, count in counts.items())
    console().print(f"{what} {name}: {told}", markup=False)
    for line in bad.lines():
        errors.print(f"left out: {line}", markup=False, highlight=False)
    if bad.count > SHOWN_BAD:
        errors.print(f"left out: {bad.count - SHOWN_BAD:,} more", markup=False, highlight=False)


@contextlib.contextmanager
def progress() -> Iterator[_Tell]:
    """Show on a terminal how far a file was read."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=errors, transient=True) as shown:
        task = shown.add_task("reading", total=None)
        yield lambda text: shown.update(task, description=text)
