"""Why rows are answered as they are: the contributions of each input, by a version's own models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from promise.data.columns import FloatArray
from promise.errors import ConfigError
from promise.features.event import micros_of
from promise.features.keyed import SEEN, Keyed
from promise.pipeline.bind import columns_of
from promise.pipeline.explain import explain
from promise.serving.about import version_number
from promise.serving.absence import not_loaded, not_served, nothing_live
from promise.serving.bodies import ExplainAnswer, ExplanationAnswer
from promise.serving.call import Call, endpoint_named
from promise.serving.endpoints import Endpoint
from promise.serving.intake import Intake, Row
from promise.serving.keyed_desk import KeyedDesk
from promise.serving.loading import Loaded
from promise.serving.problems import Refused


def explain_rows(call: Call) -> ExplainAnswer:
    """Explain rows as the live version answers them, or as the `version` of the query does."""
    endpoint = endpoint_named(call)
    loaded, intake = loaded_version(endpoint, call.query.get("version"))
    number = loaded.version.number
    rows = intake.rows_for(number, intake.decode(call.body)[0], call.body)
    assert rows is not None, "a request fits the version that leads its intake"
    columns = columns_of(rows, loaded.schema)
    if isinstance(loaded.pipeline.featurize, Keyed):
        columns = columns.with_columns({SEEN: _seen_now(call, endpoint, number, rows)})
    try:
        found = explain(loaded.pipeline, columns)
    except ConfigError as error:
        raise Refused(409, "not explainable", str(error)) from error
    return ExplainAnswer(
        model=endpoint.name,
        version=number,
        explanations=[ExplanationAnswer(**_fields(one)) for one in found],
    )


def _seen_now(call: Call, endpoint: Endpoint, number: int, rows: Sequence[Row]) -> FloatArray:
    """Return what the entities' states tell of rows, writing nothing.

    An event that was answered already does not see itself, since windows end before it.
    """
    desk = KeyedDesk.of(endpoint)
    if desk is None or number not in desk.readers:
        raise not_loaded(endpoint, number)
    reader, views = desk.reader(number), desk.views
    now_us = micros_of(call.clock.now())
    store = call.worker.answering.keyed.opened(views.retention_s).store
    seen = []
    for row in rows:
        event = reader.event(row, id="explained", now_us=now_us)
        keys = views.keys(event)
        held = dict(zip(keys, store.read(keys), strict=True)) if keys else {}
        seen.append(views.vector(number, event, held))
    return np.array(seen)


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
