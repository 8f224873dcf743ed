"""What is known of everybody at one moment: profiles, who chose and blocked whom, activity."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from promise.data.columns import Array, FloatArray, IntArray
from promise.data.rows import even_rows
from promise.features.pairs import account_days, day_one, norms
from promise.features.people import People, mapped
from promise.features.people_activity import Activity, Encounters
from promise.features.people_ids import Roll
from promise.kernels.people_activity import GOT_YES
from promise.models.array_files import arrays_within, read_pages
from promise.models.collaborative import Recommended, Shortens, load_recommended
from promise.models.index import VectorIndex
from promise.models.interactions import Interactions
from promise.models.leading import leading
from promise.models.short_vectors import Vectors, vector_blocks
from promise.workloads.matching.arena import likes_of
from promise.workloads.matching.eligible import Layout
from promise.workloads.matching.identity import event_numbers, id_numbers
from promise.workloads.matching.kinds import BLOCK, IMPRESSION, is_decision, is_positive
from promise.workloads.matching.tables import Deeds

Mode = Literal["r", "c"] | None
MOST_POPULAR = 512
"""How many popular people of each group are kept."""
_ASKERS = 1_000
SHORT_FROM = 2_000_000
"""Of so many people or more, vectors take sixteen bits a number: half the memory, a bit slower."""
_TABLES = ("likes", "seen", "blocked", "ties")
_FILES = "files.npy"


def _no_files() -> Array:
    return np.empty(0, np.uint64)


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Everybody and everything they did until a moment.

    Parameters
    ----------
    likes
        Who says yes to whom, as they decided last, and how emphatically.
    seen
        Who decided on whom, or blocked them: they are not offered again.
    blocked
        Pairs of which either blocks the other, both ways.
    ties
        Likes without their direction.
    until_us
        Microseconds since 1970.
    number
        The last event of the log that is in it.
    files
        Numbers of the events that files told beside the log, ascending, see `identity`: uint64.
    """

    people: People
    roll: Roll
    layout: Layout
    likes: Interactions
    seen: Interactions
    blocked: Interactions
    ties: Interactions
    activity: Activity
    until_us: int
    number: int = 0
    files: Array = field(default_factory=_no_files)

    @property
    def n(self) -> int:
        """How many people there are."""
        return self.people.n

    @classmethod
    def of(
        cls,
        people: People,
        deeds: Deeds,
        *,
        until_us: int | None = None,
        number: int = 0,
        of_files: bool = False,
    ) -> Snapshot:
        """Take stock of a history; what somebody does to themselves is left out.

        Parameters
        ----------
        until_us
            The moment of the snapshot; None: just after the last deed.
        of_files
            Whether files told the deeds, so that a log may tell them again.
        """
        files = _numbers(people, deeds) if of_files else _no_files()
        deeds = deeds.take(deeds.chooser != deeds.chosen)
        a, b, kind = deeds.chooser, deeds.chosen, deeds.kind
        likes, block = likes_of(deeds, people.n), kind == BLOCK
        done = is_decision(kind) | block
        last = int(deeds.at_us.max()) + 1 if deeds.n else 0
        return cls(
            people=people,
            roll=people.roll(),
            layout=Layout.of(people),
            likes=likes,
            seen=_table(people.n, a[done], b[done]),
            blocked=_table(people.n, *_both_ways(a[block], b[block])),
            ties=_table(people.n, *_both_ways(likes.rows(), likes.others)),
            activity=Activity.of(people.n, encounters(a, b, kind, deeds.at_us)),
            until_us=last if until_us is None else until_us,
            number=number,
            files=files,
        )

    def save(self, folder: Path) -> None:
        """Write everything into an existing empty folder."""
        for name in ("people", "layout", *_TABLES, "activity"):
            home = folder / name
            home.mkdir()
            getattr(self, name).save(home)
        if len(self.files):
            np.save(folder / _FILES, self.files)
        told = {"until_us": self.until_us, "number": self.number}
        (folder / "snapshot.json").write_text(json.dumps(told), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, mode: Mode = "r") -> Snapshot:
        """Read back what `save` wrote, mapped; `"c"` lets this process alone change profiles."""
        told = json.loads((folder / "snapshot.json").read_text(encoding="utf-8"))
        people = People.load(folder / "people", mode)
        return cls(
            people=people,
            roll=Roll(people.ids, mapped(folder / "people" / "order.npy")),
            layout=Layout.load(folder / "layout"),
            activity=Activity.load(folder / "activity", mode),
            likes=_mapped_table(folder / "likes", people.n),
            seen=_mapped_table(folder / "seen", people.n),
            blocked=_mapped_table(folder / "blocked", people.n),
            ties=_mapped_table(folder / "ties", people.n),
            until_us=told["until_us"],
            number=told["number"],
            files=mapped(folder / _FILES) if (folder / _FILES).is_file() else _no_files(),
        )


@dataclass(frozen=True, eq=False)
class Basis:
    """A snapshot and what was learned from it: all that lists are found by.

    Parameters
    ----------
    source
        The collaborative source over the same people, or None on the first days.
    index
        Over the source's chosen vectors.
    norm, sparsity
        Of the vectors as chosen: float32 (n,).
    popular
        Codes of the most liked, active and complete of each group, best first, padded by -1:
        int32 (n_groups, at most `MOST_POPULAR`).
    """

    snapshot: Snapshot
    source: Recommended | None
    index: VectorIndex | None
    norm: FloatArray
    sparsity: FloatArray
    popular: IntArray

    @cached_property
    def interest_counts(self) -> list[int]:
        """How many people tell each interest: of the first of them, which is enough to rank by."""
        bits = np.ascontiguousarray(self.snapshot.people.interests[:10_000]).view(np.uint8)
        flags = np.unpackbits(bits, axis=1, bitorder="little")
        return [int(count) for count in flags.sum(axis=0)]

    @classmethod
    def of(
        cls, snapshot: Snapshot, source: Recommended | None = None, index: VectorIndex | None = None
    ) -> Basis:
        """Join a snapshot and its source; an index is built where none is given.

        Vectors of many people are shortened first, so that everything is made of what is served.
        """
        popular = most_popular(snapshot)
        if source is None:
            none = np.zeros(snapshot.n, np.float32)
            return cls(snapshot, None, None, none, none, popular)
        if snapshot.n >= SHORT_FROM and isinstance(source, Shortens):
            source = source.shortened()
        if index is None:
            index = VectorIndex.build(source.chosen, queries=askers(source, snapshot.likes))
        norm, sparsity = _norms(source.chosen)
        return cls(snapshot, source, index, norm, sparsity, popular)

    def read_pages(self, most_mb: float) -> float:
        """Read what is mapped from the disk, unless it is larger than so much; return its MiB."""
        index = None if self.index is None else self.index.snapshot
        parts = (self.snapshot, self.source, index, self.norm, self.sparsity, self.popular)
        return read_pages((one for part in parts for one in arrays_within(part)), most_mb)

    def save(self, folder: Path) -> None:
        """Write everything into an existing empty folder."""
        for name in ("snapshot", "source", "index"):
            if getattr(self, name) is not None:
                (folder / name).mkdir()
        self.snapshot.save(folder / "snapshot")
        if self.source is not None and self.index is not None:
            self.source.save(folder / "source")
            apart = not self.index.lies_over(self.source.chosen)
            self.index.save(folder / "index", vectors=apart)
        for name in ("norm", "sparsity", "popular"):
            np.save(folder / f"{name}.npy", getattr(self, name))

    @classmethod
    def load(cls, folder: Path, mode: Mode = "r") -> Basis:
        """Read back what `save` wrote, mapped."""
        has_source = (folder / "source").is_dir()
        source = load_recommended(folder / "source", mapped=True) if has_source else None
        index = None
        if source is not None:
            index = VectorIndex.load(folder / "index", vectors=source.chosen, mapped=True)
        return cls(
            Snapshot.load(folder / "snapshot", mode),
            source,
            index,
            mapped(folder / "norm.npy"),
            mapped(folder / "sparsity.npy"),
            mapped(folder / "popular.npy"),
        )


def askers(source: Recommended, likes: Interactions) -> FloatArray:
    """Return vectors as requests will bring them, evenly spread over those who like anybody."""
    rows = np.flatnonzero(likes.counts)
    asked: FloatArray = source.choosers[rows[even_rows(len(rows), _ASKERS)]]
    return asked


def most_popular(snapshot: Snapshot) -> IntArray:
    """Return whom each group is offered by while nothing is known of a person's taste.

    The score of day one, and as much again for the most liked, by the logarithm of their likes.
    """
    n, layout = snapshot.n, snapshot.layout
    facts = snapshot.activity.facts(np.arange(n), np.full(n, snapshot.until_us))
    days = account_days(snapshot.people.joined_us, snapshot.until_us)
    likes = np.log1p(snapshot.activity.counts[:, GOT_YES])
    scores = day_one(snapshot.people.completeness, facts[:, 2], days)
    scores = scores + likes / max(1.0, float(likes.max(initial=0)))
    edges = layout.cells[:: layout.n_places]
    widest = int(min(MOST_POPULAR, np.diff(edges).max(initial=0)))
    found = np.full((len(layout.group_gender), widest), -1, np.int32)
    for group in range(len(found)):
        codes = layout.order[edges[group] : edges[group + 1]]
        best = leading(scores[codes], min(widest, len(codes)))
        found[group, : len(best)] = codes[best]
    return found


def encounters(chooser: IntArray, chosen: IntArray, kind: IntArray, at_us: IntArray) -> Encounters:
    """Return what counts as activity: decisions and blocks; being shown somebody does not."""
    done = kind != IMPRESSION
    sign = np.where(is_positive(kind), 1, np.where(kind == BLOCK, 0, -1)).astype(np.int8)
    return Encounters(chooser[done], chosen[done], sign[done], at_us[done])


def _norms(vectors: Vectors) -> tuple[FloatArray, FloatArray]:
    """Return the length and sparsity of each vector, made block by block."""
    norm, sparsity = zip(*map(norms, vector_blocks(vectors)), strict=True)
    return np.concatenate(norm), np.concatenate(sparsity)


def _numbers(people: People, deeds: Deeds) -> Array:
    ids = id_numbers(people.ids.tolist())
    return np.unique(event_numbers(ids[deeds.chooser], ids[deeds.chosen], deeds.kind, deeds.at_us))


def _both_ways(a: IntArray, b: IntArray) -> tuple[IntArray, IntArray]:
    return np.concatenate([a, b]), np.concatenate([b, a])


def _table(n: int, a: IntArray, b: IntArray) -> Interactions:
    return Interactions.from_pairs(a, b, shape=(n, n))


def _mapped_table(folder: Path, n: int) -> Interactions:
    starts, others, weights = (mapped(folder / f"{x}.npy") for x in ("starts", "others", "weights"))
    return Interactions(starts, others, weights, n_chosen=n)
