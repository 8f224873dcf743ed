"""A registry whose versions lie in S3: another machine fetches what it uses, and only that."""

from __future__ import annotations

import pytest

from promise.clock import ManualClock
from promise.registry.registry import Registry
from promise.settings import Settings
from promise.state.database import Database

moto_server = pytest.importorskip("moto.server")
boto3 = pytest.importorskip("boto3")
pytest.importorskip("s3fs", reason="keeping versions in S3 needs the `s3` extra")


@pytest.fixture
def client(monkeypatch):
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    client = boto3.client("s3")
    client.create_bucket(Bucket="models")
    yield client
    server.stop()


@pytest.mark.slow
def test_versions_go_to_s3_and_come_to_another_machine(client, tmp_path, write) -> None:
    def machine(home: str) -> Registry:
        environ = {
            "PROMISE_HOME": str(tmp_path / home),
            "PROMISE_DATABASE": f"sqlite:///{tmp_path}/promise.db",
            "PROMISE_ARTIFACTS": "s3://models/prod/",
        }
        return Registry.open(Settings.load(environ))

    first, second = machine("one"), machine("two")
    made = first.register("churn", write("a"))
    assert (made.folder / "card.md").read_text() == "a"
    first.register("churn", write("b"))
    first.register("churn", write("b"))
    listed = second.versions("churn")
    assert [version.location[:20] for version in listed] == ["s3://models/prod/chu"] * 3
    assert not any(version.folder.exists() for version in listed)
    found = second.find("churn@2")
    assert (found.folder / "card.md").read_text() == "b"
    assert found.folder.is_relative_to(tmp_path / "two" / "cache" / "artifacts")
    assert not second.get("churn@1").folder.exists()

    clock = ManualClock()
    swept = Registry(Database(second.database.url), second.artifacts, clock)
    for number in (1, 2):
        swept.retire(f"churn@{number}", "old")
    clock.advance(31 * 86_400)
    swept.sweep()
    kept = client.list_objects_v2(Bucket="models", Prefix="prod/")["Contents"]
    assert {each["Key"].split("/")[2] for each in kept} == {listed[2].location.split("/")[-1]}
    assert (second.find("churn@3").folder / "card.md").read_text() == "b"
