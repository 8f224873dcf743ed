"""Matching on generated people whose tastes are known, so that what is found can be checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from promise.data.columns import Columns, IntArray
from promise.data.synthetic_people import Crowd, people_events, people_table
from promise.discovery.demo import command
from promise.pipeline.pipeline import Pipeline
from promise.state.files import whole_file
from promise.training.train import Trained, train_version
from promise.workloads.matching.arena import best, mutual_interest
from promise.workloads.matching.stages import ID, RetrievePeople
from promise.workloads.matching.task import LIMIT

CROWD = Crowd(people=1_200, days=45, per_day=700, circles=12)
_ASKED = 400


@dataclass(frozen=True)
class Planted:
    """How many of the planted people are among the twenty, and how many the most liked would be.

    Parameters
    ----------
    asked
        For how many people lists were looked at.
    """

    found: float
    popular: float
    asked: int

    @property
    def times(self) -> float:
        """How many times what popularity finds."""
        return self.found / self.popular if self.popular else float("inf")


@dataclass(frozen=True)
class ShownMatching:
    """What the demo did and what it suggests to try next."""

    trained: Trained
    planted: Planted
    person: str
    answer: list[dict[str, Any]]
    people: Path
    events: Path

    @property
    def lines(self) -> list[str]:
        """The end of the demo, in sentences."""
        run, version, planted = command("promise"), self.trained.version, self.planted
        first = ", ".join(f"{one['id']} ({one['probability']:.2f})" for one in self.answer[:5])
        return [
            self.trained.sentence(),
            f"planted people among the {LIMIT}: recall {planted.found:.3f}, of the most liked "
            f"{planted.popular:.3f}: {planted.times:.1f} times as many ({planted.asked} people)",
            f"{self.person} should meet: {first}",
            "",
            "what to try next:",
            f"  {run} models show {version}",
            f"  {run} predict {version} {self.people} --out lists.csv",
            f"  {run} deploy {version}",
            f"  {run} serve   # answers GET http://127.0.0.1:8000/v1/models/{version.name}"
            f"/people/{self.person}?limit=20",
            f"  {run} train matching --people {self.people} --events {self.events} "
            "--name first --preset reference",
            f"  {run} train matching --people YOURS.csv --events YOURS.csv --name meet",
        ]

    def to_json(self) -> dict[str, Any]:
        """Return what `promise demo matching --json` prints."""
        return {
            **self.trained.to_json(),
            "planted_recall_at_20": self.planted.found,
            "planted_recall_at_20_of_popularity": self.planted.popular,
            "times_popularity": self.planted.times,
            "person": self.person,
            "answer": self.answer,
        }


def run_matching(
    out: Path, tell: Callable[[str], None], crowd: Crowd = CROWD, **terms: Any
) -> ShownMatching:
    """Generate people, train on what they did, and count whom of the planted are found.

    Parameters
    ----------
    terms
        Further terms of the training.
    """
    out.mkdir(parents=True, exist_ok=True)
    people, events = out / "people.parquet", out / "events.parquet"
    for path, table in ((people, people_table(crowd)), (events, people_events(crowd))):
        with whole_file(path) as draft:
            pq.write_table(table, draft)
    trained = train_version(
        "matching",
        str(events),
        name="demo-matching",
        people=str(people),
        tell=tell,
        budget_s=90.0,
        **terms,
    )
    pipeline = trained.outcome.pipeline
    rows = np.unique(np.linspace(0, crowd.people - 1, _ASKED).astype(np.int64))
    person = str(_snapshot(pipeline).people.ids[rows[0]])
    asked = Columns({ID: np.array([person], dtype=object)})
    answer = pipeline.predict(asked)["prediction"][0]
    return ShownMatching(
        trained, planted_recall(pipeline, crowd, rows), person, answer, people, events
    )


def planted_recall(pipeline: Pipeline, crowd: Crowd, rows: IntArray) -> Planted:
    """Return the share of planted people, not yet decided on, whom lists of twenty hold."""
    snapshot = _snapshot(pipeline)
    ids = np.array(snapshot.people.ids[rows].tolist(), dtype=object)
    lists = pipeline.output(Columns({ID: ids}))[:, :LIMIT].astype(np.int64)
    free = mutual_interest(snapshot.people, rows)
    free[np.arange(len(rows)), rows] = False
    for place, row in enumerate(rows.tolist()):
        free[place, snapshot.seen.row(row)[0]] = False
        free[place, snapshot.blocked.row(row)[0]] = False
    likes = np.bincount(snapshot.likes.others, minlength=snapshot.n)
    popular = best(np.where(free, likes, -np.inf).astype(np.float32), LIMIT)
    numbers = np.array([int(str(id)[1:]) for id in snapshot.people.ids])
    planted = free & crowd.planted_pair(numbers[rows][:, None], numbers[None, :])
    wanted = planted.sum(axis=1)
    some = wanted > 0

    def recall(found: IntArray) -> float:
        hits = np.take_along_axis(planted, np.maximum(found, 0), axis=1) & (found >= 0)
        return float((hits.sum(axis=1)[some] / wanted[some]).mean())

    return Planted(recall(lists), recall(popular), int(some.sum()))


def _snapshot(pipeline: Pipeline) -> Any:
    find = pipeline.retrieve
    assert isinstance(find, RetrievePeople), "matching retrieves people"
    return find.basis.snapshot
