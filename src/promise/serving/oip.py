"""The Open Inference Protocol, version 2: the same models, records and routing in tensors."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct
from starlette.concurrency import run_in_threadpool

from promise.data.answer import Class, Decision, Labels
from promise.errors import DataError, near
from promise.pipeline.answers import MANY_CLASSES, TOP
from promise.pipeline.decision import SCORE
from promise.pipeline.policy import PREDICTION, PROBABILITY
from promise.serving.absence import not_loaded, nothing_live
from promise.serving.answered import Answered
from promise.serving.bodies import Text
from promise.serving.call import Call, Reply, decoded, endpoint_named
from promise.serving.explanations import loaded_version
from promise.serving.health import is_ready
from promise.serving.intake import Intake, Row
from promise.serving.loading import Loaded
from promise.serving.posts import Desk
from promise.serving.request import Request
from promise.serving.tensors import (
    TensorAnswer,
    TensorMetadata,
    TensorSent,
    input_metadata,
    rows_of,
)

IDS = "prediction_id"
CLASSES = "class"


class OutputSent(Struct):
    """The name of an output that is wanted."""

    name: str
    parameters: dict[str, Any] | None = None


class InferSent(Struct):
    """Input tensors, and which outputs are wanted (all of them without a list)."""

    inputs: Annotated[list[TensorSent], Meta(min_length=1)]
    id: Text | None = None
    parameters: dict[str, Any] | None = None
    outputs: list[OutputSent] | None = None


class InferAnswer(Struct, omit_defaults=True):
    """Output tensors: the predictions, their ids and, for classes, probabilities."""

    model_name: str
    model_version: str
    outputs: list[TensorAnswer]
    id: str | None = None
    parameters: dict[str, Any] | None = None


class ServerMetadata(Struct):
    """Who answers this protocol."""

    name: str
    version: str
    extensions: list[str]


class LiveAnswer(Struct):
    """The server is alive."""

    live: bool


class ServerReady(Struct):
    """Whether the server wants traffic."""

    ready: bool


class ModelReady(Struct):
    """Whether a model can answer."""

    name: str
    ready: bool


class ModelMetadata(Struct):
    """The tensors of a model."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


def server_metadata(call: Call) -> ServerMetadata:  # noqa: ARG001 — a handler's signature
    """Say who answers."""
    return ServerMetadata("promise", version("promise-ml"), [])


def server_live(call: Call) -> LiveAnswer:  # noqa: ARG001 — a handler's signature
    """Say that the server is alive."""
    return LiveAnswer(live=True)


def server_ready(call: Call) -> Reply:
    """Say whether the server wants traffic."""
    ready = is_ready(call.worker)
    return Reply(ServerReady(ready), status=200 if ready else 503)


def model_ready(call: Call) -> Reply:
    """Say whether a model, or one version of it, can answer."""
    endpoint = endpoint_named(call)
    if "version" in call.path:
        loaded_version(endpoint, call.path["version"])
        ready = True
    else:
        ready = endpoint.route.live is not None and endpoint.settled
    return Reply(ModelReady(endpoint.name, ready), status=200 if ready else 503)


def model_metadata(call: Call) -> ModelMetadata:
    """Describe the tensors of the live version, or of the one that the path names."""
    endpoint = endpoint_named(call)
    loaded, _ = loaded_version(endpoint, call.path.get("version"))
    return ModelMetadata(
        name=endpoint.name,
        versions=[str(number) for number in sorted(endpoint.versions)],
        platform=f"promise_{loaded.version.workload}",
        inputs=input_metadata(loaded.schema),
        outputs=_outputs(loaded),
    )


async def infer(call: Call) -> InferAnswer:
    """Answer tensors as the lane answers rows: routed, counted and logged alike."""
    began_s, limits = call.worker.clock.monotonic(), call.worker.limits
    if call.path["name"] not in call.snapshot.endpoints:
        await run_in_threadpool(endpoint_named, call)  # asks the database for near names
    desk, intake, pinned = _reader(call)
    sent, rows, body = await run_in_threadpool(_read, call.body, intake)
    deadline_ms = limits.deadline_of(call.headers.get("x-deadline-ms"))
    until_s, hurried = began_s + deadline_ms * 1e-3, deadline_ms < limits.deadline_ms
    entity = call.headers.get("x-entity")
    request = Request(intake, rows, body, entity, began_s, until_s, hurried=hurried)
    answered = await call.worker.answering.answer(desk, request, version=pinned)
    return _answer(desk, sent, answered)


def _reader(call: Call) -> tuple[Desk, Intake, int | None]:
    """Return who answers, what reads the rows, and the version that the path pins."""
    endpoint = endpoint_named(call)
    desk = call.worker.answering.desk(endpoint.name)
    if endpoint.route.live is None or desk is None or desk.live is None:
        raise nothing_live(endpoint)
    if "version" in call.path:
        loaded, intake = loaded_version(endpoint, call.path["version"])
        return desk, intake, loaded.version.number
    if desk.intake is None:
        raise not_loaded(endpoint)
    return desk, desk.intake, None


def _read(raw: bytes, intake: Intake) -> tuple[InferSent, list[Row], bytes]:
    """Return the request, its rows as the intake reads them, and the body the lane would get."""
    sent = decoded(raw, InferSent)
    rows = rows_of(sent.inputs, intake.schema, intake.optional, ignored=intake.ignored)
    if not rows:
        raise DataError("the tensors hold no row; send at least one.")
    body = msgspec.json.encode({"rows": rows})
    if "rows" in intake.schema:  # a field of this name means that no body is a batch
        return sent, [intake.decode(msgspec.json.encode(row))[0][0] for row in rows], body
    return sent, intake.decode(body)[0], body


def _answer(desk: Desk, sent: InferSent, answered: Answered) -> InferAnswer:
    tensors = _tensors(_classes(desk, answered.post.number), answered)
    wanted = [one.name for one in sent.outputs or ()]
    for name in wanted:
        if name not in tensors:
            raise DataError(f"there is no output {name!r}; {near(name, tensors)}")
    return InferAnswer(
        model_name=answered.post.model,
        model_version=str(answered.post.number),
        outputs=[tensors[name] for name in wanted or tensors],
        id=sent.id,
        parameters=None if answered.fallback is None else {"fallback": answered.fallback},
    )


def _classes(desk: Desk, number: int) -> tuple[str, ...]:
    loaded = desk.endpoint.versions.get(number)
    answer = None if loaded is None else loaded.pipeline.task.answer
    if isinstance(answer, Labels):
        return answer.labels
    return answer.classes if isinstance(answer, Class) else ()


def _tensors(classes: Sequence[str], answered: Answered) -> dict[str, TensorAnswer]:
    answers = answered.answers
    predictions = [_plain(answer[PREDICTION]) for answer in answers]
    text = any(isinstance(value, str) for value in predictions)
    found = [
        TensorAnswer(PREDICTION, [len(answers)], "BYTES" if text else "FP64", predictions),
        *_probabilities(classes, [answer.get(PROBABILITY) for answer in answers]),
        *_scores([answer.get(SCORE) for answer in answers]),
        TensorAnswer(IDS, [len(answers)], "BYTES", list(answered.ids)),
    ]
    return {tensor.name: tensor for tensor in found}


def _plain(value: Any) -> Any:
    """Return a prediction as a tensor holds it: several labels as a JSON list."""
    return json.dumps(value) if isinstance(value, list) else value


def _probabilities(
    classes: Sequence[str], shares: list[dict[str, float] | None]
) -> list[TensorAnswer]:
    """Return (n, classes) in the model's order; of many classes the likeliest with their names."""
    known = [share for share in shares if share is not None]
    if len(known) < len(shares) or not known:
        return []
    names = list(classes) if classes else list(known[0])
    if all(name in share for share in known for name in names):
        flat = [share[name] for share in known for name in names]
        about = {"classes": names}
        return [TensorAnswer(PROBABILITY, [len(known), len(names)], "FP64", flat, about)]
    width = min(len(share) for share in known)
    top = [list(share.items())[:width] for share in known]
    return [
        TensorAnswer(CLASSES, [len(top), width], "BYTES", [n for row in top for n, _ in row]),
        TensorAnswer(PROBABILITY, [len(top), width], "FP64", [p for row in top for _, p in row]),
    ]


def _scores(scores: list[float | None]) -> list[TensorAnswer]:
    """Return the scores behind decisions; none where any of them was made without one."""
    known = [score for score in scores if score is not None]
    if len(known) < len(scores) or not known:
        return []
    return [TensorAnswer(SCORE, [len(known)], "FP64", known)]


def _outputs(loaded: Loaded) -> list[TensorMetadata]:
    answer = loaded.pipeline.task.answer
    if isinstance(answer, Decision):
        score = TensorMetadata(SCORE, "FP64", [-1])
        return [
            TensorMetadata(PREDICTION, "BYTES", [-1]),
            score,
            TensorMetadata(IDS, "BYTES", [-1]),
        ]
    if not isinstance(answer, Class | Labels):
        return [TensorMetadata(PREDICTION, "FP64", [-1]), TensorMetadata(IDS, "BYTES", [-1])]
    n_known = len(answer.labels) if isinstance(answer, Labels) else answer.n_classes
    probability = [TensorMetadata(PROBABILITY, "FP64", [-1, n_known])]
    if n_known > MANY_CLASSES:
        probability = [
            TensorMetadata(CLASSES, "BYTES", [-1, TOP]),
            TensorMetadata(PROBABILITY, "FP64", [-1, TOP]),
        ]
    return [
        TensorMetadata(PREDICTION, "BYTES", [-1]),
        *probability,
        TensorMetadata(IDS, "BYTES", [-1]),
    ]
