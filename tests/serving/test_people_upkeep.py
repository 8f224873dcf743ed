"""What workers let versions know that bound how often people are shown."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from promise.errors import StateError
from promise.records.exposures import Showings
from promise.records.exposures_shared import SharedShowings
from promise.serving.people_upkeep import _Shown
from promise.state.database import Database

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def shown(folder: Path, *ids: str) -> None:
    """Log one list of a machine."""
    (folder / "meet").mkdir(parents=True, exist_ok=True)
    line = {
        "id": "l", "model": "meet", "version": 3, "arm": "live", "at": NOON.timestamp(),
        "entity": "ann", "answer": {"items": [{"id": id} for id in ids]},
    }  # fmt: skip
    with (folder / "meet" / f"m.0-{int(NOON.timestamp() * 1000):013d}.jsonl").open("ab") as file:
        file.write(msgspec.json.encode(line) + b"\n")


@pytest.mark.slow
def test_machines_with_one_database_count_one_anothers_lists(
    postgres_schema: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(postgres_schema)
    one, mate, other = (
        _Shown(Showings(tmp_path / home, "meet"), SharedShowings(database, "meet", home), tells)
        for home, tells in (("one", True), ("one", False), ("other", True))
    )
    shown(tmp_path / "one", "bob", "cem")
    assert one.read(NOON) == mate.read(NOON) == {"bob": 1, "cem": 1}
    assert other.read(NOON) == {"bob": 1, "cem": 1}
    assert one.read(NOON) == mate.read(NOON) == other.read(NOON) == Counter()
    shown(tmp_path / "other", "bob")
    assert other.read(NOON) == one.read(NOON) == mate.read(NOON) == {"bob": 1}

    def away(*_: object) -> None:
        raise StateError("the database is away.")

    with monkeypatch.context() as broken:
        broken.setattr(Database, "run", away)
        shown(tmp_path / "one", "dan")
        assert one.read(NOON) == {"dan": 1}  # its own lists count all the same
    assert one.read(NOON) == Counter()
    assert other.read(NOON) == {"dan": 1}
    database.close()


def test_a_database_of_one_machine_is_not_asked(tmp_path: Path) -> None:
    alone = SharedShowings(Database("sqlite://"), "meet", "one")
    shown(tmp_path, "bob")
    assert _Shown(Showings(tmp_path, "meet"), alone, tells=True).read(NOON) == {"bob": 1}
    assert alone.news(NOON) == Counter()
