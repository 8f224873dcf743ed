"""A tiny workload that answers with lists: installed by the tests as a third party's would be."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from promise.data.answer import Ranking
from promise.data.schema import Field, Schema
from promise.errors import DataError, near
from promise.pipeline.artifact import FORMAT
from promise.pipeline.finding import Asked, Told
from promise.pipeline.order import Workload
from promise.pipeline.task import Task
from promise.state.files import digests, write_json

FIELDS = ("age", "place")


class Meeting:
    """Everybody in the order of how often they were liked; who was met or blocked is left out."""

    def __init__(self, folder: Path) -> None:
        told = json.loads((folder / "people.json").read_text(encoding="utf-8"))
        self.people: dict[str, Mapping[str, Any]] = told["people"]
        self.fails = told["fails"]
        self.most_shown: int | None = told.get("most_shown")
        self.shown: Counter[str] = Counter()
        self.number = self._from = told["number"]
        self.met: dict[str, set[str]] = {}
        self.likes: dict[str, int] = {}
        self.taken = 0

    def take(self, events: Sequence[Told]) -> None:
        for event in events:
            if event.number <= self.number:
                continue
            self.number, self.taken = event.number, self.taken + 1
            if event.type == "person":
                self.people[event.entity] = event.payload
            elif event.type == "forget":
                self.people.pop(event.entity, None)
                self.met.pop(event.entity, None)
            elif event.type != "impression":
                self.met.setdefault(event.entity, set()).add(event.other)
                if event.type == "like":
                    self.likes[event.other] = self.likes.get(event.other, 0) + 1
                if event.type == "block":
                    self.met.setdefault(event.other, set()).add(event.entity)

    def find(self, asked: Asked, at: datetime) -> dict[str, Any]:
        for name in asked.filters:
            if name not in FIELDS:
                raise DataError(f"there is no filter {name!r}; {near(name, FIELDS)}")
        if self.fails and asked.id is not None:
            raise RuntimeError("this version always fails")
        without = {asked.id, *asked.exclude, *self.met.get(asked.id or "", ())}
        without |= {id for id in self.people if self._enough(id)}
        found = [id for id, one in self.people.items() if id not in without and _fits(one, asked)]
        found.sort(key=lambda id: (-self.likes.get(id, 0), id))
        items = [
            {
                "id": id, "probability": 0.5, "source": "likes", "propensity": 1.0,
                "reasons": ["liked"], "features": {"likes": self.likes.get(id, 0)},
            }
            for id in found[: asked.limit]
        ]  # fmt: skip
        return {"items": items, "cold_start": asked.id not in self.people}

    def count_shown(self, shown: Mapping[str, int], at: datetime) -> None:
        self.shown.update(shown)

    def shown_enough(self, ids: Iterable[str], at: datetime) -> bool:
        return any(self._enough(id) for id in ids)

    def unread(self, profile: Mapping[str, Any]) -> list[str]:
        return [f"a profile has no field {name!r}" for name in profile if name not in FIELDS]

    def _enough(self, id: str) -> bool:
        return self.most_shown is not None and self.shown[id] >= self.most_shown

    def similar(self, id: str, limit: int, at: datetime) -> dict[str, Any]:
        others = sorted(self.people.keys() - {id})
        return {"items": [{"id": one, "similarity": 0.5} for one in others[:limit]]}

    def follow_from(self) -> int:
        return int(self._from)


def _fits(person: Mapping[str, Any], asked: Asked) -> bool:
    for name, wanted in asked.filters.items():
        value = person.get(name)
        if isinstance(wanted, list):
            low, high = wanted
            if value is None or (low is not None and value < low):
                return False
            if high is not None and value > high:
                return False
        elif value != wanted:
            return False
    return True


def write_version(
    folder: Path,
    people: Mapping[str, Mapping[str, Any]],
    *,
    number: int = 0,
    fails: bool = False,
    most_shown: int | None = None,
) -> None:
    """Write a version that knows these people and the log up to a number."""
    told = {"people": people, "number": number, "fails": fails, "most_shown": most_shown}
    write_json(folder / "people.json", told)
    request = Schema((Field("id", "category", role="id"), Field("limit", "number")))
    task = Task("meeting", request, Ranking(), None, "recall_at_20")
    manifest = {
        "format": FORMAT, "stages": {}, "task": task.to_json(), "views": {}, "lineage": {},
        "metrics": {}, "digests": digests(folder),
    }  # fmt: skip
    write_json(folder / "manifest.json", manifest)


def _train(*_: Any) -> Any:
    raise NotImplementedError("versions of this workload are written by the tests")


WORKLOAD = Workload(
    "meeting", "person → people", ("default",), _train, cache_s=600.0, finder=Meeting
)
