"""People over several workers: shown not too often, deleted everywhere, never behind an event."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from tests.serving.meet import PEOPLE, Meet, event, ids

from promise.clock import ManualClock
from promise.records.events import Events
from promise.records.forgetting import SETTLE_S, Forgetting
from promise.records.forgotten import Forgotten
from promise.records.machine import machine_id
from promise.serving.people_upkeep import Upkeep
from promise.state.database import Database

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("meeting_installed")]


@pytest.mark.slow
async def test_a_machine_is_known_to_serve_before_anybody_is_deleted(meet: Meet) -> None:
    meet.deploy()
    worker = meet.house.worker()
    upkeep = asyncio.create_task(Upkeep(worker).run())
    seen: list[str] = []
    while not seen and not upkeep.done():
        await asyncio.sleep(0.01)
        if "forgotten_machines" in sa.inspect(worker.database.engine).get_table_names():
            with worker.database.reading() as connection:
                query = sa.text("SELECT machine FROM forgotten_machines")
                seen = list(connection.execute(query).scalars())
    upkeep.cancel()
    assert seen == [machine_id(worker.settings)]


@pytest.mark.slow
async def test_nobody_is_shown_more_often_on_a_day_than_allowed_whichever_worker_lists_them(
    meet: Meet, client: Callable[..., Any], wait: Callable[..., None]
) -> None:
    meet.deploy(most_shown=2)
    one, two = meet.house.worker(), meet.house.worker(1)
    async with client(one) as first, client(two) as second:
        assert await ids(first, "zoe", limit=1) == ["ann"]
        assert await ids(second, "zed", limit=1) == ["ann"]
        assert (await second.get("/v1/models/meet/people/zed/similar?limit=3")).status_code == 200
        for worker in (one, two):
            wait(lambda worker=worker: worker.log.stats().waiting == 0)
        upkeep = [asyncio.create_task(Upkeep(worker).run()) for worker in (one, two)]
        finders = [w.runtime.snapshot.endpoints["meet"].versions[1].follower for w in (one, two)]
        while any(f._finder.shown["ann"] < 2 for f in finders):
            assert not any(task.done() for task in upkeep)
            await asyncio.sleep(0.01)
        for task in upkeep:
            task.cancel()
        for http in (first, second):
            assert await ids(http, "zoe", limit=1) == ["bob"]  # not the kept list, which has ann
        assert [f._finder.shown["bob"] for f in finders] == [0, 0]


def searched(house: Any, text: str) -> list[str]:
    """Return every file of a house, and every table of its database, that holds a text."""
    files = [
        str(path.relative_to(house.settings.home))
        for path in sorted(house.settings.home.rglob("*"))
        if path.is_file() and text.encode() in path.read_bytes()
    ]
    database = Database(house.settings.database)
    tables = sa.inspect(database.engine).get_table_names()
    with database.reading() as connection:
        rows = {name: connection.execute(sa.text(f"SELECT * FROM {name}")) for name in tables}
        found = [name for name, some in rows.items() if any(text in str(row) for row in some)]
    database.close()
    return files + found


@pytest.mark.slow
async def test_a_deleted_person_is_gone_everywhere_and_does_not_come_back(
    meet: Meet, client: Callable[..., Any], wait: Callable[..., None]
) -> None:
    who = "uniquely-named-zed"
    meet.deploy({**PEOPLE, who: {"age": 30, "place": "Oslo"}})
    one, two = meet.house.worker(), meet.house.worker(1)
    async with client(one) as first, client(two) as second:
        path = "/v1/models/meet"
        for number, sent in enumerate(
            (event("a", who, "bob"), event("b", "bob", who), event("c", "ann", "cem"))
        ):
            assert (await first.post(f"{path}/events", json=sent)).status_code == 200, number
        assert who in await ids(second, "dan")
        assert (await second.get(f"{path}/people/{who}")).json()["cold_start"] is False
        for worker in (one, two):
            wait(lambda worker=worker: worker.log.stats().waiting == 0)
        assert searched(meet.house, who)
        gone = (await first.delete(f"{path}/people/{who}")).json()
        assert (gone["deleted"], gone["events"]) == (True, 2)
        for http in (first, second):
            assert who not in await ids(http, "dan")
            assert who not in await ids(http, "eva")
            again = (await http.get(f"{path}/people/{who}")).json()
            assert again["cold_start"] is True
            alike = (await http.get(f"{path}/people/{who}/similar")).json()
            assert (alike["items"], alike["cold_start"]) == ([], True)
        late = (await second.post(f"{path}/events", json=event("d", "dan", who))).json()
        assert (late["accepted"], late["forgotten"]) == (0, 1)
        for worker in (one, two):
            wait(lambda worker=worker: worker.log.stats().waiting == 0)
        # what the documentation asks for: a version without the person, the older one removed
        left = Forgotten(one.database).among("meet", [*PEOPLE, who])
        assert left == {who}
        meet.deploy(PEOPLE, number=Events(one.database).head())
        later = ManualClock(one.clock.now())
        later.advance(SETTLE_S + 1)
        settings = one.settings
        forgetting = Forgetting(one.database, settings.records, later, machine_id(settings))
        assert forgetting.pending()
        assert forgetting.tidy() == 1
        assert not forgetting.pending()
        old = meet.house.registry.get("meet@1").folder
    shutil.rmtree(old)
    assert searched(meet.house, who) == []
    # a version from before, loaded once the log tells no id any more, does not show the person
    meet.deploy({**PEOPLE, who: {"age": 30, "place": "Oslo"}})
    async with client(meet.house.worker(2)) as third:
        assert await ids(third, "bob", limit=2) == ["cem", "ann"]
        assert who not in await ids(third, "eva")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_two_workers_never_hide_what_either_has_acknowledged(
    meet: Meet, serve: Callable[..., Any], kind: str, request: pytest.FixtureRequest
) -> None:
    if kind == "postgres":
        url = request.getfixturevalue("postgres_schema")
        meet.house.settings = replace(meet.house.settings, database=url)
    meet.deploy()
    served = serve(meet.house.settings, "--workers", "2")
    who = {"event_id": "p", "entity": "uniquely-named-zed", "type": "person",
           "payload": {"place": "Oslo"}}  # fmt: skip
    with ExitStack() as stack:
        # connections are dealt to the workers, and each stays with its own
        clients = [stack.enter_context(httpx.Client(base_url=served.url)) for _ in range(6)]
        post(clients[0], who)
        met: set[str] = set()
        for number, other in enumerate(("bob", "cem", "dan")):
            post(clients[number], event(f"e{number}", "ann", other))
            met.add(other)
            for one in clients:
                found = one.get("/v1/models/meet/people/ann").json()
                assert met.isdisjoint(item["id"] for item in found["items"])
                assert "stale" not in found
        assert clients[3].get(f"/v1/models/meet/people/{who['entity']}").json()["items"]
        assert clients[4].delete(f"/v1/models/meet/people/{who['entity']}").status_code == 200
        for one in clients:
            assert one.get("/v1/models/meet/people/ann").json()["items"] == []
        counted = clients[5].get("/metrics").text
    assert served.stop() == 0
    assert 'promise_requests_total{arm="live",model="meet",version="1"}' in counted
    settings = meet.house.settings
    database = Database(settings.database)
    later = ManualClock(datetime.now(UTC) + timedelta(seconds=SETTLE_S + 1))
    forgetting = Forgetting(database, settings.records, later, machine_id(settings))
    forgetting.tidy()  # unless the server was slow to stop, and did it
    assert not Events(database).since(0)[-1].entity
    database.close()
    assert searched(meet.house, str(who["entity"])) == []


def post(client: httpx.Client, sent: dict[str, Any]) -> None:
    """Tell of an event, which is acknowledged."""
    response = client.post("/v1/models/meet/events", json=sent)
    assert response.json()["accepted"] == 1, response.text
