"""Whether this process is alive, and whether it should get traffic."""

from __future__ import annotations

from promise.serving.bodies import AliveAnswer, ModelReadiness, ReadyAnswer
from promise.serving.call import Call, Reply
from promise.serving.endpoints import Endpoint
from promise.serving.worker import Worker


def show_alive(call: Call) -> AliveAnswer:  # noqa: ARG001 — a handler's signature
    """Say that the process answers at all."""
    return AliveAnswer()


def show_ready(call: Call) -> Reply:
    """Say whether this worker should get traffic: everything live is loaded, and it stays."""
    models = {name: model_readiness(found) for name, found in call.snapshot.endpoints.items()}
    ready = is_ready(call.worker)
    found = ReadyAnswer(
        ready=ready,
        draining=call.worker.draining,
        stale_s=round(call.worker.runtime.stale_s, 3),
        models=models,
    )
    return Reply(found, status=200 if ready else 503)


def is_ready(worker: Worker) -> bool:
    """Say whether a worker should get traffic."""
    return worker.runtime.ready and not worker.draining


def model_readiness(endpoint: Endpoint) -> ModelReadiness:
    """Say whether a model can answer, and which of its versions cannot."""
    live = endpoint.route.live
    return ModelReadiness(
        ready=live is not None and endpoint.settled,
        stage=endpoint.route.stage,
        live=live,
        loaded=sorted(endpoint.versions),
        failed={str(number): reason for number, reason in (endpoint.failed or {}).items()},
    )
