"""Why rows are answered as they are: the contributions of each input, by a version's own models."""

from __future__ import annotations

from typing import Any

from promise.errors import ConfigError
from promise.pipeline.explain import explain
from promise.pipeline.request import request_from_rows
from promise.serving.about import version_number
from promise.serving.bodies import ExplainAnswer, ExplanationAnswer
from promise.serving.call import Call, Refused, endpoint_named
from promise.serving.runtime import Endpoint, Loaded


def explain_rows(call: Call) -> ExplainAnswer:
    """Explain rows as the live version answers them, or as the `version` of the query does."""
    endpoint = endpoint_named(call)
    loaded = loaded_version(endpoint, call.query.get("version"))
    rows, _ = loaded.codec.decode(call.body)
    request = request_from_rows(loaded.codec.rows_as_dicts(rows), loaded.pipeline.task.request)
    try:
        found = explain(loaded.pipeline, request)
    except ConfigError as error:
        raise Refused(409, "not explainable", str(error)) from error
    return ExplainAnswer(
        model=endpoint.name,
        version=loaded.version.number,
        explanations=[ExplanationAnswer(**_fields(one)) for one in found],
    )


def loaded_version(endpoint: Endpoint, wanted: str | None = None) -> Loaded:
    """Return a loaded version of a model: the live one, or the one with this number.

    Raises
    ------
    Refused
        When there is no such version in memory (404), nothing is live (409), or the live one is
        still being loaded (503).
    """
    if wanted is not None:
        return _with_number(endpoint, version_number(wanted))
    live = endpoint.route.live
    if live is None:
        raise Refused(
            409,
            "nothing is live",
            f"No version of {endpoint.name} is live; `promise deploy {endpoint.name}`.",
        )
    found = endpoint.versions.get(live)
    if found is None:
        raise _absent(endpoint, live)
    return found


def _with_number(endpoint: Endpoint, number: int) -> Loaded:
    found = endpoint.versions.get(number)
    if found is not None:
        return found
    if number in endpoint.route.loaded:
        raise _absent(endpoint, number)
    known = ", ".join(str(one) for one in sorted(endpoint.versions)) or "none"
    raise Refused(
        404,
        "version not served",
        f"Version {number} of {endpoint.name} is not served; in memory: {known}. "
        f"`promise deploy {endpoint.name}@{number}` serves it.",
    )


def _absent(endpoint: Endpoint, number: int) -> Refused:
    reason = (endpoint.failed or {}).get(number)
    told = "is still being loaded" if reason is None else f"could not be loaded: {reason}"
    return Refused(
        503,
        "version not ready",
        f"Version {number} of {endpoint.name} {told}",
        headers=[("retry-after", "1")],
    )


def _fields(explanation: Any) -> dict[str, Any]:
    fields: dict[str, Any] = explanation.to_json()
    return fields
