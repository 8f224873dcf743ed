"""The review queue follows the log, in bounded steps, and labels take answers off it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from promise.clock import ManualClock
from promise.records.labels import Labels
from promise.records.review import ReviewQueue
from promise.state.database import Database


@pytest.fixture
def labels() -> Labels:
    return Labels(Database("sqlite://"), ManualClock())


def line(n: int, **more: Any) -> str:
    """One logged answer; the same number makes the same id."""
    answer = {"prediction": "news", "confidence": more.pop("sure", 0.5), "review": True}
    told = {
        "id": f"m.0-a-{n}", "model": "desk", "version": 1, "arm": "live", "at": float(n),
        "row": {"body": f"text {n}"}, "answer": answer,
    }  # fmt: skip
    return json.dumps({**told, **more}, separators=(",", ":")) + "\n"


def write(folder: Path, lines: list[str], start: int = 1) -> Path:
    """Append to a segment of the model's log."""
    path = folder / "desk" / f"m.0-{start:013d}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.writelines(lines)
    return path


def ids(queue: ReviewQueue, limit: int = 100, order: Any = "oldest") -> list[str]:
    """The ids of a page."""
    return [found["id"].rpartition("-")[2] for found in queue.page(limit, order).lines]


def test_answers_wait_oldest_or_least_certain_first(tmp_path: Path, labels: Labels) -> None:
    write(tmp_path, [line(3, sure=0.4), line(1, sure=0.6)], start=5)
    write(tmp_path, [line(2, sure=0.3), line(4, sure=0.5)], start=6)
    queue = ReviewQueue(tmp_path, "desk", labels)
    assert ids(queue) == ["1", "2", "3", "4"]
    assert ids(queue, order="uncertain") == ["2", "3", "4", "1"]
    page = queue.page(2)
    assert (page.waiting, page.complete) == (4, True)
    assert [found["row"] for found in page.lines] == [{"body": "text 1"}, {"body": "text 2"}]
    assert page.lines[0]["certainty"] == 0.6


def test_only_what_asks_for_a_person_waits(tmp_path: Path, labels: Labels) -> None:
    plain = {"prediction": "review", "probability": {"review": 0.9, "news": 0.1}, "review": False}
    decided = {"prediction": "review", "score": 0.4}
    lines = [
        line(1),
        line(2, arm="shadow"),
        line(3, answer=plain),
        line(4, answer=decided),
        line(5, answer={"prediction": "approve", "score": 0.1}),
        line(6, row={"body": '"review":true'}, answer={"prediction": "news"}),
        '{"id":"torn","answer":{"review":true\n',
    ]
    write(tmp_path, lines)
    assert ids(ReviewQueue(tmp_path, "desk", labels)) == ["1"]
    by_action = ReviewQueue(tmp_path, "desk", labels, action="review")
    assert set(ids(by_action)) == {"1", "3", "4"}


def test_labels_take_answers_off(tmp_path: Path, labels: Labels) -> None:
    labels.add([{"prediction_id": "m.0-a-1", "label": "news", "model": "desk"}])
    write(tmp_path, [line(n) for n in range(5)])
    queue, other = (ReviewQueue(tmp_path, "desk", labels) for _ in range(2))
    assert ids(queue) == ["0", "2", "3", "4"]
    labels.add([{"prediction_id": "m.0-a-3", "label": "news", "model": "desk"}])
    for _ in range(2):
        assert ids(queue) == ids(other) == ["0", "2", "4"]
    write(tmp_path, [line(5)])
    assert ids(queue) == ["0", "2", "4", "5"]


def test_a_look_reads_a_bounded_part(tmp_path: Path, labels: Labels) -> None:
    write(tmp_path, [line(n) for n in range(20)])
    queue = ReviewQueue(tmp_path, "desk", labels, read_mb=4 * len(line(1)) / 2**20)
    found = [(page.waiting, page.complete) for page in (queue.page(1) for _ in range(8))]
    assert found[0] == (4, False)
    assert found[-1] == (20, True)
    assert [n for n, _ in found] == sorted(n for n, _ in found)


def test_the_queue_is_bounded_and_loses_nothing(tmp_path: Path, labels: Labels) -> None:
    write(tmp_path, [line(n) for n in range(8)])
    queue, seen = ReviewQueue(tmp_path, "desk", labels, most=3), []
    while page := queue.page(2).lines:
        assert len(page) <= 3
        for found in page:
            seen.append(found["id"].rpartition("-")[2])
            labels.add([{"prediction_id": found["id"], "label": "news", "model": "desk"}])
    assert seen == [str(n) for n in range(8)]
    assert queue.page(2).complete


def test_pruned_and_scrubbed_lines_are_gone(tmp_path: Path, labels: Labels) -> None:
    path = write(tmp_path, [line(1), line(2)], start=1)
    write(tmp_path, [line(3)], start=2)
    queue = ReviewQueue(tmp_path, "desk", labels)
    assert ids(queue) == ["1", "2", "3"]
    path.write_text(line(1).replace("m.0-a-1", "m.0-a-x") + line(2))
    assert ids(queue) == ["2", "3"]
    path.unlink()
    assert ids(queue) == ["3"]
    assert queue.page(5).waiting == 1


def test_a_model_without_a_log_waits_for_nothing(tmp_path: Path, labels: Labels) -> None:
    page = ReviewQueue(tmp_path, "desk", labels).page(10)
    assert (page.lines, page.waiting, page.complete) == ([], 0, True)


def test_machines_that_share_the_folder_have_one_queue_and_are_named(
    tmp_path: Path, labels: Labels
) -> None:
    write(tmp_path, [line(1)])
    other = tmp_path / "desk" / "n.0-0000000000002.jsonl"
    other.write_text(line(2, id="n.0-a-2"), encoding="utf-8")
    page = ReviewQueue(tmp_path, "desk", labels).page(10)
    assert ([found["id"] for found in page.lines], page.machines) == (
        ["m.0-a-1", "n.0-a-2"], ("m", "n"),
    )  # fmt: skip
