"""A request is read once, and each version gets the rows that it would have read for itself."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET

from promise.data.schema import Field, Schema
from promise.errors import DataError
from promise.pipeline.json_text import MalformedRequest
from promise.pipeline.wire import RequestCodec, TooManyRows
from promise.serving.intake import Intake

AGE, PLAN, SIZE = Field("age", "number"), Field("plan", "category"), Field("size", "number")
WORDS = Field("age", "category")


def encoded(value: Any) -> bytes:
    return json.dumps(value).encode()


def given_to(intake: Intake, number: int, sent: Any) -> Any:
    """Return the rows that a version gets of a body."""
    body = encoded(sent)
    rows = intake.rows_for(number, intake.decode(body)[0], body)
    return None if rows is None else list(rows)


def test_versions_with_equal_fields_take_rows_as_they_are() -> None:
    intake = Intake({1: Schema((AGE, PLAN)), 2: Schema((AGE, PLAN))}, lead=1)
    assert intake.plain(1)
    assert intake.plain(2)
    assert intake.led_by(2) is intake
    rows = intake.decode(encoded({"age": 1, "plan": "a"}))[0]
    assert intake.rows_for(2, rows, b"") is rows


def test_another_order_is_another_order_alone() -> None:
    intake = Intake({1: Schema((AGE, PLAN)), 2: Schema((PLAN, AGE))}, lead=1)
    assert given_to(intake, 2, {"age": 1, "plan": "a"}) == [("a", 1.0)]
    assert len(intake.optional) == 0


def test_a_field_that_only_another_version_reads_may_be_absent() -> None:
    intake = Intake({1: Schema((AGE,)), 2: Schema((AGE, PLAN, SIZE))}, lead=1)
    assert given_to(intake, 1, {"age": 1}) == [(1.0,)]
    assert given_to(intake, 2, {"age": 1}) is None
    assert given_to(intake, 2, {"age": 1, "plan": "a"}) is None
    assert given_to(intake, 2, {"age": 1, "plan": None, "size": 2}) == [(1.0, None, 2.0)]
    both = {"rows": [{"age": 1, "plan": "a", "size": 2}, {"age": 3, "plan": "b", "size": 4}]}
    assert given_to(intake, 2, both) == [(1.0, "a", 2.0), (3.0, "b", 4.0)]
    assert given_to(intake, 2, {"rows": [both["rows"][0], {"age": 3}]}) is None
    assert given_to(intake, 1, {"rows": [both["rows"][0], {"age": 3}]}) == [(1.0,), (3.0,)]


def test_what_the_leading_version_needs_is_required_and_the_rest_refused_by_name() -> None:
    intake = Intake({1: Schema((AGE,)), 2: Schema((AGE, PLAN))}, lead=1)
    with pytest.raises(DataError, match=r"field 'age' is missing"):
        intake.decode(encoded({"plan": "a"}))
    with pytest.raises(DataError, match=r"no field 'plam'; did you mean 'plan'"):
        intake.decode(encoded({"age": 1, "plam": "a"}))
    with pytest.raises(DataError, match=r"row 1: the field 'plan' holds a list"):
        intake.decode(encoded({"rows": [{"age": 1}, {"age": 1, "plan": [1]}]}))


def test_a_version_with_other_types_reads_for_itself() -> None:
    intake = Intake({1: Schema((AGE, PLAN)), 2: Schema((WORDS,))}, lead=1)
    assert given_to(intake, 1, {"age": 30, "plan": "a"}) == [(30.0, "a")]
    assert given_to(intake, 2, {"age": 30, "plan": "a"}) == [(30,)]  # not 30.0: another category
    turned = Intake({1: Schema((AGE, PLAN)), 2: Schema((WORDS,))}, lead=2)
    assert given_to(turned, 1, {"age": "old", "plan": "a"}) is None
    assert given_to(turned, 1, {"age": 30}) is None
    assert given_to(turned, 1, {"rows": [{"age": 30, "plan": "a"}]}) == [(30.0, "a")]


def test_a_field_named_rows_of_another_version_takes_no_batch_from_the_live_one() -> None:
    rows = Field("rows", "number")
    intake = Intake({1: Schema((AGE,)), 2: Schema((AGE, rows))}, lead=1)
    assert given_to(intake, 1, {"rows": [{"age": 1}]}) == [(1.0,)]
    assert given_to(intake, 2, {"rows": [{"age": 1}]}) is None
    led = intake.led_by(2)
    assert given_to(led, 2, {"age": 1, "rows": 7}) == [(1.0, 7.0)]
    assert given_to(led, 1, {"age": 1, "rows": 7}) == [(1.0,)]


def test_the_schema_of_a_row_shows_what_may_be_absent() -> None:
    intake = Intake({1: Schema((AGE,)), 2: Schema((AGE, PLAN)), 3: Schema((AGE, WORDS))}, lead=1)
    shown = intake.json_schema()
    assert shown["required"] == ["age"]
    assert shown["additionalProperties"] is False
    assert shown["properties"]["plan"]["description"].startswith("Optional")


def test_the_entity_is_the_leading_versions() -> None:
    who = Field("who", "category", role="entity")
    intake = Intake({1: Schema((AGE, who)), 2: Schema((AGE,))}, lead=1)
    rows, _ = intake.decode(encoded({"rows": [{"age": 1, "who": "ann"}, {"age": 2, "who": "ann"}]}))
    assert (intake.asks_entity, intake.entity(rows)) == (True, "ann")
    assert intake.entity([(1.0, "ann"), (1.0, "bob")]) is None
    assert not intake.led_by(2).asks_entity


names = st.sampled_from(("a", "b", "c", "d", "rows"))
types = st.sampled_from(("number", "boolean", "category", "text", "date"))
schemas = st.dictionaries(names, types, max_size=4).map(
    lambda found: Schema(tuple(Field(name, kind) for name, kind in found.items()))  # type: ignore[arg-type]
)
values = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**30), 10**30), st.floats(allow_nan=False, width=32),
    st.sampled_from(("", "x", "2026-01-31")), st.just([1]),
)  # fmt: skip
records = st.dictionaries(names, values, max_size=5)


@pytest.mark.slow
@settings(deadline=None, max_examples=300)
@given(st.tuples(schemas, schemas, schemas), st.lists(records, min_size=1, max_size=3), st.data())
def test_each_version_gets_what_its_own_codec_reads_of_its_own_fields(
    three: tuple[Schema, ...], rows: list[dict[str, Any]], data: st.DataObject
) -> None:
    versions = dict(enumerate(three))
    intake = Intake(versions, lead=0)
    batched = "rows" not in versions[0] and data.draw(st.booleans())
    sent = rows if batched else rows[:1]
    body = encoded({"rows": rows} if batched else rows[0])
    try:
        read, batch = intake.decode(body)
    except (DataError, MalformedRequest, TooManyRows):
        return
    if batch != batched:  # the one row has a list in a field of this name
        return
    for number, schema in versions.items():
        found = intake.rows_for(number, read, body)
        expected = _own(schema, sent, versions[0])
        assert repr(None if found is None else list(found)) == repr(expected), number
        assert found is None or not any(value is UNSET for row in found for value in row)


def _own(schema: Schema, rows: list[dict[str, Any]], lead: Schema) -> Any:
    """Read rows by one version's strict codec, from its own fields alone: the readable twin."""
    if "rows" in schema and "rows" not in lead:
        return None
    codec, found = RequestCodec(schema), []
    for row in rows:
        own = {name: value for name, value in row.items() if name in schema}
        try:
            found += codec.decode(encoded(own))[0]
        except (DataError, MalformedRequest):
            return None
    return found
