"""The route of the first domain classifier, kept for clients that speak it."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from promise.serving.absence import not_loaded
from promise.serving.call import Call, absent, decoded
from promise.serving.endpoints import Endpoint
from promise.serving.problems import Refused
from promise.serving.request import Request

WORKLOAD = "domains"


class DomainSent(Struct, forbid_unknown_fields=True):
    """A domain name."""

    domain: Annotated[str, Meta(max_length=10_000)]


class DomainAnswer(Struct):
    """What a domain name is taken for."""

    domain: str
    predicted_app: str
    confidence: float
    inference_time_ms: float


async def predict_domain(call: Call) -> DomainAnswer:
    """Answer one domain name by the model that `model` names, or by the only one of domains."""
    clock = call.worker.clock
    began_s = clock.monotonic()
    sent = decoded(call.body, DomainSent)
    endpoint = _endpoint(call)
    desk = call.worker.answering.desk(endpoint.name)
    if desk is None or desk.live is None or desk.intake is None:
        raise not_loaded(endpoint)
    body = msgspec.json.encode({desk.intake.schema.names[0]: sent.domain})
    rows, _, exact = desk.intake.read(body)
    limits = call.worker.limits
    deadline_ms = limits.deadline_of(call.headers.get("x-deadline-ms"))
    request = Request(
        desk.intake, rows, body, call.headers.get("x-entity"), began_s,
        began_s + deadline_ms * 1e-3, exact, deadline_ms < limits.deadline_ms,
    )  # fmt: skip
    answered = await call.worker.answering.answer(desk, request)
    answer = answered.answers[0]
    told = answer["prediction"]
    return DomainAnswer(
        domain=sent.domain,
        predicted_app=told,
        confidence=answer.get("confidence", answer["probability"].get(told, 0.0)),
        inference_time_ms=1e3 * (clock.monotonic() - began_s),
    )


def _endpoint(call: Call) -> Endpoint:
    """Return the model of domains that is asked; refuse where none, or more than one, is live."""
    found = {name: one for name, one in call.snapshot.endpoints.items() if _of_domains(one)}
    asked = call.query.get("model")
    if asked is not None:
        if asked in found:
            return found[asked]
        if asked in call.snapshot.endpoints:
            detail = f"{asked} does not classify domains; its route is /v1/models/{asked}/predict."
            raise Refused(409, "another kind of model", detail)
        raise absent(call, asked)
    if len(found) == 1:
        return next(iter(found.values()))
    if found:
        detail = f"several models classify domains: say which by ?model={'|'.join(sorted(found))}."
        raise Refused(409, "which model", detail)
    raise Refused(404, "unknown model", "no model that classifies domains is live.")


def _of_domains(endpoint: Endpoint) -> bool:
    live = endpoint.route.live
    loaded = None if live is None else endpoint.versions.get(live)
    return loaded is not None and loaded.version.workload == WORKLOAD
