"""What comes back from the world: labels of predictions, and events of entities."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET

from promise.errors import DataError
from promise.pipeline.json_text import read_json
from promise.pipeline.order import Workload, lists_workload
from promise.records.events import Event
from promise.records.labels import Label
from promise.serving.bodies import (
    MOST,
    EventKept,
    EventsAnswer,
    EventSent,
    EventsSent,
    LabelKept,
    LabelsAnswer,
    LabelSent,
    LabelsSent,
)
from promise.serving.call import Call, absent, converted
from promise.serving.keyed_feedback import check_events, feed_events, feed_labels
from promise.serving.people_events import check_told, unread
from promise.serving.problems import Refused
from promise.state.moments import maybe_text, to_text


def accept_labels(call: Call) -> LabelsAnswer:
    """Keep one label or several; the same again changes nothing, another value is a revision."""
    sent = _labels(read_json(call.body))
    kept = call.worker.labels.add([_label(number, one) for number, one in enumerate(sent)])
    feed_labels(call, kept)
    return LabelsAnswer(**tally(kept), labels=[_label_kept(label) for label in kept])


def tally(kept: list[Label]) -> dict[str, int]:
    """Count what came of labels: new ones, known ones, and other values of known ones."""
    unchanged = sum(label.unchanged for label in kept)
    revisions = sum(label.revision > 1 and not label.unchanged for label in kept)
    accepted = len(kept) - unchanged - revisions
    return {"accepted": accepted, "unchanged": unchanged, "revisions": revisions}


def _labels(body: Any) -> list[LabelSent]:
    if isinstance(body, dict) and "labels" in body:
        _within(body["labels"], "labels")
        return converted(body, LabelsSent).labels
    return [converted(body, LabelSent)]


def _within(sent: Any, what: str) -> None:
    """Refuse a list that is empty or longer than one request may bring."""
    if isinstance(sent, list) and not sent:
        raise DataError(f"{what} is empty; send at least one.")
    if isinstance(sent, list) and len(sent) > MOST:
        told = f"{len(sent):,} {what} came, at most {MOST:,} are taken at once; send them in parts."
        raise Refused(413, f"too many {what}", told)


def _label(number: int, sent: LabelSent) -> dict[str, Any]:
    """Return a label as the records room takes it."""
    if (sent.prediction_id is UNSET) == (sent.id is UNSET):
        came = "neither" if sent.id is UNSET else "both"
        raise DataError(
            f"label {number}: expected the prediction's id as `prediction_id` or as `id`; {came} "
            "came."
        )
    given = {
        name: value
        for name, value in msgspec.structs.asdict(sent).items()
        if value is not None and value is not UNSET and name != "id"
    }
    return given | {"prediction_id": sent.id if sent.prediction_id is UNSET else sent.prediction_id}


def _label_kept(label: Label) -> LabelKept:
    return LabelKept(
        number=label.number,
        prediction_id=label.prediction_id,
        model=label.model,
        source=label.source,
        label=label.value,
        revision=label.revision,
        received_at=to_text(label.received_at),
        known_at=to_text(label.known_at),
        event_at=maybe_text(label.event_at),
    )


def accept_events(call: Call) -> EventsAnswer:
    """Keep one event or several of a model; an id that is known changes nothing."""
    name = call.path["name"]
    if name not in call.snapshot.endpoints and not call.catalogue.registry.versions(name):
        raise absent(call, name)
    sent = _events(read_json(call.body))
    told = [msgspec.structs.asdict(one) for one in sent]
    check_told(name, _lists(call, name), told)
    events = call.catalogue.events
    check_events(call, name, [events.read(name, one, place) for place, one in enumerate(told)])
    kept = events.add(name, told)
    feed_events(call, name, kept.events)
    return EventsAnswer(
        accepted=kept.added,
        unchanged=len(kept.events) - kept.added,
        events=[_event_kept(event) for event in kept.events],
        forgotten=kept.forgotten,
        unread=unread(call.snapshot.endpoints.get(name), told),
    )


def _lists(call: Call, name: str) -> Workload | None:
    """Return the workload of a model that answers with lists; None of any other."""
    endpoint = call.snapshot.endpoints.get(name)
    if endpoint is not None:
        return lists_workload(endpoint.workload)
    return lists_workload(call.catalogue.registry.versions(name)[-1].workload)


def _events(body: Any) -> list[EventSent]:
    if isinstance(body, dict) and "events" in body:
        _within(body["events"], "events")
        return converted(body, EventsSent).events
    return [converted(body, EventSent)]


def _event_kept(event: Event) -> EventKept:
    return EventKept(
        number=event.number,
        event_id=event.event_id,
        entity=event.entity,
        type=event.type,
        other=event.other,
        at=to_text(event.at),
        received_at=to_text(event.received_at),
    )
