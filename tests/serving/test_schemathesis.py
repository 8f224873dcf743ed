"""Requests made from the OpenAPI document itself: no server error, and every answer as declared."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from promise.serving.operations import OPERATIONS
from promise.serving.server import build

CHECKS = [
    not_a_server_error,
    response_schema_conformance,
    content_type_conformance,
    status_code_conformance,
]
CONCRETE = ("/v1/models/churn/predict", "/v1/models/churn/explain", "/v1/models/price/predict")
EVERY = [(op.method, op.path) for op in OPERATIONS] + [("POST", path) for path in CONCRETE]


@pytest.mark.slow
@pytest.mark.parametrize(("method", "path"), EVERY, ids=lambda part: part)
def test_answers_are_as_the_document_says(
    house: Any, method: str, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    house.deploy()
    house.deploy("price", "number")
    app = build(house.worker())
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    operation = schema[path][method]
    wrong = st.booleans() if method == "POST" else st.just(False)

    @seed(7)
    @settings(
        max_examples=40 if method == "POST" else 6,
        deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(data=st.data(), named=st.booleans(), negative=wrong)
    def check(data: Any, named: bool, negative: bool) -> None:
        mode = schemathesis.GenerationMode
        chosen = mode.NEGATIVE if negative else mode.POSITIVE
        case = data.draw(operation.as_strategy(generation_mode=chosen))
        if named and case.path_parameters:
            known = {"name": "churn", "version": 1, "noun": "people", "id": "ann"}
            case.path_parameters = {name: known[name] for name in case.path_parameters}
        response = case.call(app=app)
        case.validate_response(response, checks=CHECKS)

    with caplog.at_level(logging.ERROR):
        check()
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.slow
def test_the_document_that_schemathesis_reads_has_the_lane(house: Any) -> None:
    house.deploy()
    schema = schemathesis.openapi.from_asgi("/openapi.json", build(house.worker()))
    assert {"/v1/models/{name}/predict", "/v1/models/churn/predict"} <= set(schema)
