from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from promise.data.infer import infer_schema
from promise.data.schema import Field
from promise.data.source import open_source
from promise.errors import DataError
from promise.workloads.fraud.events import Events, outcomes_of, read_events

ROLES = {"id": "id", "time": "when", "entity": "card", "amount": "eur", "label": "fraud"}
DAY = np.datetime64("2024-01-01", "us")


def table(**changed: Any) -> pa.Table:
    rows = 40
    columns = {
        "id": [f"e{i}" for i in range(rows)],
        "when": DAY + np.arange(rows) * np.timedelta64(3600, "s"),
        "card": [f"c{i % 5}" for i in range(rows)],
        "eur": [float(i) for i in range(rows)],
        "fraud": [int(i % 8 == 0) for i in range(rows)],
    }
    return pa.table({**columns, **changed})


def read(data: pa.Table, roles: dict[str, str] | None = None) -> Events:
    source = open_source(data)
    formats = {field.name: field for field in infer_schema(source)}
    return read_events(source, formats, roles or ROLES, ())


def test_events_are_typed_and_keep_their_row_numbers() -> None:
    events = read(table())
    assert events.columns["card"][:2].tolist() == ["c0", "c1"]
    assert events.y[:9].tolist() == [1.0, *[0.0] * 7, 1.0]
    assert events.rows.tolist() == list(range(40))
    assert events.answer.outcomes == ("0", "1")
    assert events.told == ()


def test_rows_out_of_order_are_taken_by_time_and_told() -> None:
    shuffled = np.random.default_rng(3).permutation(40)
    events, plain = read(table().take(shuffled)), read(table())
    assert "out of order" in events.told[0]
    for name in plain.columns:
        assert (events.columns[name] == plain.columns[name]).all()
    assert (events.y == plain.y).all()
    assert shuffled[events.rows].tolist() == list(range(40))


def test_a_repeated_id_counts_once() -> None:
    ids = [f"e{i}" for i in range(40)]
    ids[7] = "e3"
    events = read(table(id=ids))
    assert 7 not in events.rows
    assert events.told == ("1 rows repeat an id of `id` and count once",)


def test_what_repeats_everywhere_is_no_id() -> None:
    with pytest.raises(DataError, match=r"no id of\s+events.*--column ignore=id"):
        read(table(id=["same"] * 40))


def test_amounts_that_are_missing_or_negative_are_told_with_their_row() -> None:
    amounts: list[float | None] = [float(i) for i in range(40)]
    amounts[4], amounts[9] = None, -3.0
    events = read(table(eur=amounts))
    assert events.told[0].startswith("1 rows (the first is 4) have no amount")
    assert events.told[1].startswith("1 rows (the first is 9) have a negative amount")


def test_a_row_without_a_time_is_named() -> None:
    times = table()["when"].to_pylist()
    times[11] = None
    with pytest.raises(DataError, match="row 11 has no time in 'when'"):
        read(table(when=times))


def test_an_amount_that_is_none_is_named() -> None:
    amounts = [float(i) for i in range(40)]
    amounts[5] = 3e11
    with pytest.raises(DataError, match=r"row 5 has .*beyond"):
        read(table(eur=amounts))


def test_a_label_known_before_its_event_would_leak() -> None:
    known = DAY + np.arange(40) * np.timedelta64(3600, "s") + np.timedelta64(1, "D")
    known[3] = DAY
    data = table(reported=known)
    with pytest.raises(DataError, match=r"row 3: its label was known at .*would leak"):
        read(data, {**ROLES, "known_at": "reported"})


def test_labels_nobody_knows_are_no_labels() -> None:
    labels: list[int | None] = [int(i % 8 == 0) for i in range(40)]
    labels[30] = None
    events = read(table(fraud=labels))
    assert np.isnan(events.y[30])


def test_labels_of_three_kinds_are_refused() -> None:
    with pytest.raises(DataError, match=r"has 3 values \('0.0', '1.0', '2.0'\)"):
        read(table(fraud=[i % 3 for i in range(40)]))


def test_a_label_that_never_varies_is_refused() -> None:
    with pytest.raises(DataError, match="nothing to learn"):
        read(table(fraud=[0] * 40))


@pytest.mark.parametrize(
    ("values", "kind", "outcomes"),
    [
        ([0.0, 1.0, 0.0], "number", ("0", "1")),
        ([2.0, 1.0, 1.0], "number", ("2", "1")),
        (["yes", "no", "no"], "category", ("no", "yes")),
        (["fraud", "genuine", "fraud"], "category", ("genuine", "fraud")),
        ([1.0, 0.0, 1.0], "boolean", ("false", "true")),
    ],
)
def test_the_fraud_is_the_second_outcome(
    values: list[Any], kind: Any, outcomes: tuple[str, str]
) -> None:
    dtype = object if kind == "category" else float
    answer, _ = outcomes_of(np.array(values, dtype=dtype), Field("label", kind))
    assert answer.outcomes == outcomes
