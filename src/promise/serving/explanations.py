"""Why rows are answered as they are: the contributions of each input, by a version's own models."""

from __future__ import annotations

from typing import Any

from promise.errors import ConfigError
from promise.pipeline.bind import columns_of
from promise.pipeline.explain import explain
from promise.serving.about import version_number
from promise.serving.absence import not_loaded, not_served, nothing_live
from promise.serving.bodies import ExplainAnswer, ExplanationAnswer
from promise.serving.call import Call, endpoint_named
from promise.serving.endpoints import Endpoint
from promise.serving.intake import Intake
from promise.serving.loading import Loaded
from promise.serving.problems import Refused


def explain_rows(call: Call) -> ExplainAnswer:
    """Explain rows as the live version answers them, or as the `version` of the query does."""
    endpoint = endpoint_named(call)
    loaded, intake = loaded_version(endpoint, call.query.get("version"))
    number = loaded.version.number
    rows = intake.rows_for(number, intake.decode(call.body)[0], call.body)
    assert rows is not None, "a request fits the version that leads its intake"
    try:
        found = explain(loaded.pipeline, columns_of(rows, loaded.schema))
    except ConfigError as error:
        raise Refused(409, "not explainable", str(error)) from error
    return ExplainAnswer(
        model=endpoint.name,
        version=number,
        explanations=[ExplanationAnswer(**_fields(one)) for one in found],
    )


def loaded_version(endpoint: Endpoint, wanted: str | None = None) -> tuple[Loaded, Intake]:
    """Return a loaded version and what reads its requests: the live one, or one by its number.

    Raises
    ------
    Refused
        When there is no such version in memory (404), nothing is live (409), or it is not loaded
        (503).
    """
    number = endpoint.route.live if wanted is None else version_number(wanted)
    if number is None:
        raise nothing_live(endpoint)
    found = endpoint.versions.get(number)
    if found is None and number not in endpoint.route.loaded:
        raise not_served(endpoint, number)
    if found is None or endpoint.intake is None:
        raise not_loaded(endpoint, number)
    return found, endpoint.intake.led_by(number)


def _fields(explanation: Any) -> dict[str, Any]:
    fields: dict[str, Any] = explanation.to_json()
    return fields
