"""What is live and what it is held to: the answers about models, versions and their history."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from promise.errors import ArtifactError
from promise.pipeline.artifact import read_manifest
from promise.pipeline.task import Task
from promise.pipeline.wire import RequestCodec
from promise.promises.spec import Promise
from promise.records.moments import moment_of
from promise.registry.lifecycle import BUCKETS, Route, Transition
from promise.registry.verdicts import Judged
from promise.registry.versions import Version
from promise.serving.bodies import (
    ModelAnswer,
    ModelsAnswer,
    ModelSummary,
    PromiseState,
    RouteState,
    StatusAnswer,
    TransitionAnswer,
    VersionAnswer,
    VersionState,
)
from promise.serving.call import Call, absent
from promise.serving.catalogue import Promised
from promise.serving.problems import Refused
from promise.state.moments import maybe_text, to_text

SHOWN_TRANSITIONS = 50
"""How many transitions are shown where the request does not say."""


def list_models(call: Call) -> ModelsAnswer:
    """List every model that is registered or deployed, by name."""
    registered = call.catalogue.versions()
    routes = call.catalogue.lifecycle.routes()
    models = []
    for name in sorted({*registered, *routes}):
        route, versions = routes.get(name, Route(name)), registered.get(name, [])
        models.append(
            ModelSummary(
                **_route(route),
                versions=[version.number for version in versions],
                metrics=_metrics(versions, route),
            )
        )
    return ModelsAnswer(models)


def show_model(call: Call) -> ModelAnswer:
    """Show one model: route, versions, promises with their newest verdicts, request."""
    name = call.path["name"]
    route, versions = call.catalogue.lifecycle.route(name), _versions(call, name)
    promised = call.catalogue.promises(name, route.live)
    return ModelAnswer(
        **_route(route),
        revision=promised.revision.number,
        versions=[VersionState(**_version(call, route, version)) for version in versions],
        promises=_promises(promised),
        request=_request(call, name, route, versions),
        metrics=_metrics(versions, route),
    )


def show_version(call: Call) -> VersionAnswer:
    """Show one version in full: metrics, lineage, verdicts and model card."""
    name, number = call.path["name"], version_number(call.path["version"])
    versions = _versions(call, name)
    found = next((version for version in versions if version.number == number), None)
    if found is None:
        known = ", ".join(str(version.number) for version in versions)
        raise Refused(404, "unknown version", f"{name} has no version {number}; it has {known}.")
    return VersionAnswer(
        **_version(call, call.catalogue.lifecycle.route(name), found),
        name=name,
        digest=found.digest,
        lineage=found.lineage,
        promises=_promises(call.catalogue.promises(name, number)),
        request=request_schema(found),
        card=_card(found),
    )


def show_status(call: Call) -> StatusAnswer:
    """Show what was in force at a moment (`at`; now without it), why, and how it came to be."""
    name = call.path["name"]
    moment = _moment(call) or call.clock.now()
    lifecycle = call.catalogue.lifecycle
    chain = [link for link in lifecycle.history(name) if link.at <= moment]
    if not chain and not lifecycle.history(name):
        _versions(call, name)  # refuses a name that is not even registered
    return StatusAnswer(
        name=name,
        at=to_text(moment),
        in_force=_transition(chain[-1]) if chain else None,
        transitions=[_transition(link) for link in reversed(chain[-_limit(call) :])],
    )


def version_number(text: str) -> int:
    """Return the number of a version as a path names it."""
    if not (text.isascii() and text.isdigit()) or len(text) > 9:
        raise Refused(
            404, "unknown version", f"{text!r} is no version number; versions are 1, 2, 3, …"
        )
    return int(text)


def request_schema(version: Version) -> dict[str, Any] | None:
    """Return the JSON schema of one row of a version; None where its files cannot be read."""
    try:
        task = Task.from_json(read_manifest(version.folder)["task"])
    except (ArtifactError, OSError):
        return None
    return RequestCodec(task.request).json_schema()


def _moment(call: Call) -> datetime | None:
    given = call.query.get("at")
    return None if given is None else moment_of(given, call.clock.now())


def _limit(call: Call) -> int:
    text = call.query.get("limit", str(SHOWN_TRANSITIONS))
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text[:9]) <= 10_000:
        raise Refused(422, "invalid query", f"limit is {text!r}; expected 1 to 10000.")
    return int(text)


def _versions(call: Call, name: str) -> list[Version]:
    found = call.catalogue.registry.versions(name)
    if not found:
        raise absent(call, name)
    return found


def _route(route: Route) -> dict[str, Any]:
    return {
        "name": route.name,
        "stage": route.stage,
        "live": route.live,
        "standby": route.standby,
        "candidate": route.candidate,
        "share": 100.0 * route.share / BUCKETS,
        "since": maybe_text(route.since),
        "held": route.held,
        "experiment": {str(v): 100.0 * n / BUCKETS for v, n in route.experiment.items()},
    }


def _version(call: Call, route: Route, version: Version) -> dict[str, Any]:
    endpoint = call.snapshot.endpoints.get(version.name)
    failed = {} if endpoint is None else endpoint.failed or {}
    return {
        "version": version.number,
        "created": to_text(version.created),
        "workload": version.workload,
        "role": _role(route, version.number),
        "loaded": endpoint is not None and version.number in endpoint.versions,
        "failed": failed.get(version.number),
        "metrics": version.metrics,
        "labels": version.labels,
        "state": version.state,
        "archive_at": maybe_text(version.archive_at),
    }


def _role(route: Route, number: int) -> str:
    for role in ("live", "standby", "candidate"):
        if getattr(route, role) == number:
            return role
    return "experiment" if number in route.experiment else "registered"


def _metrics(versions: list[Version], route: Route) -> dict[str, Any]:
    """Return the metrics of the live version, or of the newest where none is live."""
    if not versions:
        return {}
    live = next((v for v in versions if v.number == route.live), versions[-1])
    return live.metrics


def _request(call: Call, name: str, route: Route, versions: list[Version]) -> dict[str, Any] | None:
    endpoint = call.snapshot.endpoints.get(name)
    if route.live is not None and endpoint is not None and endpoint.intake is not None:
        return endpoint.intake.json_schema()
    found = next((v for v in versions if v.number == route.live), versions[-1])
    return request_schema(found)


def _promises(promised: Promised) -> list[PromiseState]:
    return [_promise(promise, judged) for promise, judged in promised.pairs]


def _promise(promise: Promise, judged: Judged | None) -> PromiseState:
    about: dict[str, Any] = {
        "promise": promise.key,
        "that": promise.that,
        "of": promise.of,
        "bound": promise.bound,
        "due": promise.due,
        "on_break": list(promise.on_break),
    }
    if judged is None:
        return PromiseState(**about, status="UNKNOWN", reason="it was not judged yet")
    verdict = judged.verdict
    kept = ("status", "measured", "low", "high", "n", "needed", "warns", "shared", "reason")
    return PromiseState(
        **about,
        **{name: getattr(verdict, name) for name in kept},
        version=judged.version,
        stage=judged.stage,
        at=to_text(judged.at),
    )


def _transition(link: Transition) -> TransitionAnswer:
    return TransitionAnswer(
        seq=link.seq,
        at=to_text(link.at),
        kind=link.kind,
        reason=link.reason,
        actor=link.actor,
        route=RouteState(**_route(link.route)),
        evidence=link.evidence,
        hash=link.hash,
    )


def _card(version: Version) -> str:
    try:
        return (version.folder / "card.md").read_text(encoding="utf-8")
    except OSError:
        return ""
