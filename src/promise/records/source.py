"""The prediction log with its labels as a source: what was answered is what is learned from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from promise.errors import DataError, near
from promise.records.labels import Label, Labels
from promise.records.reading import read_all
from promise.records.segments import models
from promise.state.files import whole_file

_LINES_AT_ONCE = 2_000
ID, AT = "prediction_id", "predicted_at"
"""Columns that a logged source has beside the row's own fields and the label."""


@dataclass(frozen=True)
class Logged:
    """What was written: rows with a label, and lines that have none yet.

    Parameters
    ----------
    rows
        Labelled rows in the file.
    waiting
        Answers whose label was not known then.
    """

    rows: int
    waiting: int


def write_logged(
    folder: Path,
    model: str,
    labels: Labels,
    to: Path,
    *,
    as_of: datetime | None = None,
    label: str = "label",
    source: str | None = None,
    unlabelled: bool = False,
) -> Logged:
    """Write the labelled answers of a model as JSON Lines, in bounded memory.

    Each row has the request's fields as they came, `prediction_id`, `predicted_at` and the label.
    What a shadow answered is left out: its rows are those of the live answer.

    Parameters
    ----------
    as_of
        Learn nothing that was not known then: only answers given and labels with
        `known_at ≤ as_of`. None for everything that is known now.
    label
        Name of the label's column.
    source
        Only labels of this source; else the newest of any.
    unlabelled
        Whether answers that wait for their label are written too, without a label.

    Raises
    ------
    DataError
        When the model has no log, or a field of its rows has the name of another column.
    """
    known = models(folder)
    if model not in known:
        hint = near(model, known) if known else "nothing was answered yet."
        raise DataError(f"there is no prediction log of {model!r} in {folder}; {hint}")
    rows = waiting = 0
    with whole_file(to) as draft, draft.open("w", encoding="utf-8") as file:
        for lines in _blocks(_answers(folder, model, as_of)):
            found = labels.newest([line["id"] for line in lines], as_of=as_of, source=source)
            for line in lines:
                kept = found.get(line["id"])
                rows, waiting = rows + (kept is not None), waiting + (kept is None)
                if kept is not None or unlabelled:
                    file.write(json.dumps(_row(line, kept, label), ensure_ascii=False) + "\n")
    return Logged(rows, waiting)


def _answers(folder: Path, model: str, as_of: datetime | None) -> Iterator[dict[str, Any]]:
    until = float("inf") if as_of is None else as_of.timestamp()
    for line in read_all(folder, model):
        if line.get("arm") != "shadow" and line["at"] <= until:
            yield line


def _blocks(lines: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    while block := list(islice(lines, _LINES_AT_ONCE)):
        yield block


def _row(line: dict[str, Any], kept: Label | None, label: str) -> dict[str, Any]:
    added = {
        ID: line["id"],
        AT: datetime.fromtimestamp(line["at"], UTC).isoformat(),
        label: None if kept is None else kept.value,
    }
    taken = next((name for name in added if name in line["row"]), None)
    if taken is not None:
        raise DataError(
            f"the rows of this model have a field {taken!r}, which the source adds itself; "
            "name the label's column otherwise."
        )
    return {**line["row"], **added}
