"""`promise events`: what happened to entities, or between people, from a file."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from promise.cli.entries import (
    BadRows,
    File,
    Name,
    Row,
    named_columns,
    pass_on,
    payload_told,
    plain,
    report,
)
from promise.cli.keyed import check_event, feed_events, keyed_model
from promise.cli.show import Json
from promise.clock import SystemClock
from promise.data.source import open_source
from promise.errors import ConfigError, DataError
from promise.kernels.parsing import number_text
from promise.pipeline.order import Workload, lists_workload, workload_named
from promise.records.events import Events
from promise.registry.registry import Registry
from promise.registry.versions import check_name
from promise.settings import Settings

_COLUMNS = ("event_id", "entity", "type", "at")


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

        skew = Settings.load().skew
        importing = Importing(name, lists, registry.database, SystemClock(), skew)
        found, left_out = importing.run(source, file, on_bad_rows)
        report("events of", name, found, left_out, as_json)
        return
    named_columns(source, file, ("event_id", "entity", "type"), {})
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
        check_event(settings, model, kept.read(name, entry), clock)
        return entry

    bad = pass_on(source, file, on_bad_rows, read, keep)
    report("events of", name, counts, bad, as_json)


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


def _event_entry(row: Row) -> Row:
    known = {key: plain(row.get(key)) for key in _COLUMNS}
    if isinstance(known["entity"], float):
        known["entity"] = number_text(known["entity"])
    rest = {key: value for key, value in row.items() if key not in _COLUMNS}
    try:
        payload = payload_told(rest.pop("payload", None))
    except DataError as error:
        raise DataError(f"event: {error}") from None
    filled = {key: _json_value(value) for key, value in rest.items() if plain(value) is not None}
    known["payload"] = {**filled, **payload}
    return {key: value for key, value in known.items() if value is not None}


def _json_value(value: Any) -> Any:
    """Return a cell as JSON can hold it: dates and other values as text."""
    plain = isinstance(value, str | bool | int | float | list | dict)
    return value if plain else str(value)
