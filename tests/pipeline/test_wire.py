"""Requests are decoded strictly, and what is wrong with them is told by name."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import jsonschema
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promise.data.schema import Field, Schema
from promise.errors import DataError
from promise.pipeline import wire
from promise.pipeline.json_text import MalformedRequest
from promise.pipeline.wire import RequestCodec, TooManyRows

CHECKED = settings(deadline=None, max_examples=200)
SCHEMA = Schema(
    (
        Field("age", "number", unit="years"),
        Field("Körper größe", "number"),
        Field("smokes", "boolean"),
        Field("town", "category"),
        Field("note", "text"),
        Field("when", "date", format="%d/%m/%Y|iso"),
    )
)
ROW: dict[str, Any] = {
    "age": 41, "Körper größe": 1.8, "smokes": True, "town": "Oslo", "note": "a word",
    "when": "2026-01-31",
}  # fmt: skip
VALUES = (41.0, 1.8, True, "Oslo", "a word", "2026-01-31")


def encoded(data: Any) -> bytes:
    return json.dumps(data).encode()


def refusal(codec: RequestCodec, body: bytes, kind: type[Exception] = DataError) -> str:
    with pytest.raises(kind) as caught:
        codec.decode(body)
    assert type(caught.value) is kind
    return str(caught.value)


def refusal_or_none(codec: RequestCodec, body: bytes) -> str | None:
    try:
        codec.decode(body)
    except DataError as error:
        return str(error)
    return None


@pytest.fixture
def codec() -> RequestCodec:
    return RequestCodec(SCHEMA, row_limit=100)


def test_one_object_is_one_row_in_the_schemas_order(codec: RequestCodec) -> None:
    turned = dict(reversed(ROW.items()))
    assert codec.decode(encoded(turned)) == ([VALUES], False)


def test_a_batch(codec: RequestCodec) -> None:
    rows, batch = codec.decode(encoded({"rows": [ROW, {**ROW, "age": None}]}))
    assert batch
    assert rows == [VALUES, (None, *VALUES[1:])]
    assert refusal(codec, b'{"rows": []}') == "rows is empty; send at least one."


def test_names_may_be_anything() -> None:
    names = ("", 'say "hi"', "a\\b", "tab\there", "f0", "__class__", "💶", "a.b[0]", "self")
    codec = RequestCodec(Schema(tuple(Field(name, "number") for name in names)))
    row = dict.fromkeys(names, 2)
    expected = (2.0,) * len(names)
    assert codec.decode(encoded(row)) == ([expected], False)
    assert codec.decode(encoded({"rows": [row] * 2})) == ([expected] * 2, True)
    assert "no field" in refusal(codec, encoded({**row, "g": 1}))


def test_many_columns() -> None:
    names = [f"feature {i}" for i in range(2000)]
    codec = RequestCodec(Schema(tuple(Field(name, "number") for name in names)))
    rows, _ = codec.decode(encoded({name: i for i, name in enumerate(names)}))
    assert rows == [tuple(float(i) for i in range(2000))]


def test_no_columns_at_all() -> None:
    assert RequestCodec(Schema(())).decode(b"{}") == ([()], False)


def test_a_field_called_rows_is_a_field() -> None:
    codec = RequestCodec(Schema((Field("rows", "number"),)))
    assert codec.decode(b'{"rows": 3}') == ([(3.0,)], False)
    told = refusal(codec, b'{"rows": [{"rows": 3}]}')
    assert told.startswith("the field 'rows' holds a list, expected a number")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"age": "41"}, "the field 'age' holds text, expected a number, or null where it is"),
        ({"age": [1]}, "the field 'age' holds a list, expected a number"),
        ({"age": {"a": 1}}, "the field 'age' holds an object, expected a number"),
        ({"age": True}, "the field 'age' holds a truth value, expected a number, or null"),
        ({"smokes": "yes"}, "the field 'smokes' holds text, expected true, false, 1 or 0, or"),
        ({"smokes": 0.5}, "the field 'smokes' holds 0.5, expected true, false, 1 or 0, or null"),
        ({"smokes": 2}, "the field 'smokes' holds 2, expected true, false, 1 or 0, or null"),
        ({"note": 3}, "the field 'note' holds a whole number, expected text"),
        ({"note": False}, "the field 'note' holds a truth value, expected text"),
        ({"when": True}, "the field 'when' holds a truth value, expected text as %d/%m/%Y such as"),
        (
            {"when": "noon"},
            "the field 'when' holds 'noon', expected text as %d/%m/%Y such as "
            "'31/01/2026' or ISO 8601 text such as '2026-01-31' or '2026-01-31T12:00:00Z', or null",
        ),
        ({"when": "2026-02-30"}, "the field 'when' holds '2026-02-30', expected text as"),
        ({"when": 1769860800}, "the field 'when' holds 1769860800, expected text as"),
        ({"town": ["Oslo"]}, "the field 'town' holds a list, expected text, a number or a"),
        ({"aeg": 3}, "there is no field 'aeg'; did you mean 'age'?"),
        ({"age": 10**400}, "beyond what 64-bit floats hold"),
    ],
)
def test_a_wrong_value_is_told_by_field(
    codec: RequestCodec, change: dict[str, Any], told: str
) -> None:
    row = {**ROW, **change}
    alone = refusal(codec, encoded(row))
    assert told in alone
    assert refusal(codec, encoded({"rows": [ROW, ROW, row]})) == f"row 2: {alone}"


def test_a_missing_field_says_what_null_is_for(codec: RequestCodec) -> None:
    row = {k: v for k, v in ROW.items() if k not in ("town", "note")}
    told = refusal(codec, encoded(row))
    assert told == "the fields 'town', 'note' are missing; send null where a value is unknown."
    assert refusal(codec, encoded({"rows": [ROW, row]})).startswith("row 1: the fields 'town'")


def test_rows_that_are_no_list_are_told_as_such(codec: RequestCodec) -> None:
    assert (
        refusal(codec, b'{"rows": 3}') == "'rows' holds a whole number, expected a list of objects."
    )


def test_numbers_beyond_floats(codec: RequestCodec) -> None:
    body = encoded(ROW).replace(b"41", b"1e400")
    assert refusal(codec, body).startswith("the field 'age' holds a number beyond what 64-bit")
    huge = encoded({**ROW, "age": 2**70, "town": 2**70})
    assert codec.decode(huge)[0][0][:4] == (float(2**70), 1.8, True, 2**70)


def test_keys_that_occur_twice_count_once(codec: RequestCodec) -> None:
    for first in (b"41", b'"x"', b"[]"):
        body = encoded(ROW).replace(b'"age": 41', b'"age": ' + first + b', "age": 5')
        assert codec.decode(body)[0][0][0] == 5.0
    missing = encoded({k: v for k, v in ROW.items() if k != "note"})
    twice = missing.replace(b'"age": 41', b'"age": 41, "age": 5')
    assert "'note' is missing" in refusal(codec, twice)


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity"])
def test_json_has_no_nan(codec: RequestCodec, literal: str) -> None:
    body = encoded(ROW).replace(b"41", literal.encode())
    told = refusal(codec, body, MalformedRequest)
    assert told.startswith(f"JSON has no {literal} (byte ")
    assert told.endswith("send null.")


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "the body is empty, expected one JSON object with the fields 'age', "),
        (b" \n", "the body is empty"),
        (b"[1]", "the body is a list, expected one JSON object"),
        (b"null", "the body is null, expected"),
        (b'"{}"', "the body is text, expected"),
        (b"3", "the body is a whole number, expected"),
        (b'{"age": 4', "the body is not valid JSON: it ends too early."),
        (b'{"age": 4,}', "the body is not valid JSON: "),
        (b"{'age': 4}", "the body is not valid JSON: "),
        (b'{"age": 4} x', "the body is not valid JSON: trailing characters (byte 12)."),
        (b'{"note": "\xff"}', "the body is not valid UTF-8"),
        (b"\xef\xbb\xbf{}", "the body is not valid JSON"),
        (b"[" * 100_000, "the body is nested too deep"),
        (b'{"x":' * 100_000, "the body is nested too deep"),
    ],
    ids=range(14),
)
def test_what_is_no_json_object(codec: RequestCodec, body: bytes, told: str) -> None:
    assert refusal(codec, body, MalformedRequest).startswith(told)


def test_rows_that_are_no_objects(codec: RequestCodec) -> None:
    told = refusal(codec, encoded({"rows": [ROW, [1, 2]]}))
    assert told.startswith("row 1: it is a list, expected an object with the fields 'age', ")
    assert "beside 'rows' there is 'model'" in refusal(
        codec, encoded({"rows": [ROW], "model": "x"})
    )
    assert "no field 'rows'" in refusal(codec, encoded({**ROW, "rows": 3}))


def test_a_batch_that_is_too_long(codec: RequestCodec) -> None:
    assert len(codec.decode(encoded({"rows": [ROW] * 100}))[0]) == 100
    told = refusal(codec, encoded({"rows": [ROW] * 101}), TooManyRows)
    assert told.startswith("the batch has 101 rows, at most 100 are answered at once; split it")


def test_a_long_batch_is_counted_before_it_is_built(
    codec: RequestCodec, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = b'{"rows": [' + b",".join([b"{}"] * 1_000_000) + b"]}"
    monkeypatch.setattr(RequestCodec, "_many", None)
    assert "1,000,000 rows" in refusal(codec, body, TooManyRows)


def test_braces_in_text_are_no_rows(codec: RequestCodec) -> None:
    row = {**ROW, "note": '{"{' * 200 + "\\"}
    assert codec.decode(encoded({"rows": [row, row]}))[0][1][4] == row["note"]


def test_text_without_an_end_is_counted_in_one_pass(codec: RequestCodec) -> None:
    body = b'{"rows": [' + b"{" * 200 + b'"' + b'\\"' * 300_000
    with pytest.raises((TooManyRows, MalformedRequest)):
        codec.decode(body)


def test_of_a_large_body_only_the_row_that_was_refused_is_read_again(
    codec: RequestCodec, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes: tuple[Any, ...] = ({**ROW, "aeg": 1}, {**ROW, "Körper größe": "x"}, {}, [])
    bodies = [encoded({"rows": [ROW, row]}) for row in changes]
    told = [refusal(codec, body) for body in bodies]
    monkeypatch.setattr(wire, "DIAGNOSED_BYTES", 0)
    monkeypatch.setattr(RequestCodec, "_slowly", None)
    assert [refusal(codec, body) for body in bodies] == told
    assert told[0] == "row 1: there is no field 'aeg'; did you mean 'age'?"
    monkeypatch.undo()
    monkeypatch.setattr(wire, "DIAGNOSED_BYTES", 0)
    assert "beside 'rows' there is 'x'" in refusal(codec, encoded({"rows": [ROW], "x": 1}))


@pytest.mark.parametrize(
    ("field", "taken", "refused", "told"),
    [
        (Field("at", "date"), ["2026-01-31", "2026-01-31 12:00", "2026-01-31T12:00:00.5+05:30",
         "2026-01-31T12:00:00Z", "", None], ["20260131", "31.01.2026", "2026-01-31T25:00", 20260131,
         1769860800.5], "expected ISO 8601 text such as '2026-01-31'"),
        (Field("at", "date", nulls=("?", "n/a")), ["?", " n/a ", None], ["??", "none"], "ISO 8601"),
        (Field("at", "date", format="epoch_s"), [1769860800, 0.5, -3, None], ["1769860800", 1e300],
         "expected seconds since 1970 such as 1769860800, or null"),
        (Field("at", "date", format="%Y%m%d"), [20260131, "20260131", " 20260131 ", None],
         ["2026-01-31", 20261301], "expected text as %Y%m%d such as '20260131', or null"),
        (Field("at", "boolean"), [True, False, 1, 0, 1.0, 0.0, None], [2, -1, 0.5, "true"],
         "expected true, false, 1 or 0, or null"),
        (Field("at", "number"), [1, 1.5, -0.0, None], [True, False, "1"], "expected a number"),
        (Field("at", "category"), ["a", "", 1, 1.5, True, None], [[], {}], "expected text, a"),
        (Field("at", "text"), ["a", "", None], [1, True], "expected text"),
    ],
    ids=lambda part: getattr(part, "format", None) or getattr(part, "type", ""),
)  # fmt: skip
def test_what_a_field_takes_and_refuses(
    field: Field, taken: list[Any], refused: list[Any], told: str
) -> None:
    codec = RequestCodec(Schema((field,)))
    for value in taken:
        assert_both_agree(codec, encoded({"at": value}))
        assert codec.decode(encoded({"at": value})) == ([(value,)], False)
    for value in refused:
        assert_both_agree(codec, encoded({"at": value}))
        found = refusal(codec, encoded({"rows": [{"at": None}, {"at": value}]}))
        assert found.startswith("row 1: the field 'at' holds ")
        assert told in found


def test_an_optional_date_is_read_only_where_it_came() -> None:
    codec = RequestCodec(Schema(()), optional=Schema((Field("at", "date"),)))
    assert codec.decode(b"{}") == ([(msgspec.UNSET,)], False)
    assert "ISO 8601" in refusal(codec, b'{"at": "noon"}')


json_values = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=5), st.lists(st.integers(), max_size=1), st.just({}),
)  # fmt: skip


@CHECKED
@given(st.dictionaries(st.sampled_from((*ROW, "aeg")), json_values), st.booleans())
def test_the_compiled_and_the_readable_decoder_agree(row: dict[str, Any], batch: bool) -> None:
    codec = RequestCodec(SCHEMA)
    whole = {**ROW, **row}
    body = msgspec.json.encode({"rows": [ROW, whole]} if batch else whole)
    assert_both_agree(codec, body)


def assert_both_agree(codec: RequestCodec, body: bytes) -> None:
    """Hold the compiled decoder against its readable twin."""
    outcomes = []
    for read in (codec.decode, codec._slowly):
        try:
            outcomes.append(repr(read(body)))
        except (DataError, MalformedRequest) as error:
            outcomes.append(f"{type(error).__name__}: {error}")
    assert outcomes[0] == outcomes[1]


@pytest.mark.slow
@CHECKED
@given(
    st.sets(st.sampled_from(tuple(ROW))),
    st.dictionaries(st.sampled_from((*ROW, "aeg")), json_values),
    st.booleans(),
    st.booleans(),
)
def test_they_agree_on_fields_that_may_be_absent_and_on_those_of_others(
    optional: set[str], row: dict[str, Any], others: bool, batch: bool
) -> None:
    needed = SCHEMA.only(tuple(name for name in SCHEMA.names if name not in optional))
    more = SCHEMA.only(tuple(name for name in SCHEMA.names if name in optional))
    codec = RequestCodec(needed, optional=more, others=others)
    body = msgspec.json.encode({"rows": [row, ROW]} if batch else row)
    assert_both_agree(codec, body)


@CHECKED
@given(st.binary(max_size=40))
def test_no_bytes_escape_as_another_error(body: bytes) -> None:
    codec = RequestCodec(SCHEMA)
    for sent in (body, b'{"rows": [' + body, encoded(ROW)[:-1] + body):
        with suppress(DataError, MalformedRequest):
            codec.decode(sent)


@pytest.mark.slow
@CHECKED
@given(st.dictionaries(st.sampled_from((*ROW, "aeg")), json_values))
def test_what_the_schema_allows_is_decoded_and_nothing_else(row: dict[str, Any]) -> None:
    codec = RequestCodec(SCHEMA)
    whole = {**ROW, **row}
    jsonschema.Draft202012Validator.check_schema(codec.json_schema())
    allowed = jsonschema.Draft202012Validator(codec.json_schema()).is_valid(whole)
    refused = refusal_or_none(codec, encoded(whole))
    if allowed and refused is not None:
        assert "the field 'when' holds" in refused  # a JSON schema knows no dates
    else:
        assert allowed == (refused is None)


def test_the_schema_of_a_row(codec: RequestCodec) -> None:
    found = codec.json_schema()
    assert found["additionalProperties"] is False
    assert found["required"] == list(ROW)
    age = found["properties"]["age"]
    assert (age["title"], age["description"]) == ("age", "In years.")
    assert "null" in age["type"]
    for example in found["examples"]:
        jsonschema.Draft202012Validator(found).validate(example)
        codec.decode(encoded(example))


def test_columns_that_are_passed_over_change_nothing_else() -> None:
    schema = Schema((Field("age", "number"), Field("sex", "category")))
    codec = RequestCodec(schema, ignored=("id", "age", "label"))
    assert codec.read(b'{"age": 1, "sex": "f"}') == ([(1.0, "f")], False, True)
    for value in (b"7", b'"x"', b"null", b"[1]", b'{"a": 1}'):
        row = b'{"id": ' + value + b', "age": 1, "label": true, "sex": "f"}'
        assert codec.read(row) == ([(1.0, "f")], False, False)
        assert codec.decode(b'{"rows": [' + row + b"]}") == ([(1.0, "f")], True)
    for refused in (b'{"idd": 1, "age": 1, "sex": "f"}', b'{"id": 1, "sex": "f"}'):
        with pytest.raises(DataError, match=r"'idd'|'age' is missing"):
            codec.decode(refused)
    shown = codec.json_schema()
    assert shown["required"] == ["age", "sex"]
    assert list(shown["properties"]) == ["age", "sex", "id", "label"]
