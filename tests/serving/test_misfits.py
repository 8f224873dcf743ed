"""Bodies that do not fit: told in our words, by entry, field, what came and what was expected."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promise.errors import DataError
from promise.serving.bodies import MOST, EventSent, EventsSent, LabelSent, LabelsSent
from promise.serving.call import converted
from promise.serving.misfits import misfit
from promise.serving.oip import InferSent

KINDS = (LabelSent, LabelsSent, EventSent, EventsSent, InferSent)
ID = "m1.0-a-1"
LABEL = {"id": ID, "label": 1}
EVENT = {"event_id": "e", "entity": 7, "type": "login"}
TENSOR = {"name": "age", "shape": [1], "datatype": "FP64", "data": [1]}
AN_ID = "expected the `id` that came with the prediction, such as 'k3x9qa.0-mabc1234-0000001'"
A_TIME = "expected a time in ISO 8601 with its zone, such as '2026-01-31T12:00:00Z', or null."


@pytest.mark.parametrize(
    ("value", "kind", "told"),
    [
        ([1], LabelSent, "the body is a list, expected an object with the fields 'label', "),
        ({"id": ID}, LabelSent, "the field 'label' is missing; send a truth value, a number, "),
        ({**LABEL, "lable": 1}, LabelSent, "there is no field 'lable'; did you mean 'label'?"),
        ({**LABEL, "label": None}, LabelSent,
         "the field 'label' holds null, expected a truth value, a number, text, or a list of"),
        ({**LABEL, "label": {}}, LabelSent, "the field 'label' holds an object, expected a truth"),
        ({**LABEL, "label": [1, None]}, LabelSent, "the field 'label', part 1, holds null, "),
        ({**LABEL, "id": "a-b"}, LabelSent, f"the field 'id' holds 'a-b', {AN_ID}."),
        ({**LABEL, "id": 7}, LabelSent, f"the field 'id' holds a whole number, {AN_ID}."),
        ({**LABEL, "id": None}, LabelSent, "the field 'id' holds null, expected the `id`"),
        ({**LABEL, "id": "a" * 201}, LabelSent, "'id' has 201 characters, expected 0 to 200."),
        ({**LABEL, "model": ""}, LabelSent, "'model' has 0 characters, expected 1 to 200."),
        ({**LABEL, "source": 1.5}, LabelSent,
         "the field 'source' holds a number with decimals, expected text, or null."),
        ({**LABEL, "event_at": 1}, LabelSent, f"'event_at' holds a whole number, {A_TIME}"),
        ({**LABEL, "known_at": "1" * 41}, LabelSent, "'known_at' has 41 characters, expected"),
        ({"labels": 5}, LabelsSent, "the field 'labels' holds a whole number, expected a list of"),
        ({"labels": [LABEL, 5]}, LabelsSent, "label 1: it is a whole number, expected an object"),
        ({"labels": [LABEL, {**LABEL, "soruce": "a"}]}, LabelsSent,
         "label 1: there is no field 'soruce'; did you mean 'source'?"),
        ({"labels": [LABEL] * 3 + [{**LABEL, "id": "x"}]}, LabelsSent,
         f"label 3: the field 'id' holds 'x', {AN_ID}."),
        ({"labels": [LABEL] * (MOST + 1)}, LabelsSent, "has 10,001 parts, expected 0 to 10,000."),
        ({**EVENT, "event_id": True}, EventSent,
         "the field 'event_id' holds a truth value, expected text, or a whole number."),
        ({**EVENT, "entity": ""}, EventSent, "'entity' has 0 characters, expected 1 to 200."),
        ({**EVENT, "type": None}, EventSent, "the field 'type' holds null, expected text."),
        ({**EVENT, "payload": []}, EventSent,
         "the field 'payload' holds a list, expected an object, or null."),
        ({"events": [EVENT, {"event_id": "f"}]}, EventsSent,
         "event 1: the field 'entity' is missing; send text, or a whole number."),
        ({"inputs": []}, InferSent, "the field 'inputs' has 0 parts, expected at least 1."),
        ({"inputs": [{**TENSOR, "datatype": "FP65"}]}, InferSent,
         "input 0: the field 'datatype' holds 'FP65'; did you mean 'FP64'"),
        ({"inputs": [{**TENSOR, "shape": [-1]}]}, InferSent,
         "input 0: the field 'shape', part 0, holds -1, expected a whole number from 0 to "),
        ({"inputs": [{**TENSOR, "shape": [1, 1, 1]}]}, InferSent,
         "input 0: the field 'shape' has 3 parts, expected 1 to 2."),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told_by_place_kind_and_expectation(
    value: Any, kind: type, told: str
) -> None:
    with pytest.raises(DataError) as caught:
        converted(value, kind)
    assert told in str(caught.value)


PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4)
VALUES = st.recursive(
    PLAIN | st.sampled_from([ID, "FP64", "x" * 41, "x" * 201]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)


@st.composite
def bodies(draw: st.DrawFn, kind: type) -> Any:
    """Draw a body that nearly fits: some field dropped, added or replaced by anything."""
    one = {LabelSent: LABEL, LabelsSent: LABEL, EventSent: EVENT, EventsSent: EVENT}
    made = dict(one.get(kind, TENSOR))
    known = [*kind.__struct_fields__, "name", "shape", "datatype", "data", "at", "source", "other"]
    made |= draw(st.dictionaries(st.sampled_from(known), VALUES, max_size=3))
    for name in draw(st.sets(st.sampled_from(sorted(made)), max_size=1)):
        del made[name]
    several = {LabelsSent: "labels", EventsSent: "events", InferSent: "inputs"}.get(kind)
    if several is not None:
        made = {several: draw(st.sampled_from([[made], [one.get(kind, TENSOR), made], made]))}
    return draw(st.one_of(st.just(made), st.just(made), VALUES))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_what_the_decoder_refuses_is_told_and_nothing_else(kind: type, data: st.DataObject) -> None:
    value = data.draw(bodies(kind))
    told = misfit(value, kind)
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        assert told is not None
        assert told.endswith((".", "?"))
    else:
        assert told is None
