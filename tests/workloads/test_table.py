"""Loading a table: roles that contradict each other are refused, the split's price is told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from promise.data.infer import infer_schema
from promise.data.source import open_source
from promise.errors import ConfigError, DataError
from promise.workloads.tabular.label import read_label
from promise.workloads.tabular.learn import request_of
from promise.workloads.tabular.table import Sampling, Table, load_table, table_roles
from promise.workloads.tabular.task import request_schema

N = 200


def events() -> pa.Table:
    rng = np.random.default_rng(1)
    return pa.table(
        {
            "when": np.datetime64("2024-01-01", "us") + np.arange(N) * np.timedelta64(1, "h"),
            "shop": [f"s{i % 20}" for i in range(N)],
            "order": rng.normal(size=N),
            "sold": rng.normal(size=N),
        }
    )


def load(data: pa.Table, roles: dict[str, str] | None = None, **terms: Any) -> Table:
    source = open_source(data)
    schema = table_roles(infer_schema(source), roles or {}, "sold")
    label = read_label(source, schema, "sold", seed=7)
    return load_table(source, schema, "sold", label, Sampling(N), **terms)


def test_a_column_named_order_stays_an_input_under_a_temporal_split() -> None:
    table = load(events(), time="when")
    request = request_of(table, table.holdout)
    assert request["order"].tolist() == table.columns["order"][table.holdout].tolist()
    assert request["order"].ndim == 1


@pytest.mark.parametrize("flag", ["time", "group"])
def test_the_target_cannot_be_the_time_or_the_group(flag: str) -> None:
    with pytest.raises(ConfigError, match=f"--{flag} sold: this is the target"):
        load(events(), **{flag: "sold"})


def test_a_gap_before_the_cutoff_is_left_out() -> None:
    table = load(events(), time="when", gap_s=5 * 3600.0)
    assert (table.part == -1).sum() == 5


def test_what_is_read_of_the_time_column_is_told() -> None:
    told = load(events(), time="when").warnings
    assert told == (
        "`when` orders the rows; of it hour is read, but not weekday, day of the month, month and "
        "day of year, which the training rows do not cover twice.",
    )
    assert load(events(), group="shop").warnings == ()
    short = load(events().slice(0, 50), time="when")
    assert "`when` orders the rows and is no input" in short.warnings[0]
    assert "when" not in short.fed


def test_a_date_alone_is_learned_from_once_it_came_round() -> None:
    alone = events().select(["when", "sold"])
    assert load(alone).fed == ("when",)
    with pytest.raises(
        DataError, match=r"'when' is the time, .* no day, week, month or year twice"
    ):
        load(alone.slice(0, 50), time="when")


@pytest.mark.parametrize("ordered", [False, True])
def test_a_request_has_the_time_where_its_calendar_is_read(ordered: bool) -> None:
    table = load(events(), time="when")
    assert request_schema(table, ordered=False).names == ("shop", "order")
    request = request_schema(table, ordered=ordered, reads=["when", "order"])
    assert request.names == ("when", "shop", "order")
    # as an input, rows need no order for it
    assert request["when"].role == ("time" if ordered else "input")


def test_an_entity_orders_rows_of_its_own() -> None:
    table = load(events(), {"shop": "entity", "when": "time"})
    order = table.examples(table.train).order
    assert order is not None
    assert len(np.unique(order[:, 0])) == 20
    with pytest.raises(ConfigError, match="say --column time=COLUMN"):
        load(events().drop_columns(["when"]), {"shop": "entity"})


@pytest.mark.parametrize(
    ("roles", "words"),
    [
        ({"shop": "entitty"}, "no column of role 'entitty'.*entity"),
        ({"shop": "title"}, "no column of role 'title'"),
        ({"shop": "time", "when": "time"}, "'shop' and 'when' are named as the time"),
        ({"order": "label"}, "'order' and 'sold' are named as the label"),
        ({"sold": "ignore"}, "'sold' is the target"),
    ],
)
def test_roles_that_mean_nothing_are_refused(roles: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load(events(), roles)


def test_groups_are_numbers_even_where_some_are_missing() -> None:
    data = events().set_column(1, "shop", [[None if i < 40 else f"s{i % 20}" for i in range(N)]])
    table = load(data, group="shop")
    groups = table.groups(np.arange(N))
    assert groups is not None
    assert len(np.unique(groups)) == 21
    assert load(events(), time="when").groups(np.arange(N)) is None
