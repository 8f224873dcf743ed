"""The folder of a run's work: finished fits stay for `--resume`, everything else is cleared."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from promise.discovery.options import Options
from promise.errors import ArtifactError, DataError, disk_is_full
from promise.selection.journal import Journal


@contextmanager
def workplace(options: Options) -> Iterator[Path]:
    """Give the folder of a run's work, emptied unless the run is to go on.

    After an error the folder holds finished fits alone; where there are none it is removed, and
    with it `--out` when that was made for this run.

    Raises
    ------
    DataError
        When a disk is full: says what is kept, and how to go on.
    """
    out = options.out.absolute()
    work, was_there = out / "run", out.exists()
    if work.exists() and not options.resume:
        shutil.rmtree(work)
    try:
        yield work
    except Exception as error:
        kept = finished_fits(work / "race")
        if not kept:
            shutil.rmtree(work, ignore_errors=True)
            if not was_there:
                with suppress(OSError):  # absent, or something else has been written there
                    out.rmdir()
        if disk_is_full(error) and not isinstance(error, ArtifactError):
            raise DataError(_full(out, kept)) from error
        raise
    finally:
        sweep(work)


def sweep(work: Path) -> None:
    """Remove what processes that were ended left half-done; finished folders have their names."""
    for part in [*work.glob("race/**/*.part-*"), work / "race" / "curve"]:
        shutil.rmtree(part, ignore_errors=True)
    for folder in [*work.glob("race/*/*"), *work.glob("race/*")]:
        with suppress(OSError):  # a file, or not empty
            folder.rmdir()


def finished_fits(race: Path) -> int:
    """Return how many fits the journal of a race keeps for `--resume`.

    Examples
    --------
    >>> finished_fits(Path("/nowhere"))
    0
    """
    try:
        records = Journal(race / "journal.jsonl").records()
    except ArtifactError:  # damaged: nothing could go on from it
        return 0
    return sum(record.get("status") == "ok" for record in records)


def _full(out: Path, kept: int) -> str:
    """Say what a full disk has cost, and what to do."""
    fits = f"{kept} finished fit{'' if kept == 1 else 's'}"
    stays = f"{fits} stay in {out / 'run'}" if kept else "nothing was left half-written"
    then = "go on with --resume" if kept else "run the command again"
    return (
        f"the disk is full: {stays}; free some space (`df -h {out.parent} "
        f"{tempfile.gettempdir()}`) and {then}."
    )
