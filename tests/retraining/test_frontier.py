"""Events that a version's rows cannot hold are told from those that they may."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from promise.data.columns import Columns
from promise.records.source import AT
from promise.retraining.frontier import Frontier
from promise.retraining.logged import Logged

MADE = datetime(2026, 3, 9, tzinfo=UTC)


def columns(*rows: tuple[str | None, str | None, str]) -> Columns:
    """Return rows of (id, own time, when it came)."""
    ids, when, came = zip(*rows, strict=True)
    return Columns(
        {
            "tx": np.array(ids, dtype=object),
            "when": np.array(when, dtype="M8[us]"),
            AT: np.array(came, dtype="M8[us]"),
            "fraud": np.array([None] * len(ids), dtype=object),
        }
    )


ROWS = columns(("a", "2026-03-01", "2026-03-01"), ("b", "2026-03-04", "2026-03-04"),
               ("c", "2026-03-04", "2026-03-04"))  # fmt: skip
LOGGED = columns(
    ("a", "2026-03-01", "2026-03-02"),  # a row
    ("late", "2026-03-02", "2026-03-02"),  # may be a row under another id
    ("b", "2026-03-04", "2026-03-04"),  # a row
    ("d", "2026-03-04", "2026-03-04"),  # of the same moment, in no row
    (None, "2026-03-04", "2026-03-04"),  # nothing tells it from the rows
    ("e", "2026-03-05", "2026-03-05"),
    ("f", None, "2026-03-06"),  # its time is when it came
    ("g", "2026-03-02", "2026-03-10"),  # came after the version was made
)


@pytest.mark.parametrize(
    ("names", "kept"),
    [
        ({"time": "when", "id": "tx"}, ["d", "e", "f", "g"]),
        ({"time": "when", "id": None}, ["e", "f", "g"]),
        ({"time": None, "id": None}, ["g"]),
    ],
)
def test_what_is_behind(names: dict[str, Any], kept: list[str]) -> None:
    parts = [ROWS.take(np.array([1])), ROWS.take(np.array([0])), ROWS.take(np.array([2]))]
    frontier = Frontier.of(MADE, parts, **names)
    found = frontier.behind(Logged(LOGGED, "fraud")).columns["tx"].tolist()
    assert found == kept


def test_without_rows_only_what_came_since_counts() -> None:
    frontier = Frontier.of(MADE, [], time="when", id="tx")
    assert frontier.behind(Logged(LOGGED, "fraud")).columns["tx"].tolist() == ["g"]
