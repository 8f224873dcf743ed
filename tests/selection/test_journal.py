"""A journal survives torn lines and refuses another run's facts."""

from __future__ import annotations

from pathlib import Path

import pytest

from promise.errors import ArtifactError, ConfigError
from promise.selection.journal import Journal


def test_torn_last_line_is_dropped_and_mended(tmp_path: Path) -> None:
    journal = Journal.start(tmp_path / "j.jsonl", {"seed": 7})
    journal.append({"event": "fit", "fold": 0})
    with journal.path.open("ab") as file:
        file.write(b'{"event": "fit", "fo')
    again = Journal.resume(journal.path, {"seed": 7})
    assert again.records() == [{"event": "fit", "fold": 0}]
    again.append({"event": "fit", "fold": 1})
    assert [r["fold"] for r in again.records()] == [0, 1]


def test_resume_names_what_changed(tmp_path: Path) -> None:
    Journal.start(tmp_path / "j.jsonl", {"seed": 7, "metric": "r2"})
    with pytest.raises(ConfigError, match=r"metric was 'r2'.* is 'mae' now"):
        Journal.resume(tmp_path / "j.jsonl", {"seed": 7, "metric": "mae"})


def test_damage_inside_is_named(tmp_path: Path) -> None:
    journal = Journal.start(tmp_path / "j.jsonl", {})
    journal.append({"event": "fit"})
    text = journal.path.read_text().replace('{"event": "start"', '{"event "start"')
    journal.path.write_text(text)
    with pytest.raises(ArtifactError, match="line 1 is damaged"):
        Journal.resume(journal.path, {})


def test_resume_without_a_journal_starts_one(tmp_path: Path) -> None:
    assert Journal.resume(tmp_path / "new" / "j.jsonl", {"seed": 1}).about() == {"seed": 1}
