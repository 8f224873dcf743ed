"""Events and labels that come back, told to the event store of models that read keyed features.

They are told whether or not a version is loaded: what servers missed while none was would be
missing from every entity's state for good.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from promise.data.answer import Answer
from promise.errors import DataError, PromiseError
from promise.features.event import Event as Keyed
from promise.features.event import micros_of, refuse_future
from promise.features.feed import label_name
from promise.features.incoming import EventReader
from promise.features.keyed import Keyed as KeyedFeatures
from promise.features.model_views import ModelViews
from promise.features.windows import duration_us
from promise.pipeline.artifact import read_manifest
from promise.pipeline.keyed_stage import KeyedStage, keyed_stage
from promise.records.events import Event
from promise.records.given import truth_code
from promise.records.labels import Label
from promise.registry.registry import Registry
from promise.serving.call import Call
from promise.serving.endpoints import Endpoint
from promise.serving.keyed_desk import KeyedDesk


@dataclass(frozen=True)
class _Side:
    """What a model keeps of events, how it reads them, and what its labels may say."""

    views: ModelViews
    reader: EventReader
    answer: Answer


def check_events(call: Call, name: str, sent: Sequence[Event]) -> None:
    """Refuse events from the future and those that features cannot take, before any is kept.

    Raises
    ------
    DataError
        When one lies in the future or a value cannot be read; it is named.
    """
    side = _side(call, name)
    now_us, skew_us = micros_of(call.clock.now()), duration_us(call.worker.settings.skew)
    for number, event in enumerate(sent):
        try:
            if side is None:
                told = Keyed(event.event_id, micros_of(event.at), {})
            else:
                told = _told(side, event)
            refuse_future(told, now_us, skew_us)
        except DataError as error:
            raise DataError(f"event {number}: {error}") from error


def feed_events(call: Call, name: str, kept: Sequence[Event]) -> None:
    """Let events change what the model's features see, each once.

    Raises
    ------
    StateError
        When the store is away: sent again, the events count once.
    """
    side = _side(call, name)
    if side is None:
        return
    feed = call.worker.answering.keyed.feed(side.views)
    for event in kept:
        feed.event(_told(side, event))


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
        side = _side(call, name) if own else None
        if side is None:
            if own and _is_keyed(call, endpoint):
                for _ in (label for label in own if label.model == name):
                    call.worker.counters.count("labels_unmatched", name)
            continue
        feed = call.worker.answering.keyed.feed(side.views)
        for label, value in _valued(own, side.answer):
            known = feed.label(
                label.prediction_id,
                value,
                micros_of(label.known_at),
                id=label_name(label.prediction_id, label.source, label.revision),
            )
            if known is None and label.model == name:
                call.worker.counters.count("labels_unmatched", name)


def _told(side: _Side, event: Event) -> Keyed:
    return side.reader.told(event.event_id, event.entity, micros_of(event.at), event.payload)


def _side(call: Call, name: str) -> _Side | None:
    """Return the keyed side of a model; None where it has none, or none that can be read."""
    endpoint = call.snapshot.endpoints.get(name)
    if endpoint is None:
        return None
    desk = KeyedDesk.of(endpoint)
    if desk is not None:
        live = endpoint.versions.get(endpoint.route.live or 0)
        lead = live if live is not None else endpoint.versions[next(iter(desk.readers))]
        return _Side(desk.views, desk.reader(), lead.pipeline.task.answer)
    stages: dict[int, KeyedStage] = {}
    for number, folder in _unloaded(call, endpoint):
        try:
            found = keyed_stage(folder)
        except PromiseError:
            continue
        if found is not None:
            stages[number] = found
    if not stages:
        return None
    lead_stage = stages.get(endpoint.route.live or 0, next(iter(stages.values())))
    views = ModelViews(name, {number: stage.keyed for number, stage in stages.items()})
    return _Side(views, lead_stage.reader, lead_stage.answer)


def _is_keyed(call: Call, endpoint: Endpoint) -> bool:
    """Say whether a version that could not be loaded reads keyed features, as far as is known."""
    for _, folder in _unloaded(call, endpoint):
        try:
            stages = read_manifest(folder)["stages"]
        except PromiseError:
            continue
        if stages.get("featurize", {}).get("kind") == KeyedFeatures.kind:
            return True
    return False


def _unloaded(call: Call, endpoint: Endpoint) -> Iterator[tuple[int, Path]]:
    """Yield the folders of versions on the route that are not loaded."""
    missing = [number for number in endpoint.route.loaded if number not in endpoint.versions]
    if not missing:
        return
    registry = replace(Registry.open(call.worker.settings), database=call.worker.database)
    for number in missing:
        try:
            yield number, registry.get(f"{endpoint.name}@{number}").folder
        except PromiseError:
            continue


def _valued(labels: Sequence[Label], answer: Answer) -> Iterator[tuple[Label, float]]:
    """Yield labels with their codes, as a version's outcomes tell them."""
    for label in labels:
        code = truth_code(label.value, answer)
        if code is not None:
            yield label, float(code)
