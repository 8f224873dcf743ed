"""Requests of a later period with their candidates, found as of the moment before it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from promise.data.columns import Array, Columns, FloatArray, IntArray
from promise.features.pairs import SOURCES
from promise.metrics.ranking import each_request
from promise.models.base import MATRIX
from promise.workloads.matching.arena import Requests
from promise.workloads.matching.baselines import content
from promise.workloads.matching.ladder import METRIC_OF_RUNGS
from promise.workloads.matching.moment import Moment
from promise.workloads.matching.pick import (
    CANDIDATE,
    CHOOSER,
    LOT,
    NAME,
    POOL,
    SHOWN,
    SOURCE,
    PickPeople,
)
from promise.workloads.matching.ranker import BACK
from promise.workloads.matching.retrieve import Plan
from promise.workloads.matching.rules import Rule, joint
from promise.workloads.matching.stages import ID, PairFeatures, RetrievePeople

_CONTENT = SOURCES.index("content")


@dataclass(frozen=True, eq=False)
class Lists:
    """Candidates of each request, with what a ranker reads of them from both sides.

    Parameters
    ----------
    columns
        Rows of candidates; request `i` owns those from `columns.offsets[i]` on.
    """

    moment: Moment
    requests: Requests
    plan: Plan
    columns: Columns

    @classmethod
    def of(cls, moment: Moment, requests: Requests, plan: Plan, seed: int) -> Lists:
        """Let the stages that serve find candidates, at the moment and as it was known then.

        Where people only meet within their group, everybody of it is a candidate.
        """
        if moment.arena.group is not None:
            return cls(moment, requests, plan, _of_groups(moment, requests, plan.size))
        find = RetrievePeople.over(moment.basis, plan, seed)
        names = np.array(moment.people.ids[requests.rows].tolist(), dtype=object)
        found = find.many(Columns({ID: names}), {}, None)
        read = PairFeatures.over(find, mutual=True).many(found, {}, None)
        return cls(moment, requests, plan, read)

    @property
    def there(self) -> FloatArray:
        """Features of the candidates: float32 (m, d)."""
        return self.columns[MATRIX]

    @property
    def back(self) -> FloatArray:
        """Features of those who ask, as their candidates would read them: float32 (m, d)."""
        return self.columns[BACK]

    @property
    def offsets(self) -> IntArray:
        """Where each request's candidates begin, and where the last ends: int64 (n + 1,)."""
        assert self.columns.offsets is not None, "candidates belong to requests"
        return self.columns.offsets

    @cached_property
    def request_of(self) -> IntArray:
        """The request of each candidate: int64 (m,)."""
        return np.repeat(np.arange(self.requests.n), np.diff(self.offsets))

    @cached_property
    def codes(self) -> IntArray:
        """Candidates in the order they were found, padded by -1: int64 (n, widest)."""
        return self._wide(self.columns[CANDIDATE], -1).astype(np.int64)

    @cached_property
    def wanted(self) -> Array:
        """Say which candidates were liked later: bool (m,)."""
        return self.requests.wanted.found(self.codes)[self._held]

    def ranked(self, values: FloatArray) -> IntArray:
        """Return each request's candidates by their values, best first, padded by -1."""
        scores = self._wide(values, -np.inf)
        order = np.argsort(-scores, axis=1, kind="stable")
        return np.asarray(np.take_along_axis(self.codes, order, axis=1))

    def served(self, pick: PickPeople, output: FloatArray) -> IntArray:
        """Return the lists that are shown, with the places that are kept for chance."""
        shown = np.full((self.requests.n, pick.limit), -1, np.int64)
        for place, (a, b) in enumerate(zip(self.offsets[:-1], self.offsets[1:], strict=True)):
            part = self.columns.take(np.arange(a, b))
            rows = pick.one(part, output[a:b]).rows
            shown[place, : len(rows)] = part[CANDIDATE][rows]
        return shown

    def scores(self, values: FloatArray) -> FloatArray:
        """Return the metric of rungs of each request, its candidates ranked by values."""
        found = self.requests.wanted.found(self.ranked(values))
        return each_request(found, self.requests.wanted.counts)[METRIC_OF_RUNGS]

    def joint(self, there: FloatArray, back: FloatArray, rule: Rule) -> IntArray:
        """Return candidates by both chances."""
        return self.ranked(joint(there, back, rule))

    @cached_property
    def _held(self) -> Array:
        widths = np.diff(self.offsets)
        return np.asarray(np.arange(int(widths.max(initial=1)))[None, :] < widths[:, None])

    def _wide(self, values: Array, missing: float) -> Array:
        found = np.full(self._held.shape, missing, dtype=np.float64)
        found[self._held] = values
        return found


def _of_groups(moment: Moment, requests: Requests, size: int) -> Columns:
    lists = moment.arena.lists(content(moment.people), requests.rows, size)
    held = lists >= 0
    chooser, candidate = np.repeat(requests.rows, held.sum(axis=1)), lists[held]
    source = np.full(len(candidate), _CONTENT, np.int64)
    none = np.zeros(len(candidate), np.int64)
    names = np.array(moment.people.ids[candidate].tolist(), dtype=object)
    arrays = {CHOOSER: chooser, CANDIDATE: candidate, NAME: names, SOURCE: source, SHOWN: none}
    arrays |= {
        POOL: none + 1.0,
        LOT: none * 1.0,
        MATRIX: moment.features(chooser, candidate, source),
        BACK: moment.features(candidate, chooser, source),
    }
    offsets = np.concatenate([[0], np.cumsum(held.sum(axis=1))]).astype(np.int64)
    return Columns(arrays, offsets)
