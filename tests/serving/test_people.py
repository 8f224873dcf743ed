"""Lists over HTTP: routed, rescued, kept, logged, and never behind what was acknowledged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from openapi_spec_validator import validate
from tests.serving.meet import PEOPLE, Meet, event, ids

from promise.records.events import Events
from promise.records.exposures import read_exposures

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("meeting_installed")]


@pytest.mark.slow
async def test_a_list_is_answered_filtered_and_logged(
    meet: Meet, client: Callable[..., Any], lines: Callable[..., Any]
) -> None:
    meet.deploy()
    worker = meet.house.worker()
    async with client(worker) as http:
        response = await http.get("/v1/models/meet/people/ann", params={"limit": 2})
        found = response.json()
        assert await ids(http, place="Oslo") == ["bob", "dan"]
        assert await ids(http, age="..34", exclude="cem,xyz") == ["dan"]
        featured = await http.get("/v1/models/meet/people/ann", params={"features": "true"})
    assert (found["model"], found["version"], found["id"]) == ("meet", 1, "ann")
    assert found["items"][0] == {
        "id": "bob", "probability": 0.5, "source": "likes", "reasons": ["liked"],
    }  # fmt: skip
    assert found["cold_start"] is False
    assert response.headers["x-promise-version"] == "1"
    assert featured.json()["items"][0]["features"] == {"likes": 0}
    logged = lines(worker, "meet")[0]
    assert (logged["id"], logged["entity"]) == (found["exposure"], "ann")
    assert logged["row"] == {"id": "ann", "limit": 2}
    first, second = list(read_exposures(worker.settings.records, "meet"))[:2]
    assert (first.other, first.position, first.propensity) == ("bob", 1, 1.0)
    assert (second.other, second.position, second.version) == ("cem", 2, 1)
    series = {one.labels: one for one in worker.counters.all_series}["meet", 1, "live"]
    assert (series.requests, series.errors) == (4, 0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/v1/models/meet/people/ann?limit=0", "limit is '0'; expected a whole number from 1"),
        ("/v1/models/meet/people/ann?limit=10000", "to 1,000"),
        ("/v1/models/meet/people/ann?limit=many", "limit is 'many'"),
        ("/v1/models/meet/people/ann?features=perhaps", "expected true or false"),
        ("/v1/models/meet/people/ann?plcae=Oslo", "did you mean 'place'"),
        ("/v1/models/meet/people/ann?age=..", "give a range as 25..35"),
        ("/v1/models/meet/people/ann?age=40..30", "begins with its smaller end"),
        ("/v1/models/meet/people/a%0Ab", "printable characters"),
        ("/v1/models/meet/people/", "printable characters"),
        ("/v1/models/meet/people/ann/similar?place=Oslo", "not chosen by 'place'"),
        ("/v1/models/meet/items/ann", "meet answers for people"),
        ("/v1/models/churn/people/ann", "churn answers rows: POST /v1/models/churn/predict"),
        ("/v1/models/mete/people/ann", "did you mean 'meet'"),
    ],
)
async def test_what_cannot_be_answered_is_told_in_words(
    meet: Meet, client: Callable[..., Any], path: str, words: str
) -> None:
    meet.deploy()
    meet.house.deploy()
    async with client(meet.house.worker()) as http:
        response = await http.get(path)
    assert response.status_code in (404, 422)
    assert response.headers["content-type"] == "application/problem+json"
    assert words in response.json()["detail"]


async def test_who_is_not_known_is_answered_as_somebody_new(
    meet: Meet, client: Callable[..., Any]
) -> None:
    meet.deploy()
    path = "/v1/models/meet/people"
    async with client(meet.house.worker()) as http:
        unknown = (await http.get(f"{path}/zoe")).json()
        sent = {"profile": {"age": 30}, "filters": {"place": "Oslo"}, "exclude": ["bob", 7]}
        told = (await http.post(path, json=sent)).json()
        for body, words in (
            ({"limit": 0}, "the field 'limit' holds 0"),
            ({"limit": 10_000}, "1 to 1,000"),
            ({"filters": {"plaec": "Oslo"}}, "did you mean 'place'"),
            ({"profil": {}}, "did you mean 'profile'"),
        ):
            refused = await http.post(path, json=body)
            assert refused.status_code == 422
            assert words in refused.json()["detail"]
    assert unknown["cold_start"] is True
    assert [item["id"] for item in unknown["items"]] == ["ann", "bob", "cem", "dan"]
    assert (told["id"], told["cold_start"]) == (None, True)
    assert [item["id"] for item in told["items"]] == ["ann", "dan"]


async def test_rows_are_refused_in_words(meet: Meet, client: Callable[..., Any]) -> None:
    meet.deploy()
    async with client(meet.house.worker()) as http:
        for path in ("/v1/models/meet/predict", "/v1/models/meet/explain"):
            response = await http.post(path, json={"id": "ann"})
            assert response.status_code == 409
            assert "GET /v1/models/meet/people/ID" in response.json()["detail"]
        assert (await http.get("/v1/models/meet")).status_code == 200
        assert (await http.get("/readyz")).json()["ready"] is True


async def test_an_acknowledged_event_is_never_hidden_by_a_kept_list_or_another_worker(
    meet: Meet, client: Callable[..., Any]
) -> None:
    meet.deploy()
    first, second = meet.house.worker(), meet.house.worker(1)
    async with client(first) as one, client(second) as two:
        path = "/v1/models/meet/events"
        assert await ids(two) == ["bob", "cem", "dan"]
        assert (await two.get("/v1/models/meet/people/ann")).json()["cached"] is True
        for number, other in enumerate(("bob", "cem")):
            kept = await one.post(path, json=event(f"e{number}", "ann", other))
            assert kept.status_code == 200, kept.text
            assert other not in await ids(two)
            assert other not in await ids(one)
        assert await ids(two, "cem") == ["bob", "ann", "dan"]
        await one.post(path, json=event("e3", "dan", "cem", "block"))
        assert await ids(two, "cem") == ["bob", "ann"]  # a kept list of the one who was blocked
        new = {"event_id": "p1", "entity": "eva", "type": "person", "payload": {"place": "Oslo"}}
        await one.post(path, json=new)
        assert await ids(two, place="Oslo") == ["dan", "eva"]


async def test_what_a_version_cannot_read_of_a_profile_is_told(
    meet: Meet, client: Callable[..., Any]
) -> None:
    meet.deploy()
    async with client(meet.house.worker()) as http:
        sent = {"event_id": "p", "entity": "eva", "type": "person"}
        payload = {"place": "Oslo", "shoes": "red"}
        path = "/v1/models/meet/events"
        answer = (await http.post(path, json={**sent, "payload": payload})).json()
        assert (answer["accepted"], answer["unread"]) == (
            1, ["event 0: a profile has no field 'shoes'"],
        )  # fmt: skip
        both = {
            "events": [
                event("e", "ann", "bob"),
                {**sent, "event_id": "q", "payload": {"place": "Oslo"}},
            ]
        }
        assert "unread" not in (await http.post(path, json=both)).json()
        assert "eva" in await ids(http, "zoe", place="Oslo", limit=10)


async def test_events_are_checked_before_any_is_kept(
    meet: Meet, client: Callable[..., Any]
) -> None:
    meet.deploy()
    meet.house.deploy()
    worker = meet.house.worker()
    async with client(worker) as http:
        for sent, words in (
            (event("e", "ann", "bob", "lkie"), "event 1: the type is 'lkie'; did you mean 'like'"),
            (event("e", "ann", "ann"), "did this to themselves"),
            (event("e", "7", 7), "did this to themselves"),
            (
                {**event("e", "ann", "bob"), "payload": {"text": "x" * 70_000}},
                "event 1: the payload",
            ),
            (event("e", "ann", None), "other is missing"),
            (event("e", "ann", None, "forget"), "DELETE /v1/models/meet/people/ID"),
            (event("e", "ann", None, "person"), "holds no profile"),
            ({**event("e", "ann", "bob", "person"), "payload": {"age": 3}}, "leave `other` out"),
            ({**event("e", "ann", "bob"), "at": "9026-01-01T00:00:00Z"}, "in the future"),
        ):
            both = {"events": [event("good", "ann", "bob"), sent]}
            refused = await http.post("/v1/models/meet/events", json=both)
            assert refused.status_code == 422, refused.text
            assert words in refused.json()["detail"]
        refused = await http.post("/v1/models/churn/events", json=event("e", "ann", "bob", "x"))
        assert "reads events of one entity" in refused.json()["detail"]
        assert Events(worker.database).head() == 0
        sent = event("same", "ann", "bob")
        first = (await http.post("/v1/models/meet/events", json=sent)).json()
        again = (await http.post("/v1/models/meet/events", json=sent)).json()
        assert (first["accepted"], again["unchanged"]) == (1, 1)
        other = await http.post("/v1/models/meet/events", json=event("same", "ann", "cem"))
        assert other.status_code == 409
        assert "other differs" in other.json()["detail"]


async def test_a_version_that_fails_is_answered_for_by_the_one_before(
    meet: Meet, client: Callable[..., Any]
) -> None:
    meet.deploy()
    meet.deploy(fails=True)
    worker = meet.house.worker()
    async with client(worker) as http:
        response = await http.get("/v1/models/meet/people/ann")
        await http.post("/v1/models/meet/events", json=event("e", "ann", "bob"))
        assert await ids(http) == ["cem", "dan"]
    found = response.json()
    assert (found["version"], found["fallback"]) == (1, "previous")
    series = {one.labels: one for one in worker.counters.all_series}
    assert series["meet", 2, "live"].errors == 2
    assert series["meet", 1, "fallback"].requests == 2


@pytest.mark.slow
async def test_an_experiment_splits_by_person_and_a_shadow_answers_unseen(
    meet: Meet, client: Callable[..., Any], lines: Callable[..., Any]
) -> None:
    meet.deploy()
    candidate = meet.register()
    route = meet.house.lifecycle.route("meet")
    split = replace(route, experiment={1: 5000, candidate: 5000})
    meet.house.commit(split)
    worker = meet.house.worker()
    async with client(worker) as http:
        versions = {}
        for number in range(40):
            asked = f"/v1/models/meet/people/p{number}"
            both = {(await http.get(asked)).json()["version"] for _ in range(2)}
            assert len(both) == 1
            versions[number] = both.pop()
        assert set(versions.values()) == {1, candidate}
    meet.house.commit(replace(route, stage="shadow", candidate=candidate), "start")
    other = meet.house.worker(1)
    async with client(other) as http:
        answered = (await http.get("/v1/models/meet/people/ann")).json()
        await other.answering.shadowing.settle()
    assert answered["version"] == 1
    shadow = [line for line in lines(other, "meet") if line["arm"] == "shadow"]
    assert [(line["id"], line["version"]) for line in shadow] == [(answered["exposure"], candidate)]


async def test_similar_people_and_a_database_that_is_away(
    meet: Meet,
    client: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    wait: Callable[..., None],
) -> None:
    meet.deploy()
    worker = meet.house.worker()
    async with client(worker) as http:
        found = (await http.get("/v1/models/meet/people/ann/similar?limit=2")).json()
        assert [item["id"] for item in found["items"]] == ["bob", "cem"]
        wait(lambda: worker.log.stats().waiting == 0)
        assert list(read_exposures(worker.settings.records, "meet")) == []
        assert (await http.get("/v1/models/meet/people/ann")).json().get("stale") is None

        def away(*_: Any, **__: Any) -> Any:
            raise OSError("gone")

        monkeypatch.setattr(Events, "told_since", away)
        stale = (await http.get("/v1/models/meet/people/ann")).json()
    assert stale["stale"] is True
    assert [item["id"] for item in stale["items"]] == ["bob", "cem", "dan"]


@pytest.mark.slow
async def test_the_document_has_the_lists_of_each_model(
    meet: Meet, client: Callable[..., Any]
) -> None:
    meet.deploy()
    async with client(meet.house.worker()) as http:
        found = (await http.get("/openapi.json")).json()
    validate(found)
    assert set(found["paths"]["/v1/models/meet/people/{id}"]) == {"get", "delete"}
    assert "post" in found["paths"]["/v1/models/meet/people"]


async def test_an_id_may_hold_a_slash(meet: Meet, client: Callable[..., Any]) -> None:
    who = "team/zed"
    meet.deploy({**PEOPLE, who: {"age": 30, "place": "Oslo"}})
    async with client(meet.house.worker()) as http:
        path = "/v1/models/meet/people/team%2Fzed"
        assert (await http.get(path)).json()["cold_start"] is False
        similar = (await http.get(f"{path}/similar", params={"limit": 1})).json()
        assert (similar["id"], [item["id"] for item in similar["items"]]) == (who, ["ann"])
        assert who in await ids(http)
        assert (await http.delete(path)).json()["deleted"] is True
        assert who not in await ids(http)
