"""Events and labels that come back, told to the event store of models that read keyed features."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from promise.errors import DataError
from promise.features.event import Event as Keyed
from promise.features.event import micros_of, refuse_future
from promise.features.feed import label_name
from promise.features.windows import duration_us
from promise.records.events import Event
from promise.records.given import truth_code
from promise.records.labels import Label
from promise.serving.call import Call
from promise.serving.endpoints import Endpoint
from promise.serving.keyed_desk import KeyedDesk


def check_events(call: Call, name: str, sent: Sequence[Event]) -> None:
    """Refuse events that the model's features cannot take, before any of them is kept.

    Raises
    ------
    DataError
        When one lies in the future or a value cannot be read; it is named.
    """
    desk = _desk(call, name)
    if desk is None:
        return
    now_us, skew_us = micros_of(call.clock.now()), duration_us(call.worker.settings.skew)
    for number, event in enumerate(sent):
        try:
            refuse_future(_told(desk, event), now_us, skew_us)
        except DataError as error:
            raise DataError(f"event {number}: {error}") from error


def feed_events(call: Call, name: str, kept: Sequence[Event]) -> None:
    """Let events change what the model's features see, each once.

    Raises
    ------
    StateError
        When the store is away: sent again, the events count once.
    """
    desk = _desk(call, name)
    if desk is None:
        return
    feed = call.worker.answering.keyed.feed(desk.views)
    for event in kept:
        feed.event(_told(desk, event))


def feed_labels(call: Call, kept: Sequence[Label]) -> None:
    """Let labels reach the states of their events' entities; what no state knows is counted.

    The records have the labels by now, so a store that is away loses the client nothing: the
    same labels sent again reach it.

    Raises
    ------
    StateError
        When the store is away.
    """
    for name, endpoint in call.snapshot.endpoints.items():
        own = [label for label in kept if label.model in ("", name)]
        desk = KeyedDesk.of(endpoint) if own else None
        if desk is None:
            continue
        feed = call.worker.answering.keyed.feed(desk.views)
        for label, value in _valued(own, endpoint):
            known = feed.label(
                label.prediction_id,
                value,
                micros_of(label.known_at),
                id=label_name(label.prediction_id, label.source, label.revision),
            )
            if known is None and label.model == name:
                call.worker.counters.count("labels_unmatched", name)


def _told(desk: KeyedDesk, event: Event) -> Keyed:
    return desk.reader().told(event.event_id, event.entity, micros_of(event.at), event.payload)


def _desk(call: Call, name: str) -> KeyedDesk | None:
    endpoint = call.snapshot.endpoints.get(name)
    return None if endpoint is None else KeyedDesk.of(endpoint)


def _valued(labels: Sequence[Label], endpoint: Endpoint) -> Iterator[tuple[Label, float]]:
    """Yield labels with their codes, as the live version's outcomes tell them."""
    live = endpoint.versions.get(endpoint.route.live or 0)
    if live is None:
        return
    for label in labels:
        code = truth_code(label.value, live.pipeline.task.answer)
        if code is not None:
            yield label, float(code)
