"""Types are guessed from the cells, and labels say which answer they ask for."""

import numpy as np
import pyarrow as pa
import pytest

from promise.data.answer import Class, Number
from promise.data.infer import infer_field, infer_schema, label_answer, read_columns
from promise.data.schema import Field
from promise.data.source import open_source

DAYS = [f"{d:02d}" for d in range(1, 29)]
CASES = [
    ([str(i / 7) for i in range(50)], "number", {}),
    (["1", "?", "", "3", "NA"], "number", {"nulls": ("?", "NA")}),
    (["1", " ", "2.5"], "number", {}),
    (["1,5", "2", "unknown"], "number", {"decimal": ",", "nulls": ("unknown",)}),
    (["1,000", "999", "12,500"], "category", {}),
    (["007", "012", "999"], "category", {}),
    (["yes", "no", "?"], "category", {"nulls": ("?",)}),
    (["unknown", "admin", "services"], "category", {"nulls": ()}),
    (["2024-01-02", "2024-01-03T10:00:00", "?"], "date", {"format": "iso", "nulls": ("?",)}),
    ([f"{d}/03/2024" for d in DAYS], "date", {"format": "%d/%m/%Y"}),
    ([f"03/{d}/2024" for d in DAYS], "date", {"format": "%m/%d/%Y"}),
    (["03.04.2024", "05.04.2024"], "date", {"format": "%d.%m.%Y"}),
    (["3/4/2024 10:30", "12/31/2024 11:00"], "date", {"format": "%m/%d/%Y %H:%M"}),
    (["3/4/2024 10:30 PM", "12/31/2024 11:00 AM"], "date", {"format": "%m/%d/%Y %I:%M %p"}),
    (["2024-01-02", "25.12.2023", "26.12.2023"], "date", {"format": "iso|%d.%m.%Y"}),
    (["Jan 3, 2024", "Feb 12, 2024"], "date", {"format": "%b %d, %Y"}),
    (["3 Jan 2024", "12 Feb 2024"], "date", {"format": "%d %b %Y"}),
    (["2024/1/3", "2024/12/30"], "date", {"format": "%Y/%m/%d"}),
    ([f"the {i} quick brown foxes jump" for i in range(30)], "text", {}),
    (["the quick brown fox jumps"] * 30, "category", {}),
    (["", None], "number", {}),
]


@pytest.mark.parametrize(("cells", "kind", "more"), CASES, ids=range(len(CASES)))
def test_text_columns(cells, kind, more):
    found = infer_field("c", pa.chunked_array([pa.array(cells, pa.string())]))
    assert found.type == kind
    for key, value in more.items():
        assert getattr(found, key) == value
    if kind == "date":  # every form that was found is read
        columns, _ = read_columns(open_source(pa.table({"c": cells})), _schema(cells))
        assert np.isnat(columns["c"]).sum() == cells.count("?")


def _schema(cells):
    return infer_schema(open_source(pa.table({"c": cells})))


def test_native_columns():
    table = pa.table(
        {
            "flag": [True, None],
            "when": pa.array([0, 1], pa.timestamp("ms")),
            "count": [1, 2],
            "timestamp": [1_700_000_000, 1_700_000_100],
            "list": [[1], [2]],
            "void": pa.nulls(2),
        }
    )
    types = [f.type for f in infer_schema(open_source(table))]
    assert types == ["boolean", "date", "number", "date", "category", "number"]


def test_a_comma_that_marks_decimals_in_one_column_parts_no_thousands_in_another():
    rate, price = ["4,857", "4,021", "1,405"], ["1,5", "2", "17,25"]
    assert infer_schema(open_source(pa.table({"rate": rate})))["rate"].type == "category"
    found = infer_schema(open_source(pa.table({"rate": rate, "price": price, "town": list("abc")})))
    assert [(f.type, f.decimal) for f in found] == [
        ("number", ","), ("number", ","), ("category", ".")
    ]  # fmt: skip


def test_the_given_decimal_mark_says_what_a_comma_is():
    for decimal, kind in [(",", "number"), (".", "category")]:
        source = open_source(
            pa.table({"a": ["4,857", "1,405"], "b": ["1,5", "2"]}), decimal=decimal
        )
        assert [f.type for f in infer_schema(source)] == [kind] * 2


def test_the_given_decimal_mark_wins():
    source = open_source(pa.table({"a": ["1", "2"]}), decimal=",")
    assert infer_schema(source)["a"].decimal == ","


NUMBER = Field("y", "number")


@pytest.mark.parametrize(
    ("values", "field", "answer"),
    [
        (np.array([0.0, 1.0, np.nan, 1.0]), NUMBER, Class(("0", "1"))),
        (np.repeat(np.arange(3.0, 10.0), 30), NUMBER, Class(tuple("3456789"))),
        (np.arange(15.0), NUMBER, Number()),
        (np.repeat(np.arange(26.0), 30), NUMBER, Class(tuple(map(str, range(26))))),
        (np.random.default_rng(7).poisson(30, 5000).astype(float), NUMBER, Number()),
        (np.array([0.5, 1.5, 2.5] * 100), NUMBER, Number()),
        (np.array([1.0, 0.0]), Field("y", "boolean"), Class(("false", "true"))),
        (np.array(["b", None, "a"], dtype=object), Field("y", "text"), Class(("a", "b"))),
    ],
)
def test_labels_ask_for_answers(values, field, answer):
    assert label_answer(values, field) == answer
