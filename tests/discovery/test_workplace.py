"""A run's folder after errors: finished fits for `--resume`, or nothing at all."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest

from promise.discovery.options import Options
from promise.discovery.workplace import finished_fits, workplace
from promise.errors import ArtifactError, DataError, FitFailed

FULL = OSError(errno.ENOSPC, "No space left on device")


def work_until(error: BaseException, out: Path, *, fits: int = 0, resume: bool = False) -> None:
    """Finish some fits, leave another half-done, then fail."""
    with workplace(Options("y", out=out, resume=resume)) as work:
        race = work / "race"
        (race / "fits" / "a" / "r0-f0.part-7").mkdir(parents=True)
        (race / "fits" / "b").mkdir()
        (race / "curve").mkdir()
        lines = [{"event": "start"}, *[{"event": "fit", "status": "ok"}] * fits]
        (race / "journal.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        raise error


def test_a_full_disk_before_the_first_fit_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nothing was left half-written; .* run the command again"):
        work_until(FULL, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_was_there_stays(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("kept")
    with pytest.raises(DataError, match="disk is full"):
        work_until(FULL, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    "error",
    [
        FULL,
        OSError("1024 requested and 12 written"),
        FitFailed("the disk is full: linear-01 could not be written.", "disk"),
    ],
)
def test_finished_fits_stay_and_half_done_ones_go(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(DataError, match=r"2 finished fits stay in .*; .* go on with --resume"):
        work_until(error, tmp_path / "out", fits=2)
    race = tmp_path / "out" / "run" / "race"
    assert finished_fits(race) == 2
    assert [path.name for path in race.rglob("*")] == ["journal.jsonl"]


@pytest.mark.parametrize(
    "error", [DataError("the target is constant."), ArtifactError("shop@1 is registered, but …")]
)
def test_other_errors_say_what_they_said(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(type(error), match=str(error)):
        work_until(error, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_keeps_the_run(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        work_until(KeyboardInterrupt(), tmp_path / "out")
    assert (tmp_path / "out" / "run" / "race" / "journal.jsonl").exists()


def test_only_resume_finds_the_earlier_run(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        work_until(FULL, tmp_path, fits=1)
    with workplace(Options("y", out=tmp_path, resume=True)) as work:
        assert finished_fits(work / "race") == 1
    with workplace(Options("y", out=tmp_path)) as work:
        assert not work.exists()
