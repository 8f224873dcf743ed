"""Predictions for files: killed anywhere and gone on with, no row is lost or there twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from promise.data.source import open_source
from promise.errors import ConfigError, DataError, FitFailed, StateError
from promise.registry.registry import Registry
from promise.registry.versions import Version
from promise.settings import Settings
from promise.state.files import alone
from promise.training.model import load
from promise.training.parts import Parts, write_part
from promise.training.predict import predict_file
from promise.training.train import train_version

ROWS = 100
CHUNK = 16


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A house with one small model of names, and rows to answer."""
    home = tmp_path_factory.mktemp("bulk")
    words = ["bank", "news", "game", "shop"]
    names = [f"{words[i % 4]}{i}.{words[i % 4]}.com" for i in range(400)]
    settings = Settings.load({"PROMISE_HOME": str(home)})
    data = pa.table({"domain": names, "label": [words[i % 4] for i in range(400)]})
    train_version("domains", data, name="names", settings=settings, threads=1)
    asked = [f"{words[i % 3]}-{i}.com" for i in range(ROWS)]
    pq.write_table(pa.table({"domain": asked}), home / "asked.parquet")
    return home


@pytest.fixture
def version(home: Path) -> Version:
    return Registry.open(Settings.load({"PROMISE_HOME": str(home)})).find("names")


@pytest.fixture
def whole(home: Path, version: Version) -> pa.Table:
    """What a run without any kill writes."""
    out = home / "whole.parquet"
    if not out.is_file():
        predicted(home, version, out, chunk_rows=1000)
    return pq.read_table(out)


def predicted(home: Path, version: Version, out: Path, **more: Any) -> Any:
    pipeline = load("names", Registry.open(Settings.load({"PROMISE_HOME": str(home)}))).pipeline
    source = open_source(home / "asked.parquet")
    return predict_file(pipeline, source, out, version=version, **{"chunk_rows": CHUNK, **more})


def run_killed(home: Path, out: Path, failpoint: str, *flags: str) -> int:
    """Run the same in a process that dies at a point; return its exit code."""
    code = (
        "import sys; from pathlib import Path; from promise.training.model import load;"
        "from promise.training.predict import predict_file;"
        "from promise.data.source import open_source; m = load('names');"
        "predict_file(m.pipeline, open_source(sys.argv[1]), Path(sys.argv[2]), version=m.version,"
        f"chunk_rows={CHUNK}, resume='--resume' in sys.argv)"
    )
    told = {"PROMISE_HOME": str(home), "PROMISE_FAILPOINT": failpoint}
    command = [sys.executable, "-c", code, str(home / "asked.parquet"), str(out), *flags]
    return subprocess.run(command, env={**os.environ, **told}, check=False).returncode


def left(out: Path) -> list[str]:
    """What lies beside a file whose name has its own."""
    return sorted(path.name for path in out.parent.iterdir() if out.stem in path.name)


@pytest.mark.slow
def test_chunks_make_the_same_file_and_leave_nothing(
    home: Path, version: Version, whole: pa.Table, tmp_path: Path
) -> None:
    seen: list[int] = []
    done = predicted(home, version, tmp_path / "a.parquet", progress=seen.append)
    assert pq.read_table(tmp_path / "a.parquet").equals(whole)
    assert (done.rows, seen) == (ROWS, [16, 32, 48, 64, 80, 96, 100])
    assert left(tmp_path / "a.parquet") == ["a.parquet"]


@pytest.mark.slow
def test_several_processes_make_the_same_file(
    home: Path, version: Version, whole: pa.Table, tmp_path: Path
) -> None:
    predicted(home, version, tmp_path / "a.parquet", workers=2, chunk_rows=40)
    assert pq.read_table(tmp_path / "a.parquet").equals(whole)
    assert left(tmp_path / "a.parquet") == ["a.parquet"]


@pytest.mark.slow
def test_killed_twice_and_gone_on_with_nothing_is_lost_or_doubled(
    home: Path, version: Version, whole: pa.Table, tmp_path: Path
) -> None:
    out = tmp_path / "a.parquet"
    assert run_killed(home, out, "predict.part.kept:2") == -signal.SIGKILL
    assert run_killed(home, out, "predict.part.written:3", "--resume") == -signal.SIGKILL
    assert not out.exists()
    parts = Parts(out)
    assert [parts.rows(n) for n in range(5)] == [CHUNK] * 4 + [None]
    before = [parts.path(n).stat().st_mtime_ns for n in range(4)]
    seen: list[int] = []

    def progress(rows: int) -> None:
        seen.append(rows)
        if rows == ROWS:
            assert [parts.path(n).stat().st_mtime_ns for n in range(4)] == before

    predicted(home, version, out, resume=True, progress=progress)
    assert seen[-1] == ROWS
    assert pq.read_table(out).equals(whole)
    assert left(out) == ["a.parquet"]


@pytest.mark.slow
def test_a_torn_part_is_answered_again(
    home: Path, version: Version, whole: pa.Table, tmp_path: Path
) -> None:
    out = tmp_path / "a.parquet"
    assert run_killed(home, out, "predict.part.kept:3") == -signal.SIGKILL
    torn = Parts(out).path(1)
    torn.write_bytes(torn.read_bytes()[:100])
    predicted(home, version, out, resume=True)
    assert pq.read_table(out).equals(whole)


@pytest.mark.slow
def test_parts_of_other_terms_are_not_taken_over(
    home: Path, version: Version, whole: pa.Table, tmp_path: Path
) -> None:
    out = tmp_path / "a.parquet"
    assert run_killed(home, out, "predict.part.kept:2") == -signal.SIGKILL
    with pytest.raises(ConfigError, match="chunk_rows 16, now 20"):
        predicted(home, version, out, resume=True, chunk_rows=20)
    assert Parts(out).rows(0) == CHUNK
    predicted(home, version, out, chunk_rows=20)
    assert pq.read_table(out).equals(whole)


@pytest.mark.slow
def test_only_one_run_at_a_time_writes_a_file(home: Path, version: Version, tmp_path: Path) -> None:
    out = tmp_path / "a.parquet"
    assert run_killed(home, out, "predict.part.kept:2") == -signal.SIGKILL
    with (
        alone(Parts(out).folder.with_suffix(".lock"), "busy"),
        pytest.raises(StateError, match="another run"),
    ):
        predicted(home, version, out)
    assert Parts(out).rows(1) == CHUNK


def test_parts_go_with_bad_data_and_stay_when_going_on_would_help(tmp_path: Path) -> None:
    parts = Parts(tmp_path / "a.parquet")

    def fail(error: Exception) -> None:
        with parts.begun({}, resume=True):
            write_part(parts.path(0), pa.table({"a": [1, 2]}))
            raise error

    def left_after(error: Exception) -> int | None:
        with pytest.raises(type(error)):
            fail(error)
        return parts.rows(0)

    full = DataError("the disk is full")
    full.__cause__ = OSError(28, "No space left on device")
    assert left_after(full) == 2
    assert left_after(FitFailed("a worker was killed", "crash")) == 2
    assert left_after(StateError("busy")) == 2
    assert left_after(DataError("row 7 is no number")) is None


@pytest.mark.slow
def test_resuming_where_nothing_was_begun_begins(
    home: Path, version: Version, whole: pa.Table, tmp_path: Path
) -> None:
    predicted(home, version, tmp_path / "a.parquet", resume=True)
    assert pq.read_table(tmp_path / "a.parquet").equals(whole)


def test_the_first_parts_keep_the_order_of_rows(whole: pa.Table) -> None:
    assert whole.num_rows == ROWS
    assert np.unique(whole["prediction"].to_pylist()).size >= 3
