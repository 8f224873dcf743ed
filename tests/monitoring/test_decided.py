"""Review load, declines and money of the decisions that users got, counted by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from promise.clock import ManualClock
from promise.data.answer import Answer, Class, Decision
from promise.data.schema import Field, Schema
from promise.metrics.costs import Costs
from promise.monitoring.decided import Decided, decided
from promise.pipeline.decision import Cheapest, DecisionPolicy
from promise.pipeline.task import Task
from promise.records.labels import Labels
from promise.records.predictions import PredictionLog
from promise.registry.versions import Version
from promise.state.database import Database
from promise.state.files import write_json

SCHEMA = Schema((Field("tx", "category", role="id"), Field("eur", "number", role="amount")))
START = datetime.fromisoformat("2026-01-01T00:00:00+00:00")


class Desk:
    """A live version, its log and its labels."""

    def __init__(self, home: Path, answer: Answer) -> None:
        self.home, self.clock = home, ManualClock(START)
        self.labels = Labels(Database("sqlite://"), self.clock)
        folder = home / "version"
        (folder / "weights" / "decide").mkdir(parents=True)
        rule = Cheapest(Costs(review=5.0, decline_fixed=20.0))
        policy = DecisionPolicy(Decision(), rule, "eur")
        policy.save(folder / "weights" / "decide")
        stages = {"decide": {"kind": policy.kind, "version": policy.kind_version}}
        task = Task("fraud", SCHEMA, answer, "fraud", "average_precision")
        write_json(folder / "manifest.json", {
            "format": 1, "stages": stages, "task": task.to_json(), "views": {}, "lineage": {},
            "metrics": {}, "digests": {},
        })  # fmt: skip
        self.version = Version("guard", 1, START, "fraud", folder, "", {}, {}, {})
        self.slots = 0

    def answered(self, rows: list[tuple[str, str, float]], **more: Any) -> list[str]:
        """Log (id, action, amount) an hour apart, in a segment of their own."""
        self.slots += 1
        slot = more.pop("slot", str(self.slots))
        log, ids = PredictionLog(self.home / "log", slot, clock=self.clock), []
        for tx, action, eur in rows:
            self.clock.advance(3600)
            ids.append(log.new_id())
            line = {"id": ids[-1], "version": 1, "arm": "live", "at": self.clock.now().timestamp(),
                    "row": {"tx": tx, "eur": eur}, "answer": {"prediction": action, "score": 0.5},
                    "source": "model"}  # fmt: skip
            log.append("guard", json.dumps(line | more).encode())
        log.close()
        return ids

    def label(self, id: str, fraud: object) -> None:
        self.labels.add([{"prediction_id": id, "label": fraud, "model": "guard"}])

    def found(self, **given: Any) -> Decided | None:
        return decided(
            self.home / "log", self.version, self.labels, now=self.clock.now(), **given
        )  # fmt: skip


@pytest.fixture
def desk(tmp_path: Path) -> Any:
    made = Desk(tmp_path, Decision())
    yield made
    made.labels.database.close()


def test_decisions_are_counted_and_known_ones_are_worth_money(desk: Desk) -> None:
    ids = desk.answered(
        [("a", "approve", 100.0), ("b", "review", 50.0), ("c", "decline", 80.0),
         ("d", "decline", 10.0), ("e", "approve", 70.0)]
    )  # fmt: skip
    desk.answered([("f", "approve", 1.0)], arm="shadow")
    before = desk.found()
    assert before is not None
    assert before.counts == (2, 1, 2)
    assert before.to_json()["saved"] is None
    assert "no label of them is known yet" in before.sentences()[-1]
    for id, fraud in zip(ids[:4], (1, "1", True, 0), strict=True):
        desk.label(id, fraud)
    found = desk.found()
    assert found is not None
    told = found.to_json()
    # an approved fraud of 100, a review of 5, a good one declined for 20; else 230 were lost
    assert (told["cost"], told["cost_without_model"], told["saved"]) == (125.0, 230.0, 105.0)
    assert (told["labelled"], told["frauds"], told["decisions"]) == (4, 3, 5)
    assert (told["review_rate"], told["decline_rate"]) == (0.2, 0.4)
    assert told["reviews_per_day"] == 1.0
    assert told["caught"] == pytest.approx(2 / 3)
    assert "saved 105.00 against approving everything" in found.sentences()[1]


def test_an_event_asked_about_twice_counts_once(desk: Desk) -> None:
    first = desk.answered([("a", "approve", 100.0)])
    desk.answered([("a", "review", 100.0)], source="heuristic")
    desk.label(first[0], 1)
    found = desk.found()
    assert found is not None
    assert (found.counts, found.frauds, found.without_model) == ((0, 1, 0), 1, 1)
    assert found.known is not None
    assert found.known.saved == 95.0
    assert "decided without a model" in found.sentences()[1]


def test_only_the_newest_of_the_window_count(desk: Desk) -> None:
    desk.answered([(f"old-{k}", "decline", 1.0) for k in range(3)])
    desk.clock.advance(timedelta(days=40).total_seconds())
    desk.answered([(f"new-{k}", "approve", 1.0) for k in range(4)])
    found = desk.found()
    assert found is not None
    assert (found.counts, found.cut) == ((4, 0, 0), False)
    few = desk.found(most=2)
    assert few is not None
    assert (few.n_rows, few.cut) == (2, True)
    assert few.sentences()[0].startswith("the newest 2 decisions")


def test_other_answers_are_no_decisions(tmp_path: Path) -> None:
    desk = Desk(tmp_path, Class(("no", "yes")))
    desk.answered([("a", "approve", 1.0)])
    assert desk.found() is None
    desk.labels.database.close()


def test_without_an_answer_there_is_nothing_to_tell(desk: Desk) -> None:
    assert desk.found() is None


def test_it_says_whose_log_was_read(desk: Desk) -> None:
    desk.answered([("a", "approve", 1.0)])
    alone = desk.found()
    assert alone is not None
    assert (alone.machines, alone.elsewhere) == (1, False)
    assert "1 decisions in this machine's log" in alone.sentences()[0]
    apart = replace(alone, elsewhere=True)  # a database that other machines reach
    assert "other machines decided is in their own logs" in apart.sentences()[1]
    for slot in ("web-1.0", "web-1.1", "web-2.0"):
        desk.answered([(slot, "approve", 1.0)], slot=slot)
    shared = desk.found()
    assert shared is not None
    assert shared.to_json()["machines"] == 3
    assert "in the log of 3 machines" in shared.sentences()[0]
