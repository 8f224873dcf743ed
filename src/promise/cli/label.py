"""`promise label`: what came true, from a file."""

from __future__ import annotations

import re

from promise.cli.entries import BadRows, File, Name, Row, named_columns, pass_on, plain, report
from promise.cli.keyed import feed_labels, keyed_model
from promise.cli.show import Json, errors
from promise.clock import SystemClock
from promise.data.answer import Answer
from promise.data.source import Source, open_source
from promise.errors import DataError, near
from promise.pipeline.artifact import read_manifest
from promise.pipeline.task import Task
from promise.records.given import as_answered, checked
from promise.records.labels import Labels
from promise.records.owners import Owners
from promise.registry.registry import Registry
from promise.settings import Settings

_ID = re.compile(r"[0-9A-Za-z_]+\.[0-9A-Za-z_]+-[0-9a-z]+-[0-9a-z]+")
_COLUMNS = ("prediction_id", "label", "source", "event_at", "known_at")


def label(name: Name, file: File, on_bad_rows: BadRows = "fail", as_json: Json = False) -> None:
    """Keep labels of predictions: columns prediction_id, label[, source, event_at, known_at].

    The same label again changes nothing; another value of one source is its next revision.
    """
    settings = Settings.load()
    registry = Registry.open(settings)
    answer = _answer_of(registry, name)
    source = open_source(file, on_bad_rows=on_bad_rows)
    names = named_columns(source, file, ("prediction_id", "label"), {"id": "prediction_id"})
    _tell_ignored(source, names, _COLUMNS)
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

    bad = pass_on(source, file, on_bad_rows, read, keep, refused)
    report("labels of", name, counts, bad, as_json)


def _answer_of(registry: Registry, name: str) -> Answer:
    """Return what kind of answer a name gives: its live version's, or its newest one's."""
    live = registry.lifecycle.route(name).live
    version = registry.find(name if live is None else f"{name}@{live}")
    return Task.from_json(read_manifest(version.folder)["task"]).answer


def _tell_ignored(source: Source, names: dict[str, str], known: tuple[str, ...]) -> None:
    for column in source.columns:
        if names.get(column, column) not in known:
            errors.print(
                f"column {column!r} is not read; {near(column, known)}",
                markup=False, highlight=False,
            )  # fmt: skip


def _label_entry(row: Row, answer: Answer) -> Row:
    found = {key: plain(row.get(key)) for key in _COLUMNS}
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
