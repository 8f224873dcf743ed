"""How often people were shown today is read from every worker's log, once."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from promise.records.exposures import Showings

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def line(items: list[str], at: datetime = NOON, **more: Any) -> bytes:
    answer = {"items": [{"id": id} for id in items], **more.pop("answer", {})}
    told = {"id": "l", "model": "meet", "version": 3, "arm": "live", "at": at.timestamp(), **more}
    return msgspec.json.encode({**told, "entity": "ann", "answer": answer}) + b"\n"


def write(folder: Path, slot: str, *lines: bytes, at: datetime = NOON) -> Path:
    (folder / "meet").mkdir(exist_ok=True)
    path = folder / "meet" / f"{slot}-{int(at.timestamp() * 1000):013d}.jsonl"
    with path.open("ab") as file:
        file.writelines(lines)
    return path


def test_lists_of_all_workers_count_once_and_only_those_that_people_saw(tmp_path: Path) -> None:
    showings = Showings(tmp_path, "meet")
    assert showings.read(NOON) == Counter()
    write(tmp_path, "m.0", line(["bob", "cem"]), line(["bob"]), b'{"id": "torn')
    write(
        tmp_path, "m.1", line(["bob"], arm="canary"), line(["dan"], arm="shadow"),
        line(["dan"], answer={"similar": True}), line(["***"]), b"damaged\n",
    )  # fmt: skip
    assert showings.read(NOON) == {"bob": 3, "cem": 1}
    assert showings.read(NOON) == Counter()
    write(tmp_path, "m.1", line(["eva"]))
    write(tmp_path, "m.2", line(["bob"]))
    assert showings.read(NOON) == {"bob": 1, "eva": 1}
    assert Showings(tmp_path, "meet").read(NOON) == {"bob": 4, "cem": 1, "eva": 1}


def test_a_day_ends_at_midnight_utc_and_long_logs_are_read_in_turns(tmp_path: Path) -> None:
    midnight = NOON.replace(hour=0)
    before, after = midnight - timedelta(minutes=1), midnight + timedelta(minutes=1)
    write(tmp_path, "m.0", line(["bob"], before), line(["cem"], after), at=before)
    write(tmp_path, "m.1", line(["old"], before), at=midnight - timedelta(days=3))
    assert Showings(tmp_path, "meet").read(NOON) == {"cem": 1}
    write(tmp_path, "m.2", *(line(["dan"]) for _ in range(10)))
    showings, found = Showings(tmp_path, "meet"), Counter[str]()
    turns = 0
    while found["dan"] < 10:
        found += showings.read(NOON, most_bytes=300)
        turns += 1
    assert found == {"cem": 1, "dan": 10}
    assert turns > 2
