"""Lists for people: who suits whom, by every version that a model's route names."""

from __future__ import annotations

from typing import Any

from promise.pipeline.finding import NOUNS
from promise.pipeline.json_text import read_json
from promise.pipeline.order import lists_workload
from promise.records.forgetting import Forgetting
from promise.records.machine import machine_id
from promise.serving.absence import nothing_live
from promise.serving.bodies import ForgottenAnswer
from promise.serving.call import Call, Reply, converted, endpoint_named
from promise.serving.people_asked import ListSent, asked_by, id_in_path, similar_asked
from promise.serving.people_lists import Listed, Lists
from promise.serving.posts import Desk
from promise.serving.problems import Refused


async def list_for(call: Call) -> Reply:
    """List who or what suits somebody, best first; who is not known is answered as somebody new."""
    desk = _desk(call)
    return _reply(await _lists(call).give(desk, asked_by(call.path["id"], call.query)))


async def list_for_profile(call: Call) -> Reply:
    """List who or what suits a profile that nobody has told of before."""
    desk = _desk(call)
    asked = converted(read_json(call.body), ListSent).asked()
    return _reply(await _lists(call).give(desk, asked, body=call.body))


async def list_similar(call: Call) -> Reply:
    """List who is chosen by the same people."""
    desk = _desk(call)
    asked = similar_asked(call.path["id"], call.query)
    return _reply(await _lists(call).give(desk, asked, similar=True))


def forget(call: Call) -> ForgottenAnswer:
    """Delete somebody: from events, lists and logs, for good."""
    name, noun, id = call.path["name"], call.path["noun"], id_in_path(call.path["id"])
    if name in call.snapshot.endpoints:
        _check_noun(call, call.snapshot.endpoints[name].noun)
    else:
        versions = call.catalogue.registry.versions(name)
        workload = lists_workload(versions[-1].workload) if versions else None
        if workload is None:
            endpoint_named(call)
        _check_noun(call, "" if workload is None else workload.noun)
    worker = call.worker
    machine = machine_id(worker.settings)
    forgetting = Forgetting(worker.database, worker.settings.records, call.clock, machine)
    done = forgetting.forget(name, id)
    return ForgottenAnswer(
        model=name, noun=noun, deleted=True, events=done.events, labels=done.labels,
        mentions=done.mentions,
    )  # fmt: skip


def _lists(call: Call) -> Lists:
    return Lists(call.worker, call.until_s)


def _desk(call: Call) -> Desk:
    """Return who answers for the model that the path names."""
    endpoint = endpoint_named(call)
    _check_noun(call, endpoint.noun)
    desk = call.worker.answering.desk(endpoint.name)
    if desk is None or desk.live is None:
        raise nothing_live(endpoint)
    return desk


def _check_noun(call: Call, noun: str) -> None:
    """Refuse a path that names something else than the model lists."""
    name, asked = call.path["name"], call.path["noun"]
    if noun == asked:
        return
    if not noun:
        detail = f"{name} answers rows: POST /v1/models/{name}/predict."
    else:
        detail = f"{name} answers for {noun}: ask /v1/models/{name}/{noun}/ID."
    raise Refused(404, "unknown path", detail, near=[one for one in NOUNS if one == noun])


def _reply(listed: Listed) -> Reply:
    answer: dict[str, Any] = listed.to_json()
    return Reply(answer, headers=listed.post.headers[1:])
