from __future__ import annotations

import pyarrow as pa
import pytest

from promise.data.infer import infer_schema
from promise.data.source import open_source
from promise.errors import ConfigError, DataError
from promise.workloads.fraud.roles import Roles, roles_of


def table(**more: list[object]) -> pa.Table:
    rows = 60
    columns: dict[str, list[object]] = {
        "TRANSACTION_ID": list(range(rows)),
        "TX_DATETIME": [f"2024-01-{1 + i % 28:02d} 10:00:00" for i in range(rows)],
        "CUSTOMER_ID": [i % 7 for i in range(rows)],
        "TERMINAL_ID": [i % 5 for i in range(rows)],
        "TX_AMOUNT": [1.5 * i for i in range(rows)],
        "TX_FRAUD": [int(i % 10 == 0) for i in range(rows)],
    }
    return pa.table({**columns, **more})


def found(data: pa.Table, named: dict[str, str] | None = None) -> Roles:
    source = open_source(data)
    return roles_of(infer_schema(source), source.sample(1000), named or {})


def test_the_handbook_s_names_are_understood() -> None:
    roles = found(table())
    assert dict(roles.columns) == {
        "time": "TX_DATETIME",
        "label": "TX_FRAUD",
        "amount": "TX_AMOUNT",
        "entity": "CUSTOMER_ID",
        "other": "TERMINAL_ID",
        "id": "TRANSACTION_ID",
    }
    assert "`CUSTOMER_ID` was taken for the entity (by its name)" in roles.told


@pytest.mark.parametrize(
    ("column", "role"),
    [
        ("device_id", "device"), ("ip_address", "ip"), ("user_agent", "user_agent"),
        ("city", "location"), ("merchant", "other"), ("account_id", "entity"),
    ],
)  # fmt: skip
def test_optional_roles_are_found_by_name(column: str, role: str) -> None:
    data = table(**{column: [f"v{i % 9}" for i in range(60)]})
    data = data.drop_columns([n for n in ("CUSTOMER_ID", "TERMINAL_ID") if role in ("entity",)])
    data = data.drop_columns(["TERMINAL_ID"]) if role == "other" else data
    assert found(data).columns[role] == column


def test_a_reported_time_is_when_the_label_was_known() -> None:
    late = [f"2024-02-{1 + i % 28:02d}" for i in range(60)]
    roles = found(table(reported_at=late))
    assert roles.columns["time"] == "TX_DATETIME"
    assert roles.columns["known_at"] == "reported_at"


def test_numbers_that_play_no_role_are_named_and_left_out() -> None:
    roles = found(table(TX_TIME_DAYS=list(range(60))))
    assert roles.told[-1].startswith("not read: `TX_TIME_DAYS`")
    assert found(table(score=[1.0] * 60), {"score": "input"}).numbers == ("score",)


def test_what_the_user_names_wins() -> None:
    roles = found(table(), {"TERMINAL_ID": "entity", "CUSTOMER_ID": "other"})
    assert roles.columns["entity"] == "TERMINAL_ID"
    assert "other" not in found(table(), {"TERMINAL_ID": "ignore"}).columns


def test_two_dates_are_a_question() -> None:
    second = [f"2024-03-{1 + i % 28:02d}" for i in range(60)]
    with pytest.raises(ConfigError, match=r"could each be .*--column time=NAME"):
        found(table(settled=second))


def test_two_customers_are_a_question_unless_one_is_an_id() -> None:
    roles = found(table(customer=[f"c{i % 7}" for i in range(60)]))
    assert roles.columns["entity"] == "CUSTOMER_ID"
    with pytest.raises(ConfigError, match="--column entity=NAME"):
        found(table(account_id=[i % 3 for i in range(60)]))


def test_no_amount_no_label_and_no_time_are_told_with_the_way_out() -> None:
    for column, role in (("TX_AMOUNT", "amount"), ("TX_FRAUD", "label"), ("TX_DATETIME", "time")):
        with pytest.raises(ConfigError, match=f"say which by --column {role}=NAME"):
            found(table().drop_columns([column]))


def test_nonsense_is_refused() -> None:
    with pytest.raises(ConfigError, match="did you mean 'entity'"):
        found(table(), {"CUSTOMER_ID": "entiti"})
    with pytest.raises(DataError, match="did you mean 'TX_AMOUNT'"):
        found(table(), {"TX_AMOUN": "amount"})
    with pytest.raises(ConfigError, match="named as the entity; name one"):
        found(table(), {"CUSTOMER_ID": "entity", "TERMINAL_ID": "entity"})
    with pytest.raises(ConfigError, match="date with a clock"):
        found(table(), {"TX_AMOUNT": "time"})
    with pytest.raises(ConfigError, match="only numbers are read"):
        found(table(kind=["a", "b"] * 30), {"kind": "input"})
