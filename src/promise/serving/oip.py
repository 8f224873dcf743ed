"""The Open Inference Protocol, version 2: the same models, records and routing in tensors."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct
from starlette.concurrency import run_in_threadpool

from promise.data.answer import Class
from promise.errors import DataError, near
from promise.pipeline.answers import MANY_CLASSES, TOP
from promise.pipeline.policy import PREDICTION, PROBABILITY
from promise.pipeline.wire import RequestCodec
from promise.serving.answering import Answered, NoAnswer, Request
from promise.serving.bodies import Text
from promise.serving.call import Call, Refused, Reply, decoded, endpoint_named
from promise.serving.explanations import loaded_version
from promise.serving.health import is_ready
from promise.serving.posts import Desk
from promise.serving.runtime import Loaded
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
    loaded = loaded_version(endpoint, call.path.get("version"))
    return ModelMetadata(
        name=endpoint.name,
        versions=[str(number) for number in sorted(endpoint.versions)],
        platform=f"promise_{loaded.version.workload}",
        inputs=input_metadata(loaded.pipeline.task.request),
        outputs=_outputs(loaded),
    )


async def infer(call: Call) -> InferAnswer:
    """Answer tensors as the lane answers rows: routed, counted and logged alike."""
    began_s = call.worker.clock.monotonic()
    desk, codec, pinned = _reader(call)
    sent, rows, body = await run_in_threadpool(_read, call.body, desk, codec)
    until_s = began_s + deadline_ms(call) / 1000
    entity = call.headers.get("x-entity")
    request = Request(rows, body, entity, began_s, until_s)
    try:
        answered = await call.worker.answering.answer(desk, request, version=pinned)
    except NoAnswer as error:
        status, title = (504, "deadline passed") if error.late else (503, "model unavailable")
        raise Refused(status, title, str(error), headers=[("retry-after", "1")]) from error
    return _answer(desk, sent, answered)


def deadline_ms(call: Call) -> float:
    """Return how long the client waits: `X-Deadline-Ms`, at most what the server allows."""
    allowed, text = call.worker.limits.deadline_ms, call.headers.get("x-deadline-ms")
    if text is None:
        return allowed
    try:
        wanted = float(text)
    except ValueError:
        wanted = -1.0
    if not 0 <= wanted < float("inf"):
        raise Refused(
            400,
            "unreadable deadline",
            f"X-Deadline-Ms is {text!r}; expected milliseconds from now, e.g. 250.",
        )
    return min(wanted, allowed)


def _reader(call: Call) -> tuple[Desk, RequestCodec, int | None]:
    """Return who answers, what reads the rows, and the version that the path pins."""
    endpoint = endpoint_named(call)
    desk = call.worker.answering.desk(endpoint.name)
    if desk is None or desk.live is None or desk.codec is None or desk.schema is None:
        loaded_version(endpoint)  # refuses in words
        raise Refused(
            503,
            "version not ready",
            f"{endpoint.name} is being exchanged at this moment; try again.",
            headers=[("retry-after", "1")],
        )
    if "version" not in call.path:
        return desk, desk.codec, None
    loaded = loaded_version(endpoint, call.path["version"])
    if loaded.pipeline.task.request != desk.schema:
        raise Refused(
            409,
            "another request",
            f"{loaded.version} reads other fields than the live version, so it cannot be asked "
            f"beside it; its request is at /v2/models/{endpoint.name}/versions/"
            f"{loaded.version.number}.",
        )
    return desk, desk.codec, loaded.version.number


def _read(
    raw: bytes, desk: Desk, codec: RequestCodec
) -> tuple[InferSent, list[tuple[Any, ...]], bytes]:
    """Return the request, its rows in the schema's order, and the body that the lane would get."""
    sent = decoded(raw, InferSent)
    assert desk.schema is not None, "checked by the caller"
    rows = rows_of(sent.inputs, desk.schema)
    if not rows:
        raise DataError("the tensors hold no row; send at least one.")
    body = msgspec.json.encode({"rows": rows})
    if "rows" in desk.schema:  # a field of this name means that no body is a batch
        return sent, [codec.decode(msgspec.json.encode(row))[0][0] for row in rows], body
    return sent, codec.decode(body)[0], body


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
    return answer.classes if isinstance(answer, Class) else ()


def _tensors(classes: Sequence[str], answered: Answered) -> dict[str, TensorAnswer]:
    answers = answered.answers
    predictions = [answer[PREDICTION] for answer in answers]
    text = any(isinstance(value, str) for value in predictions)
    found = [
        TensorAnswer(PREDICTION, [len(answers)], "BYTES" if text else "FP64", predictions),
        *_probabilities(classes, [answer.get(PROBABILITY) for answer in answers]),
        TensorAnswer(IDS, [len(answers)], "BYTES", list(answered.ids)),
    ]
    return {tensor.name: tensor for tensor in found}


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


def _outputs(loaded: Loaded) -> list[TensorMetadata]:
    answer = loaded.pipeline.task.answer
    if not isinstance(answer, Class):
        return [TensorMetadata(PREDICTION, "FP64", [-1]), TensorMetadata(IDS, "BYTES", [-1])]
    probability = [TensorMetadata(PROBABILITY, "FP64", [-1, answer.n_classes])]
    if answer.n_classes > MANY_CLASSES:
        probability = [
            TensorMetadata(CLASSES, "BYTES", [-1, TOP]),
            TensorMetadata(PROBABILITY, "FP64", [-1, TOP]),
        ]
    return [
        TensorMetadata(PREDICTION, "BYTES", [-1]),
        *probability,
        TensorMetadata(IDS, "BYTES", [-1]),
    ]
