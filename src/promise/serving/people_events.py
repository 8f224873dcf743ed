"""Events of models that answer with lists: who did what to whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from promise.errors import DataError, near
from promise.pipeline.finding import FORGET, PROFILE
from promise.pipeline.order import Workload
from promise.serving.endpoints import Endpoint


def check_told(name: str, workload: Workload | None, told: Sequence[Mapping[str, Any]]) -> None:
    """Refuse events that a model has no use for, before any of them is kept.

    `{"event_id", "entity", "other", "type", "at"?, "payload"?}` is what one person did to another;
    `{"event_id", "entity", "type": "person", "payload": PROFILE}` is what one tells of themselves.

    Parameters
    ----------
    workload
        Of a model that answers with lists; None for any other model.

    Raises
    ------
    DataError
        Naming the event and what is wrong with it.
    """
    for number, event in enumerate(told):
        why = _misfit(name, workload, event)
        if why is not None:
            raise DataError(f"event {number}: {why}")


def unread(endpoint: Endpoint | None, told: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say what of the profiles that came the live version cannot read; it takes the rest."""
    live = None if endpoint is None or endpoint.route.live is None else endpoint.route.live
    loaded = None if endpoint is None or live is None else endpoint.versions.get(live)
    if loaded is None or loaded.follower is None:
        return []
    follower = loaded.follower
    return [
        f"event {number}: {sentence}"
        for number, event in enumerate(told)
        if event.get("type") == PROFILE
        for sentence in follower.unread(event["payload"])
    ]


def _misfit(name: str, workload: Workload | None, event: Mapping[str, Any]) -> str | None:
    type, other = event.get("type"), event.get("other")
    if workload is None:
        if other is None:
            return None
        return f"{name} reads events of one entity; tell of {other!r:.80} in the payload."
    if type == FORGET:
        return f"a deletion is no event: DELETE /v1/models/{name}/{workload.noun}/ID."
    if type == PROFILE:
        if other is not None:
            return f"a {PROFILE!r} event tells of the entity alone; leave `other` out."
        return None if event.get("payload") else "the payload holds no profile."
    if type not in workload.event_types:
        return f"the type is {type!r:.80}; {near(str(type), (*workload.event_types, PROFILE))}"
    if other is None:
        return f"other is missing; say whom {event.get('entity')!r:.80} did this to."
    if str(other) == str(event.get("entity")):
        return f"{other!r:.80} did this to themselves; entity and other must be two."
    return None
