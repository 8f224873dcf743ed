"""A registry whose versions lie in S3: another machine fetches what it uses, and only that."""

from __future__ import annotations

import pytest

from promise.clock import ManualClock
from promise.registry.registry import Registry
from promise.settings import Settings
from promise.state.database import Database


@pytest.mark.slow
def test_versions_go_to_s3_and_come_to_another_machine(s3_bucket, tmp_path, write) -> None:
    import boto3

    def machine(home: str) -> Registry:
        environ = {
            "PROMISE_HOME": str(tmp_path / home),
            "PROMISE_DATABASE": f"sqlite:///{tmp_path}/promise.db",
            "PROMISE_ARTIFACTS": f"s3://{s3_bucket}/prod/",
        }
        return Registry.open(Settings.load(environ))

    first, second = machine("one"), machine("two")
    made = first.register("churn", write("a"))
    assert (made.folder / "card.md").read_text() == "a"
    first.register("churn", write("b"))
    first.register("churn", write("b"))
    listed = second.versions("churn")
    assert len(listed) == 3
    assert all(one.location.startswith(f"s3://{s3_bucket}/prod/churn/") for one in listed)
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
    kept = boto3.client("s3").list_objects_v2(Bucket=s3_bucket, Prefix="prod/")["Contents"]
    assert {each["Key"].split("/")[2] for each in kept} == {listed[2].location.split("/")[-1]}
    assert (second.find("churn@3").folder / "card.md").read_text() == "b"
