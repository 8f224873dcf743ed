"""Event state from the command line: the store of the installation, opened for one command."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from promise.clock import Clock, SystemClock
from promise.features.event import Event as KeyedEvent
from promise.features.event import micros_of, refuse_future
from promise.features.feed import Feed, label_name
from promise.features.model_views import ModelViews
from promise.features.seen_log import SeenLog
from promise.features.stores.opening import open_store
from promise.features.windows import duration_us
from promise.pipeline.keyed_stage import KeyedStage, keyed_stage
from promise.records.events import Event
from promise.records.given import truth_code
from promise.records.labels import Label
from promise.registry.registry import Registry
from promise.settings import Settings

_PATIENCE_S = 30.0  # nobody waits for an answer within a deadline here
_SLOT = "tool"


@dataclass(frozen=True)
class KeyedModel:
    """A model's keyed versions: those that are served, or its newest one.

    Parameters
    ----------
    lead
        The version that says how events are read.
    """

    name: str
    stages: dict[int, KeyedStage]
    lead: KeyedStage

    @property
    def views(self) -> ModelViews:
        """The union of what they keep."""
        return ModelViews(self.name, {number: s.keyed for number, s in self.stages.items()})


def keyed_model(registry: Registry, name: str, more: tuple[int, ...] = ()) -> KeyedModel | None:
    """Return a model's keyed versions; None where none of them reads keyed features.

    Parameters
    ----------
    more
        Further versions by number, served or not.
    """
    route = registry.lifecycle.route(name)
    newest = registry.find(name).number
    numbers = dict.fromkeys((*route.loaded, *more)) or {newest: None}
    stages = {}
    for number in numbers:
        found = keyed_stage(registry.find(f"{name}@{number}").folder)
        if found is not None:
            stages[number] = found
    if not stages:
        return None
    lead = stages.get(route.live or newest) or next(iter(stages.values()))
    return KeyedModel(name, stages, lead)


@contextlib.contextmanager
def feeding(settings: Settings, model: KeyedModel) -> Iterator[Feed]:
    """Yield what takes events and labels of a model in."""
    views, clock = model.views, SystemClock()
    opened = open_store(settings, retention_s=views.retention_s, clock=clock, wait_s=_PATIENCE_S)
    log = SeenLog(settings, _SLOT, clock=clock)
    try:
        yield Feed(views, opened.store, log)
    finally:
        log.close()
        opened.close()


def check_event(settings: Settings, model: KeyedModel | None, event: Event, clock: Clock) -> None:
    """Raise DataError where an event lies in the future, or holds what cannot be read."""
    if model is None:
        told = KeyedEvent(event.event_id, micros_of(event.at), {})
    else:
        told = _told(model, event)
    refuse_future(told, micros_of(clock.now()), duration_us(settings.skew))


def feed_events(settings: Settings, model: KeyedModel, kept: Sequence[Event]) -> None:
    """Let events change what the model's features see, each once."""
    with feeding(settings, model) as feed:
        for event in kept:
            feed.event(_told(model, event))


def feed_labels(
    settings: Settings, model: KeyedModel, kept: Sequence[Label], counts: dict[str, int]
) -> None:
    """Let labels reach the states of their events' entities; those of no known event are counted.

    Parameters
    ----------
    counts
        Gets `unmatched`: labels that are kept, and whose event the store does not know.
    """
    with feeding(settings, model) as feed:
        for label in kept:
            code = truth_code(label.value, model.lead.answer)
            if code is None:
                continue
            known_at, id = (
                micros_of(label.known_at),
                label_name(label.prediction_id, label.source, label.revision),
            )
            found = feed.label(label.prediction_id, float(code), known_at, id=id)
            counts["unmatched"] = counts.get("unmatched", 0) + (found is None)


def _told(model: KeyedModel, event: Event) -> KeyedEvent:
    reader = model.lead.reader
    return reader.told(event.event_id, event.entity, micros_of(event.at), event.payload)
