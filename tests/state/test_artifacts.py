"""The artifact store, in a folder and in S3: whole or absent, checked when it is read."""

from __future__ import annotations

import json
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from promise.errors import ArtifactError, ConfigError, DataError, StateError
from promise.state.artifacts import Artifacts, open_artifacts
from promise.state.artifacts_local import LocalArtifacts, files_of
from promise.state.files import digests, sha256


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.slow)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Artifacts:
    if request.param == "folder":
        return open_artifacts(str(tmp_path / "artifacts"), tmp_path / "cache")
    bucket = request.getfixturevalue("s3_bucket")
    return open_artifacts(f"s3://{bucket}/deep", tmp_path / "cache")


def fill(draft: Path, text: str = "hello") -> str:
    """Write a small version; return its manifest's digest."""
    (draft / "weights" / "score").mkdir(parents=True)
    (draft / "weights" / "score" / "model.txt").write_text(text)
    (draft / "card.md").write_text("a card")
    (draft / "manifest.json").write_text(json.dumps({"digests": digests(draft)}))
    return sha256(draft / "manifest.json")


def publish(store: Artifacts, text: str = "hello", number: int = 1) -> tuple[str, str]:
    with store.draft() as draft:
        digest = fill(draft, text)
        store.prepare(draft, "churn")
        expected = store.location(draft, "churn", number)
        location = store.publish(draft, "churn", number)
    assert location == expected
    assert not draft.exists()
    return location, digest


def test_what_is_published_comes_back(store: Artifacts) -> None:
    location, digest = publish(store)
    assert store.exists(location)
    for _ in range(2):
        folder = store.local(location, digest)
        assert folder == store.place(location)
        assert (folder / "weights" / "score" / "model.txt").read_text() == "hello"
        assert sha256(folder / "manifest.json") == digest


def test_a_draft_can_be_published_again_under_another_number(store: Artifacts) -> None:
    with store.draft() as draft:
        digest = fill(draft)
        first = store.publish(draft, "churn", 1)
        second = store.publish(draft, "churn", 2)
    for location in (first, second):
        assert store.local(location, digest).is_dir()


@pytest.mark.slow
def test_what_is_removed_is_gone_and_removing_twice_is_fine(store: Artifacts) -> None:
    location, digest = publish(store)
    store.local(location, digest)
    other, kept = publish(store, "other", 2)
    for _ in range(2):
        store.remove(location)
        assert not store.exists(location)
    with pytest.raises(ArtifactError, match="backup"):
        store.local(location, digest)
    assert store.local(other, kept).is_dir()


def test_another_manifest_is_refused(store: Artifacts) -> None:
    location, _ = publish(store)
    with pytest.raises(ArtifactError, match="not the one that was registered"):
        store.local(location, "0" * 64)


def test_a_store_of_an_unknown_kind_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="local or mounted folder, or s3://"):
        open_artifacts("gs://models", tmp_path)
    with pytest.raises(ConfigError, match="local or mounted folder, or s3://"):
        open_artifacts("s3://", tmp_path)
    with pytest.raises(ConfigError, match="set PROMISE_ARTIFACTS"):
        LocalArtifacts(tmp_path).local("s3://models/churn/1", "0" * 64)


def test_drafts_left_by_a_kill_are_tidied_away_when_old(store: Artifacts, tmp_path: Path) -> None:
    location, digest = publish(store)
    store.local(location, digest)
    with store.draft() as lent:
        home = lent.parent
    left = [home / ".draft-old", home / "churn" / ".1-old", home / ".draft-young"]
    for path in left:
        path.mkdir()
        (path / "weights").write_text("x")
    for path in left[:2]:
        os.utime(path, (0, 0))
    store.tidy(datetime(2001, 1, 1, tzinfo=UTC))
    assert [path.exists() for path in left] == [False, False, True]
    assert store.local(location, digest).is_dir()


def test_what_others_keep_in_the_same_folder_is_never_tidied_away(tmp_path: Path) -> None:
    theirs = tmp_path / "project" / ".git"
    theirs.mkdir(parents=True)
    (theirs / "HEAD").write_text("x")
    os.utime(theirs, (0, 0))
    LocalArtifacts(tmp_path).tidy(datetime(2001, 1, 1, tzinfo=UTC))
    assert (theirs / "HEAD").is_file()


@pytest.mark.parametrize(
    "name", ["../x", "/etc/passwd", "a/../../x", "a//b", "..\\x", "C:x", "", "a/./b"]
)
def test_a_manifest_that_names_files_outside_is_refused(name: str) -> None:
    with pytest.raises(ArtifactError, match="outside its folder"):
        files_of(json.dumps({"digests": {name: "00"}}).encode(), "churn/1")


@pytest.mark.parametrize("manifest", [b"", b"\xff", b"[]", b'"x"', b'{"digests": ["card.md"]}'])
def test_a_manifest_that_cannot_be_read_is_refused(manifest: bytes) -> None:
    with pytest.raises(ArtifactError, match="not readable"):
        files_of(manifest, "churn/1")


def test_a_full_disk_leaves_no_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = LocalArtifacts(tmp_path / "artifacts")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("promise.state.artifacts_local.shutil.copytree", full)
    with store.draft() as draft:
        fill(draft)
        with pytest.raises(DataError, match="disk is full"):
            store.publish(draft, "churn", 1)
    assert list((tmp_path / "artifacts" / "churn").iterdir()) == []


@pytest.mark.slow
def test_a_cache_heals_itself_and_is_used_when_s3_is_away(
    s3_bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_artifacts(f"s3://{s3_bucket}/deep", tmp_path / "cache")
    location, digest = publish(store)
    shutil.rmtree(store.place(location))
    folder = store.local(location, digest)
    weights = folder / "weights" / "score" / "model.txt"
    weights.write_text("poison")
    assert (
        store.local(location, digest) / "weights" / "score" / "model.txt"
    ).read_text() == "hello"
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    away = open_artifacts(f"s3://{s3_bucket}/deep", tmp_path / "cache")
    assert away.local(location, digest) == folder
    weights.unlink()
    with pytest.raises(StateError, match="does not serve"):
        away.local(location, digest)


@pytest.mark.slow
def test_poison_in_s3_never_reaches_the_cache(s3_bucket: str, tmp_path: Path) -> None:
    import boto3

    s3 = boto3.client("s3")
    maker = open_artifacts(f"s3://{s3_bucket}/deep", tmp_path / "made")
    location, digest = publish(maker)
    store = open_artifacts(f"s3://{s3_bucket}/deep", tmp_path / "cache")
    key = location.removeprefix(f"s3://{s3_bucket}/")
    s3.put_object(Bucket=s3_bucket, Key=f"{key}/weights/score/model.txt", Body=b"poison")
    with pytest.raises(ArtifactError, match="has changed"):
        store.local(location, digest)
    assert not store.place(location).exists()
    bad = json.dumps({"digests": {"../../../../etc/passwd": "0" * 64}}).encode()
    s3.put_object(Bucket=s3_bucket, Key=f"{key}/manifest.json", Body=bad)
    with pytest.raises(ArtifactError, match="not the one that was registered"):
        store.local(location, digest)
    s3.delete_object(Bucket=s3_bucket, Key=f"{key}/weights/score/model.txt")
    assert [p.name for p in store.place(location).parent.iterdir()] == []


@pytest.mark.slow
def test_an_upload_cut_short_does_not_count(s3_bucket: str, tmp_path: Path) -> None:
    store = open_artifacts(f"s3://{s3_bucket}/deep", tmp_path / "cache")
    with store.draft() as draft:
        digest = fill(draft)
        store.prepare(draft, "churn")
        location = store.location(draft, "churn", 1)
        assert not store.exists(location)
        with pytest.raises(ArtifactError, match="holds no version"):
            store.local(location, digest)
        store.publish(draft, "churn", 1)
    assert store.local(location, digest).is_dir()
    with pytest.raises(StateError, match="bucket"):
        publish(open_artifacts("s3://nowhere/at-all", tmp_path / "cache"))
