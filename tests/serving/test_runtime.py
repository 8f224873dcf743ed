"""Snapshots follow the database, whole; versions are checked; the last known good is kept."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from promise.clock import ManualClock
from promise.errors import StateError
from promise.pipeline.as_sent import golden_bodies
from promise.promises.spec import ModelFile, Promise
from promise.registry.keys import Keys
from promise.registry.lifecycle import Route
from promise.registry.revisions import Revisions
from promise.serving.last_known import Known, read_known, write_known
from promise.serving.loading import load_version
from promise.serving.runtime import Runtime
from promise.serving.server import open_worker
from promise.state.database import Database


@pytest.fixture
def runtime(house: Any) -> Any:
    """Return a function that makes a runtime which is looked after by the test itself."""
    made: list[Runtime] = []

    def make(settings: Any = None) -> Runtime:
        made.append(Runtime(settings or house.settings, poll_s=0.02))
        made[-1].start()
        return made[-1]

    yield make
    for one in made:
        one.stop()


def truncate(folder: Path) -> None:
    """Cut a file of the weights in half, as a broken copy would."""
    file = max(
        (p for p in (folder / "weights").rglob("*") if p.is_file()), key=lambda p: p.stat().st_size
    )
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def test_it_follows_deploys_and_keeps_the_standby(house: Any, runtime: Any, wait: Any) -> None:
    house.deploy()
    served = runtime()
    wait(lambda: served.ready)
    first = served.snapshot
    assert list(first.endpoints["churn"].versions) == [1]
    house.deploy(what="down")
    wait(lambda: served.snapshot.endpoints["churn"].route.live == 2)
    assert set(served.snapshot.endpoints["churn"].versions) == {1, 2}
    kept = served.snapshot.endpoints["churn"].versions[1]
    assert first.endpoints["churn"].versions == {1: kept}  # in-flight requests keep the old one
    route = served.snapshot.endpoints["churn"].route
    house.commit(replace(route, live=1, standby=None), "rollback")
    wait(lambda: served.snapshot.endpoints["churn"].route.live == 1)
    assert served.snapshot.endpoints["churn"].versions == {1: kept}  # no fetch; 2 is let go


def test_it_goes_on_following_after_what_nobody_has_foreseen(
    house: Any, runtime: Any, wait: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.deploy()
    read, stumbles = Runtime._read, iter(range(3))

    def stumble(self: Runtime, epoch: int) -> Known:
        if next(stumbles, None) is not None:
            raise KeyError("a workload that is being replaced")
        return read(self, epoch)

    monkeypatch.setattr(Runtime, "_read", stumble)
    served = runtime()
    wait(lambda: served.ready)
    assert served.snapshot.endpoints["churn"].route.live == 1


def test_a_rollback_needs_no_files(house: Any, runtime: Any, wait: Any) -> None:
    first, second = house.deploy(), house.deploy(what="down")
    served = runtime()
    wait(lambda: served.ready)
    for version in (first, second):
        truncate(version.folder)
    route = served.snapshot.endpoints["churn"].route
    house.commit(replace(route, live=1, standby=None), "rollback")
    wait(lambda: served.snapshot.endpoints["churn"].route.live == 1)
    assert served.snapshot.endpoints["churn"].failed is None


def test_a_damaged_candidate_fails_alone_and_is_tried_again(
    house: Any, runtime: Any, wait: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("promise.serving.shelf._RETRY_S", 0.05)
    house.deploy()
    served = runtime()
    wait(lambda: served.ready)
    second = house.register(what="down")
    whole = {p: p.read_bytes() for p in second.folder.rglob("*") if p.is_file()}
    truncate(second.folder)
    house.commit(Route("churn", "shadow", live=1, candidate=2, salt="s"), "deploy")
    wait(lambda: bool(served.snapshot.endpoints["churn"].failed))
    endpoint = served.snapshot.endpoints["churn"]
    assert "has changed since it was written" in endpoint.failed[2]
    assert (list(endpoint.versions), served.ready) == ([1], True)
    for path, content in whole.items():
        path.write_bytes(content)
    wait(lambda: 2 in served.snapshot.endpoints["churn"].versions)
    assert served.snapshot.endpoints["churn"].failed is None


def test_a_model_that_cannot_be_loaded_at_all_keeps_its_last_resort(
    house: Any, runtime: Any, wait: Any
) -> None:
    truncate(house.deploy().folder)
    served = runtime()
    wait(lambda: served.ready)
    endpoint = served.snapshot.endpoints["churn"]
    assert endpoint.versions == {}
    assert set(endpoint.heuristic["probability"]) == {"no", "yes"}


def test_a_manifest_that_is_not_the_registered_one_is_refused(house: Any) -> None:
    version = house.register()
    manifest = version.folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"metrics": {', '"metrics": {"a": 1,', 1))
    with pytest.raises(Exception, match="not the one that was registered"):
        load_version(version)


def test_golden_rows_must_come_out_exactly(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    version = house.register()
    monkeypatch.setattr("promise.serving.loading.golden_difference", lambda *_: 1e-9)
    with pytest.raises(Exception, match=r"golden rows .* 1e-09"):
        load_version(version)


def test_golden_bodies_are_requests(house: Any) -> None:
    loaded = load_version(house.register())
    bodies = golden_bodies(loaded.version.folder, loaded.pipeline.task.request)
    assert bodies
    assert all(set(json.loads(body)) == {"age", "income", "plan"} for body in bodies)
    assert loaded.one_ms > 0


def test_targets_and_keys_come_with_the_snapshot(house: Any, runtime: Any, wait: Any) -> None:
    house.deploy()
    database = Database(house.settings.database)
    speed = Promise("speed", "latency_p99", at_most=12.0, warn=8.0)
    usual = Promise("usual", "latency_p50", at_most=3.0)
    errors = Promise("errors", "request_errors", at_most=0.01, warn=0.005)
    declared = ModelFile("churn", promises=(speed, usual, errors))
    Revisions(database, house.clock).declare("churn", declared)
    served = runtime()
    wait(lambda: served.ready)
    assert served.snapshot.endpoints["churn"].targets == (3.0, 8.0, 12.0)
    keys = Keys(database, house.clock)
    key, _ = keys.create("app", ("predict",))
    wait(lambda: [k.id for k in served.snapshot.keys.values()] == [key.id])
    keys.revoke(key.id)
    wait(lambda: not served.snapshot.keys)


def test_a_database_that_goes_away_changes_nothing(
    house: Any, runtime: Any, wait: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.deploy()
    served = runtime()
    wait(lambda: served.ready)
    before = served.snapshot

    def away() -> int:
        raise StateError("away")

    with monkeypatch.context() as patched:
        patched.setattr(served._lifecycle, "epoch", away)
        wait(lambda: served.stale_s > 0)
        assert served.snapshot is before
        assert served.ready
    wait(lambda: served.stale_s == 0)


def test_another_database_in_its_place_is_not_believed(house: Any, runtime: Any, wait: Any) -> None:
    house.deploy()
    served = runtime()
    wait(lambda: served.ready)
    with house.lifecycle.database.transaction() as connection:
        guards = sa.text("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        for guard in connection.execute(guards).scalars().all():
            connection.execute(sa.text(f"DROP TRIGGER {guard}"))
        connection.execute(sa.text("DELETE FROM transitions"))
    house.lifecycle.touch()
    wait(lambda: served.stale_s > 0)
    assert served.snapshot.endpoints["churn"].route.live == 1


def test_a_worker_that_starts_without_a_database_serves_what_was_known(
    house: Any, runtime: Any, wait: Any, tmp_path: Path
) -> None:
    house.deploy()
    first = runtime()
    wait(lambda: first.ready)
    away = replace(house.settings, database="sqlite:////proc/nothing/promise.db")
    second = runtime(away)
    wait(lambda: second.ready)
    assert second.stale_s > 0
    assert second.snapshot.endpoints["churn"].route.live == 1
    assert (house.settings.run / "routes.json").stat().st_mode & 0o077 == 0


def test_what_is_known_survives_its_file_and_damage_does_not_hurt(
    house: Any, tmp_path: Path
) -> None:
    version = house.register()
    known = Known(
        7,
        {
            "churn": Route(
                "churn", "canary", 1, 2, 3, experiment={4: 50}, owed={"a": ManualClock().now()}
            )
        },
        {"churn@1": version},
        {"churn": (12.5,)},
    )
    write_known(tmp_path / "routes.json", known)
    assert read_known(tmp_path / "routes.json") == known
    (tmp_path / "routes.json").write_text("{")
    assert read_known(tmp_path / "routes.json") == Known()


def test_many_models_load_and_a_slow_one_holds_nobody_up(
    house: Any, runtime: Any, wait: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    from promise.serving import shelf as module

    house.deploy("quick")
    served = runtime()
    wait(lambda: served.ready)
    gate = threading.Event()
    real = module.load_version

    def slow(version: Any, *more: Any) -> Any:
        if version.name == "slow":
            gate.wait(10)
        return real(version, *more)

    monkeypatch.setattr(module, "load_version", slow)
    house.deploy("slow")
    wait(lambda: "slow" in served.snapshot.endpoints)
    assert served.snapshot.endpoints["slow"].loading
    assert not served.ready
    route = served.snapshot.endpoints["quick"].route
    house.commit(replace(route, held="by hand"), "hold")
    wait(lambda: served.snapshot.endpoints["quick"].route.held == "by hand")
    gate.set()
    wait(lambda: served.ready)


@pytest.mark.slow
def test_it_follows_postgres_alike(
    house: Any, runtime: Any, wait: Any, request: pytest.FixtureRequest
) -> None:
    url = sa.make_url(request.getfixturevalue("postgres_url"))
    schema = f"t{uuid.uuid4().hex[:12]}"
    admin = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.pool.NullPool)
    with admin.connect() as connection:
        connection.execute(sa.text(f"CREATE SCHEMA {schema}"))
    own = url.update_query_dict({"options": f"-csearch_path={schema}"})
    database = own.render_as_string(hide_password=False)
    house.settings = replace(house.settings, database=database)
    house.deploy()
    served = runtime()
    wait(lambda: served.ready)
    house.deploy(what="down")
    wait(lambda: served.snapshot.endpoints["churn"].route.live == 2)
    assert set(served.snapshot.endpoints["churn"].versions) == {1, 2}
    with admin.connect() as connection:  # gone under the running server
        connection.execute(sa.text(f"DROP SCHEMA {schema} CASCADE"))
    wait(lambda: served.stale_s > 0)
    assert served.snapshot.endpoints["churn"].route.live == 2


def test_nothing_is_published_anew_while_nothing_changes(house: Any, wait: Any) -> None:
    house.deploy()
    clock = ManualClock()
    served = Runtime(house.settings, clock=clock)
    served._shelf.start()
    wait(lambda: (served.look(), served.ready)[1])
    published: list[None] = []
    publish = served._publish
    served._publish = lambda: (published.append(None), publish())[1]  # type: ignore[method-assign]
    for _ in range(5):
        served.look()
    assert not published
    house.lifecycle.touch()
    served.look()
    assert len(published) == 1
    served.stop()


def test_requests_are_read_by_what_was_compiled_before_as_long_as_fields_stay(
    house: Any, runtime: Any, wait: Any
) -> None:
    house.deploy()
    served = runtime()
    wait(lambda: served.ready)
    before = served.snapshot.endpoints["churn"]
    house.commit(replace(before.route, held="by hand"), "hold")
    wait(lambda: served.snapshot.endpoints["churn"].route.held == "by hand")
    assert served.snapshot.endpoints["churn"].intake is before.intake


@pytest.mark.anyio
async def test_who_never_read_a_route_is_not_ready(house: Any, client: Any, wait: Any) -> None:
    file = Path(house.settings.database.removeprefix("sqlite:///"))
    file.mkdir(parents=True)  # nothing can be opened in its place
    worker = open_worker(house.settings, 0, open_access=True)
    house.workers.append(worker)
    worker.runtime.look()
    assert not worker.runtime.ready
    async with client(worker) as http:
        ready = await http.get("/readyz")
        asked = await http.post("/v1/models/churn/predict", json={"age": 1})
    assert (ready.status_code, ready.json()["ready"]) == (503, False)
    assert (asked.status_code, asked.headers["retry-after"]) == (503, "1")
    assert "the database does not answer" in asked.json()["detail"]
    file.rmdir()
    house.deploy()
    worker.runtime.start()
    wait(lambda: worker.runtime.ready)
