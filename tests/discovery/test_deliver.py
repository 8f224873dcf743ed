"""What becomes of a finished race when the last steps fail."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from promise.discovery import deliver
from promise.discovery.options import Options
from promise.errors import ArtifactError, DataError


class Rows:
    def take(self, rows: object) -> None: ...


def exported(out: Path, error: Exception, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let the export fail half-way and return what is offered."""

    def fail(version: object, folder: Path, *, holdout: object) -> None:
        folder.mkdir(parents=True)
        (folder / "half.py").write_text("x =")
        raise error

    monkeypatch.setattr(deliver, "export_version", fail)
    table: Any = SimpleNamespace(columns=Rows(), holdout=None)
    return deliver._export(
        "shop@1",  # type: ignore[arg-type]
        SimpleNamespace(table=table),  # type: ignore[arg-type]
        SimpleNamespace(source=SimpleNamespace(reader=None)),  # type: ignore[arg-type]
        Options("y", out=out),
        SimpleNamespace(step=print),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            shutil.Error([("a", "b", "[Errno 28] No space left on device: 'a' -> 'b'")]),
            "the disk is full; free some space, then `promise export shop@1 --to ",
        ),
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full; "),
        (ArtifactError("row 3 differs."), "row 3 differs."),
    ],
)
def test_an_export_that_fails_is_removed_and_the_version_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, told: str
) -> None:
    offered, failure = exported(tmp_path, error, monkeypatch)
    assert offered is None
    assert isinstance(failure, ArtifactError)
    assert "shop@1 is registered and the report is written" in str(failure)
    assert told in str(failure)
    assert list(tmp_path.iterdir()) == []


def test_other_errors_are_not_taken_for_a_failed_export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        exported(tmp_path, DataError("the file cannot be read."), monkeypatch)
