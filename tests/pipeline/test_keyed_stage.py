"""A file of events as a history: labels become known when it says, or after the delay."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from promise.data.schema import Field
from promise.data.source import open_source
from promise.features.history import History
from promise.features.incoming import EventReader
from promise.pipeline.keyed_stage import KeyedStage, history_of
from promise.workloads.fraud.task import fraud_task
from promise.workloads.fraud.views import keyed_of

COLUMNS = {"time": "when", "entity": "card", "amount": "eur", "label": "fraud"}
FORMATS = {
    "when": Field("when", "date", format="iso"), "told": Field("told", "date", format="iso"),
}  # fmt: skip
TABLE = pa.table(
    {
        "when": ["2026-03-01", "2026-03-02", "2026-03-03"],
        "card": ["a", "a", "b"],
        "eur": [1.0, 2.0, 3.0],
        "fraud": [0, 1, 1],
        "told": ["2026-03-20", None, "2026-03-04"],
    }
)


def stage(columns: dict[str, str]) -> KeyedStage:
    """Return a keyed stage with a label delay of two days."""
    keyed = keyed_of(columns, "2d")
    task = fraud_task(columns, label_delay="2d", formats=FORMATS)
    return KeyedStage(keyed, task, EventReader(keyed, task.request))


def days(history: History) -> list[str]:
    """Return when each label became known."""
    found = history.labels.known_at.astype("datetime64[us]").astype("datetime64[D]")
    return [str(day) for day in found[np.argsort(history.labels.rows)]]


def test_labels_of_a_file_are_known_from_when_it_says() -> None:
    history = history_of(stage(COLUMNS | {"known_at": "told"}), open_source(TABLE))
    assert days(history) == ["2026-03-20", "2026-03-04", "2026-03-04"]


@pytest.mark.parametrize("table", [TABLE, TABLE.drop_columns(["told"])], ids=["unread", "absent"])
def test_labels_without_a_time_are_known_after_the_delay(table: pa.Table) -> None:
    columns = COLUMNS if "told" in table.column_names else COLUMNS | {"known_at": "told"}
    assert days(history_of(stage(columns), open_source(table))) == [
        "2026-03-03", "2026-03-04", "2026-03-05",
    ]  # fmt: skip
