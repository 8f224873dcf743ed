"""The stages of a version that finds people: who may be shown, what is read of them, who is shown.

Everybody lies in the folder of the first stage; the second one maps the same files.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import ClassVar, Self
from weakref import WeakValueDictionary

import numpy as np

from promise.data.columns import Array, Columns, IntArray
from promise.features.pairs import PAIR, extra_names, pair_features
from promise.models.base import MATRIX
from promise.pipeline.finding import Asked
from promise.pipeline.stages import State
from promise.workloads.matching.overlay import World, microseconds
from promise.workloads.matching.pick import (
    BASE,
    CANDIDATE,
    CHOOSER,
    LOT,
    NAME,
    POOL,
    SHOWN,
    SOURCE,
    offsets_of,
)
from promise.workloads.matching.quest import Quest, begin
from promise.workloads.matching.ranker import BACK
from promise.workloads.matching.retrieve import Candidates, Plan, retrieve
from promise.workloads.matching.snapshot import Basis, Mode

ID = "id"
"""The one column of a request."""
_BASIS = "basis"


class _Lazy:
    """A basis that is mapped when it is first looked at, and a world for each thread."""

    def __init__(self, load: Callable[[], Basis]) -> None:
        self._load, self._lock = load, threading.Lock()
        self._basis: Basis | None = None
        self._threads = threading.local()

    @property
    def basis(self) -> Basis:
        with self._lock:
            if self._basis is None:
                self._basis = self._load()
            return self._basis

    @property
    def world(self) -> World:
        found: World | None = getattr(self._threads, "world", None)
        if found is None:
            found = self._threads.world = World(self.basis)
        return found


_OPENED: WeakValueDictionary[Path, _Lazy] = WeakValueDictionary()
_OPENING = threading.Lock()


def _opened(folder: Path) -> _Lazy:
    """Return the basis of a folder, the same one for both stages that read it."""
    with _OPENING:
        return _OPENED.setdefault(folder.resolve(), _Lazy(lambda: Basis.load(folder)))


@dataclass(frozen=True, eq=False)
class RetrievePeople:
    """Finds up to a hundred eligible people for each request; a Retrieve stage.

    Parameters
    ----------
    plan
        How many come from where.
    seed
        What is left to chance follows it, the id, and the request's draw.
    lazy
        Everybody; see `over` and `load`.
    """

    kind: ClassVar[str] = "retrieve_people"
    kind_version: ClassVar[int] = 1
    plan: Plan
    seed: int
    lazy: _Lazy

    @classmethod
    def over(cls, basis: Basis, plan: Plan, seed: int = 7) -> Self:
        """Find among these people."""
        return cls(plan, seed, _Lazy(lambda: basis))

    @property
    def basis(self) -> Basis:
        """Everybody, and what was learned of them."""
        return self.lazy.basis

    def needs(self, request: Columns) -> tuple[str, ...]:  # noqa: ARG002 — the stage's signature
        """Nothing keyed is read: what is known lies in the version and its overlay."""
        return ()

    def many(
        self,
        request: Columns,
        state: State,  # noqa: ARG002 — the stage's signature
        at: datetime | None,
    ) -> Columns:
        """Return the candidates of each id, as of `at` or of the snapshot's moment."""
        world = self.lazy.world
        at_us = world.snapshot.until_us if at is None else microseconds(at)
        parts = [self.one(begin(world, Asked(id=str(id)), at_us, self.seed)) for id in request[ID]]
        sizes = [part.n_rows for part in parts]
        offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        empty = self.one_empty() if not parts else None
        found = Columns.concat(parts) if parts else empty
        assert found is not None
        return Columns(found.arrays, offsets)

    def one(self, quest: Quest, limit: int = 0) -> Columns:
        """Return the candidates of one request."""
        found = retrieve(quest, self.plan, limit)
        return _columns(quest, found)

    def one_empty(self) -> Columns:
        """Return no candidates."""
        none = np.empty(0, np.int64)
        ints = dict.fromkeys((CHOOSER, CANDIDATE, SOURCE, SHOWN), none)
        floats = dict.fromkeys((BASE, POOL, LOT), none * 0.0)
        return Columns({**ints, **floats, NAME: np.empty(0, object)})

    def save(self, folder: Path) -> None:
        """Write everybody, what was learned of them, and the plan."""
        (folder / _BASIS).mkdir()
        self.basis.save(folder / _BASIS)
        told = {"plan": self.plan.to_json(), "seed": self.seed}
        (folder / "retrieve.json").write_text(json.dumps(told, indent=2), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote; people are mapped when they are first looked for."""
        told = json.loads((folder / "retrieve.json").read_text(encoding="utf-8"))
        return cls(Plan.from_json(told["plan"]), told["seed"], _opened(folder / _BASIS))

    def apart(self, folder: Path, mode: Mode = "c") -> tuple[Self, World]:
        """Return this stage over people of its own, which events may change, and their world."""
        basis = Basis.load(folder / _BASIS, mode)
        return replace(self, lazy=_Lazy(lambda: basis)), World(basis)


@dataclass(frozen=True, eq=False)
class PairFeatures:
    """Reads what a ranker reads of two people; a Featurize stage.

    Parameters
    ----------
    names
        All features, in the order of the matrix: `PAIR` and those of further profile numbers.
    mutual
        Whether the candidate's side is read as well.
    lazy
        The same people as the first stage's.
    """

    kind: ClassVar[str] = "pair_features"
    kind_version: ClassVar[int] = 1
    names: tuple[str, ...]
    mutual: bool
    lazy: _Lazy

    @classmethod
    def over(cls, retrieve: RetrievePeople, *, mutual: bool) -> Self:
        """Read of the people whom a stage finds."""
        extras = retrieve.basis.snapshot.people.words.extras
        return cls((*PAIR, *extra_names(extras)), mutual, retrieve.lazy)

    @property
    def versions(self) -> dict[str, int]:
        """What features were trained on; a version that reads others is not served by this one."""
        return {"pairs": 1}

    def needs(self, request: Columns) -> tuple[str, ...]:  # noqa: ARG002 — the stage's signature
        """Nothing keyed is read."""
        return ()

    def many(
        self,
        columns: Columns,
        state: State,  # noqa: ARG002 — the stage's signature
        at: datetime | None,
    ) -> Columns:
        """Return the candidates with their features, request by request."""
        world = self.lazy.world
        at_us = world.snapshot.until_us if at is None else microseconds(at)
        offsets = offsets_of(columns)
        matrix = np.empty((columns.n_rows, len(self.names)), np.float32)
        back = np.empty_like(matrix) if self.mutual else None
        for first, last in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
            if first == last:
                continue
            codes = columns[CANDIDATE][first:last]
            chooser = int(columns[CHOOSER][first])
            asker = Asked(id=None if chooser < 0 else world.register.ids([chooser])[0])
            quest = begin(world, asker, at_us, 0)
            there, other = self.of(quest, codes, columns[SOURCE][first:last])
            matrix[first:last] = there
            if back is not None:
                back[first:last] = other
        more = {MATRIX: matrix} | ({} if back is None else {BACK: back})
        return columns.with_columns(more)

    def one(self, quest: Quest, columns: Columns) -> Columns:
        """Return one request's candidates with their features."""
        there, back = self.of(quest, columns[CANDIDATE], columns[SOURCE])
        return columns.with_columns({MATRIX: there} | ({BACK: back} if self.mutual else {}))

    def of(self, quest: Quest, codes: IntArray, source: IntArray) -> tuple[Array, Array]:
        """Return features of candidates, and of the asker as the candidates would read them."""
        world, asker = quest.world, quest.side
        sides = world.sides(codes, quest.at_us)
        known = world.neighbours(quest.code, codes)
        there = pair_features(asker, sides, quest.at_us, known, source)
        if not self.mutual:
            return there, there
        return there, pair_features(sides, asker, quest.at_us, known, source)

    def save(self, folder: Path) -> None:
        """Write what is read."""
        told = {"names": list(self.names), "mutual": self.mutual}
        (folder / "features.json").write_text(json.dumps(told, indent=2), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote; people are those beside it."""
        told = json.loads((folder / "features.json").read_text(encoding="utf-8"))
        lazy = _opened(folder.parent / "retrieve" / _BASIS)
        return cls(tuple(told["names"]), told["mutual"], lazy)


def _columns(quest: Quest, found: Candidates) -> Columns:
    m, world = len(found.codes), quest.world
    names = np.empty(m, dtype=object)
    names[:] = world.register.ids(found.codes.tolist())
    return Columns(
        {
            CHOOSER: np.full(m, quest.code, np.int64),
            CANDIDATE: found.codes,
            NAME: names,
            SOURCE: found.source.astype(np.int64),
            BASE: found.base.astype(np.float64),
            POOL: np.full(m, found.pool),
            LOT: found.lot,
            SHOWN: world.counted.shown(found.codes, quest.at_us).astype(np.int64),
        }
    )
