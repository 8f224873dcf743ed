"""Finds people over one version and what happened since; for one process, one thread at a time."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import numpy as np

from promise.data.rows import even_rows
from promise.engine.memory import available_mb
from promise.errors import DataError
from promise.features.people_ids import NOBODY
from promise.features.people_profile import known_profile
from promise.models.base import MATRIX
from promise.pipeline.artifact import read_manifest
from promise.pipeline.finding import MOST, UNHEARD, Asked, Told
from promise.pipeline.stages import STAGES
from promise.workloads.matching.explain import SHOWN_ENOUGH, reasons, why_empty
from promise.workloads.matching.heuristic import DayOne
from promise.workloads.matching.overlay import World, microseconds
from promise.workloads.matching.pick import CANDIDATE, SOURCE, PickPeople, told
from promise.workloads.matching.quest import begin
from promise.workloads.matching.ranker import Ranker
from promise.workloads.matching.register import GONE
from promise.workloads.matching.stages import PairFeatures, RetrievePeople

_LOG = logging.getLogger(__name__)

_MEMORY_SHARE = 0.8
_WARM = 16


class PeopleFinder:
    """Answers who suits a person; see `promise.pipeline.finding.Finder`.

    Parameters
    ----------
    world
        Everybody as they are now; events change it.
    """

    def __init__(
        self,
        world: World,
        retrieve: RetrievePeople,
        featurize: PairFeatures,
        score: Ranker | DayOne,
        pick: PickPeople,
    ) -> None:
        self.world = world
        self._retrieve, self._featurize = retrieve, featurize
        self._score, self._pick = score, pick
        world.counted.most_shown = pick.most_shown

    @classmethod
    def open(cls, folder: Path) -> PeopleFinder:
        """Load a version's stages, and its people apart from every other reader's."""
        kinds = {name: one["kind"] for name, one in read_manifest(folder)["stages"].items()}
        stages: dict[str, Any] = {
            name: STAGES.resolve(kind).load(folder / "weights" / name)
            for name, kind in kinds.items()
        }
        retrieve, world = cast(RetrievePeople, stages["retrieve"]).apart(
            folder / "weights" / "retrieve"
        )
        return cls(world, retrieve, stages["featurize"], stages["score"], stages["decide"])

    @property
    def number(self) -> int:
        """How far in the log it came."""
        return self.world.number

    def warm(self) -> None:
        """Read the people from the disk, where memory holds them, and answer some of them.

        Pages that are read for the first time by a request cost it ten times what it takes else.
        """
        most_mb = _MEMORY_SHARE * available_mb()
        size_mb = self.world.basis.read_pages(most_mb)
        if size_mb > most_mb:
            _LOG.warning(
                "%.0f MiB of people do not fit into %.0f MiB of memory; answers wait for the disk.",
                size_mb, most_mb,
            )  # fmt: skip
        at_us = self.world.snapshot.until_us
        at = datetime.fromtimestamp(at_us / 1e6, UTC)
        for id in self.world.register.ids(even_rows(self.world.snapshot.n, _WARM).tolist()):
            self.find(Asked(id), at)

    def follow_from(self) -> int:
        """Return the number of the log's last event that the version has learned from."""
        return self.world.snapshot.number

    def take(self, events: Sequence[Told]) -> None:
        """Take events in the log's order: known and strange ones change nothing, none fails."""
        self.world.take(events)

    def find(self, asked: Asked, at: datetime) -> dict[str, Any]:
        """Return the answer's fields, JSON-ready; its `items` are best first.

        Raises
        ------
        DataError
            Where a filter, the profile or the limit cannot be read.
        """
        if not 1 <= asked.limit <= MOST:
            raise DataError(f"limit {asked.limit} is outside 1 to {MOST}.")
        quest = begin(self.world, asked, microseconds(at), self._retrieve.seed)
        answer: dict[str, Any] = {"items": [], "cold_start": quest.code == NOBODY}
        columns = self._retrieve.one(quest, asked.limit)
        if not columns.n_rows:
            return {**answer, "reason": why_empty(quest)}
        columns = self._featurize.one(quest, columns)
        picked = self._pick.one(columns, self._score.many(columns), asked.limit)
        if not len(picked.rows):
            return {**answer, "reason": SHOWN_ENOUGH}
        items = told(columns, picked)
        codes, source = columns[CANDIDATE][picked.rows], columns[SOURCE][picked.rows]
        for item, said in zip(items, reasons(quest, codes, source), strict=True):
            item["reasons"] = said
        if asked.features:
            names = self._score.reads
            places = [self._featurize.names.index(name) for name in names]
            matrix = columns[MATRIX][picked.rows][:, places]
            for item, row in zip(items, matrix.tolist(), strict=True):
                item["features"] = {
                    name: None if value != value else value  # noqa: PLR0124 — NaN is null in JSON
                    for name, value in zip(names, row, strict=True)
                }
        return {**answer, "items": items}

    @property
    def most_shown(self) -> int | None:
        """How often somebody is shown on one day at most; None for no bound."""
        return self._pick.most_shown

    def count_shown(self, shown: Mapping[str, int], at: datetime) -> None:
        """Count in how many lists of the day of `at` people stood."""
        self.world.give(shown, microseconds(at))

    def shown_enough(self, ids: Iterable[str], at: datetime) -> bool:
        """Say whether anybody of these was shown as often on the day of `at` as may be."""
        spent = self.world.counted.spent(microseconds(at))
        if not len(spent):
            return False
        code, none = self.world.register.code, set(spent.tolist())
        return any(code(id) in none for id in ids)

    def unread(self, profile: Mapping[str, Any]) -> tuple[str, ...]:
        """Say what of a profile this version cannot read; any thread may ask."""
        return known_profile(profile, self.world.register.lexicon.extras)[1]

    def similar(self, id: str, limit: int, at: datetime) -> dict[str, Any]:  # noqa: ARG002
        """Return who is chosen by the same people as this person."""
        if not 1 <= limit <= MOST:
            raise DataError(f"limit {limit} is outside 1 to {MOST}.")
        world, source = self.world, self.world.basis.source
        code = world.register.code(id)
        if code == NOBODY or source is None:
            why = UNHEARD if code == NOBODY else "nobody was liked yet."
            return {"items": [], "cold_start": code == NOBODY, "reason": why}
        vector = world.vectors.take(np.array([code]))[1][0]
        codes, scores = self._alike(code, vector, limit)
        items = [
            {"id": name, "score": round(score, 6), "position": place}
            for place, (name, score) in enumerate(
                zip(world.register.ids(codes), scores, strict=True), 1
            )
        ]
        answer: dict[str, Any] = {"items": items, "cold_start": False}
        if not items:
            answer["reason"] = "nobody has liked them yet, so that nobody is like them."
        return answer

    def _alike(self, code: int, vector: Any, limit: int) -> tuple[list[int], list[float]]:
        """Return the nearest by cosine of those whom the index finds by inner product."""
        world, index = self.world, self.world.vectors.index
        length = float(np.sqrt(vector @ vector))
        if index is None or not length:
            return [], []
        (found,), _ = index.search(vector[None], min(len(index), 8 * limit + 32))
        found = found[found >= 0]
        blocked = world.blocked(code)
        barred = (world.register.flags[found] & GONE) != 0
        found = found[~barred & (found != code) & ~np.isin(found, blocked)]
        vectors = world.vectors.take(found)[1]
        lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
        cosine = (vectors @ vector) / np.maximum(lengths * length, 1e-30)
        best = np.lexsort((found, -cosine))[:limit]
        return found[best].tolist(), cosine[best].tolist()
