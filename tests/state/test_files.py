"""Files and folders are whole or absent, also when the disk is full."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from promise.errors import ArtifactError, DataError, StateError
from promise.state.files import (
    alone,
    check_digests,
    digests,
    whole_file,
    whole_folder,
    write_json,
)


def test_a_failed_folder_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with whole_folder(tmp_path / "it") as draft:
            (draft / "a").write_text("half")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told_in_words_and_keeps_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "board.json"
    write_json(target, {"old": True})

    def fail() -> None:
        with whole_file(target):
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(DataError, match="disk is full"):
        fail()
    assert "old" in target.read_text()
    assert [p.name for p in tmp_path.iterdir()] == ["board.json"]


def test_an_existing_folder_gives_way_only_when_told(tmp_path: Path) -> None:
    target = tmp_path / "it"
    with whole_folder(target) as draft:
        (draft / "a").write_text("1")
    with pytest.raises(DataError, match="exists already"), whole_folder(target):
        pass
    with whole_folder(target, replace=True) as draft:
        (draft / "b").write_text("2")
    assert [p.name for p in target.iterdir()] == ["b"]
    assert [p.name for p in tmp_path.iterdir()] == ["it"]


def test_digests_name_the_file_that_changed(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    known = digests(tmp_path)
    check_digests(tmp_path, known)
    (tmp_path / "a").write_text("2")
    with pytest.raises(ArtifactError, match="a has changed"):
        check_digests(tmp_path, known)
    with pytest.raises(ArtifactError, match="outside"):
        check_digests(tmp_path, {"../x": "0"})


def test_one_process_at_a_time_and_a_kill_opens_the_way(tmp_path: Path) -> None:
    lock = tmp_path / "deep" / "work.lock"
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, pathlib\n"
            "from promise.state.files import alone\n"
            "with alone(pathlib.Path(sys.argv[1]), 'busy'):\n"
            "    print('in', flush=True)\n"
            "    sys.stdin.read()\n",
            str(lock),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"in\n"
        with pytest.raises(StateError, match="wait for it"), alone(lock, "wait for it"):
            pytest.fail("two were in the block")
        holder.kill()
    with alone(lock, "wait for it"):
        assert lock.exists()
