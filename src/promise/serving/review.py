"""The review queue: answers that wait for a person's label."""

from __future__ import annotations

from typing import Annotated, Any, get_args

from msgspec import Meta, Struct

from promise.data.answer import Decision
from promise.errors import ArtifactError, near
from promise.metrics.costs import REVIEW
from promise.pipeline.artifact import read_manifest
from promise.pipeline.task import Task
from promise.records.machine import machine_id
from promise.records.review import Order
from promise.serving.call import Call, absent
from promise.serving.problems import Refused

SHOWN = 20
MOST_SHOWN = 100
ORDERS = get_args(Order)


class ReviewEntry(Struct):
    """One answer that waits: send its id back with the label to `/v1/labels`."""

    id: str
    version: int
    at: Annotated[float, Meta(description="Seconds since 1970.")]
    certainty: Annotated[float, Meta(description="How sure the model was, in [0, 1].")]
    row: dict[str, Any]
    answer: dict[str, Any]


class ReviewAnswer(Struct):
    """Answers of `machines` that a person was asked to look at and that have no label yet.

    Of machines that keep their logs elsewhere nothing is known here.
    """

    model: str
    waiting: Annotated[int, Meta(ge=0, description="How many, as far as the log was read.")]
    complete: Annotated[
        bool, Meta(description="Whether the log was read to its end; else ask again.")
    ]
    machines: Annotated[
        list[str],
        Meta(description="Whose logs were read: this machine's, and those in the same folder."),
    ]
    entries: list[ReviewEntry]


def show_review(call: Call) -> ReviewAnswer:
    """List answers that wait for a person's label, oldest or least certain first."""
    name = call.path["name"]
    queue = call.worker.reviews.of(name, _action(call, name))
    page = queue.page(_limit(call), _order(call))
    return ReviewAnswer(
        model=name,
        waiting=page.waiting,
        complete=page.complete,
        machines=sorted({machine_id(call.worker.settings), *page.machines}),
        entries=[
            ReviewEntry(
                id=line["id"],
                version=line["version"],
                at=line["at"],
                certainty=line["certainty"],
                row=line["row"],
                answer=line["answer"],
            )
            for line in page.lines
        ],
    )


def _order(call: Call) -> Order:
    text = call.query.get("order", "oldest")
    if text not in ORDERS:
        raise Refused(422, "invalid query", f"order is {text!r}; {near(text, ORDERS)}")
    found: Order = "uncertain" if text == "uncertain" else "oldest"
    return found


def _limit(call: Call) -> int:
    text = call.query.get("limit", str(SHOWN))
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
    if not 1 <= number <= MOST_SHOWN:
        raise Refused(422, "invalid query", f"limit is {text!r}; expected 1 to {MOST_SHOWN}.")
    return number


def _action(call: Call, name: str) -> str | None:
    """Return the decision that sends to a person, where the model decides; else None."""
    endpoint = call.snapshot.endpoints.get(name)
    for loaded in endpoint.versions.values() if endpoint is not None else ():
        answer = loaded.pipeline.task.answer
        return answer.actions[REVIEW] if isinstance(answer, Decision) else None
    versions = call.catalogue.registry.versions(name)
    if not versions:
        raise absent(call, name)
    try:
        answer = Task.from_json(read_manifest(versions[-1].folder)["task"]).answer
    except (ArtifactError, OSError):
        return None
    return answer.actions[REVIEW] if isinstance(answer, Decision) else None
