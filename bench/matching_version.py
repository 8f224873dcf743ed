"""A matching version over generated people, with factors as their hidden tastes would give them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from promise.data.answer import Ranking
from promise.data.schema import Field, Schema
from promise.data.synthetic_people import Crowd, people_events, people_table
from promise.features.people_reading import read_people
from promise.models.factorization import FittedFactorization
from promise.models.factors import gram
from promise.models.row_blocks import row_blocks
from promise.models.short_vectors import ShortVectors, Vectors, vector_blocks
from promise.pipeline.artifact import FORMAT
from promise.pipeline.task import Task
from promise.state.files import digests, write_json
from promise.workloads.matching.content import WIDENING
from promise.workloads.matching.heuristic import by_affinity
from promise.workloads.matching.kinds import KINDS
from promise.workloads.matching.pick import PickPeople
from promise.workloads.matching.retrieve import Plan
from promise.workloads.matching.snapshot import SHORT_FROM, Basis, Snapshot
from promise.workloads.matching.stages import PairFeatures, RetrievePeople
from promise.workloads.matching.tables import Deeds

SIZE = 64


def write_version(folder: Path, crowd: Crowd) -> None:
    """Write a version folder that the server loads as any other."""
    snapshot = snapshot_of(crowd)
    retrieve = RetrievePeople.over(
        Basis.of(snapshot, factors(crowd, snapshot.likes.nnz)), Plan(rings=WIDENING)
    )
    featurize = PairFeatures.over(retrieve, mutual=True)
    stages = {
        "retrieve": retrieve, "featurize": featurize, "score": by_affinity(featurize.names),
        "decide": PickPeople(explored=2),
    }  # fmt: skip
    for name, stage in stages.items():
        home = folder / "weights" / name
        home.mkdir(parents=True)
        stage.save(home)
    request = Schema((Field("id", "category", role="id"), Field("limit", "number")))
    task = Task("matching", request, Ranking(), None, "recall_at_20")
    kinds = {name: {"kind": one.kind, "version": one.kind_version} for name, one in stages.items()}
    manifest = {
        "format": FORMAT, "stages": kinds, "task": task.to_json(), "views": {}, "lineage": {},
        "metrics": {}, "digests": digests(folder),
    }  # fmt: skip
    write_json(folder / "manifest.json", manifest)


def snapshot_of(crowd: Crowd) -> Snapshot:
    """Return everybody and what they did."""
    table = people_table(crowd)
    named = {"place": "city", "joined_at": "joined"}
    fields = ("id", "age", "place", "lat", "lon", "gender", "seeks", "interests", "joined_at")
    people = read_people({field: table[named.get(field, field)] for field in fields})
    return Snapshot.of(people, deeds_of(people_events(crowd)))


def deeds_of(events: pa.Table) -> Deeds:
    """Return generated events by row numbers; the ids tell them."""
    n = events.num_rows
    unknown = np.full(n, np.nan, dtype=np.float32)
    kinds = events["type"].combine_chunks().dictionary_encode()
    codes = np.array([KINDS.index(kind) for kind in kinds.dictionary.to_pylist()], dtype=np.int8)
    return Deeds(
        _rows(events["person"]), _rows(events["other"]), codes[kinds.indices.to_numpy()],
        events["at"].to_numpy().astype("datetime64[us]").astype(np.int64), unknown, unknown,
        np.full(n, -1, dtype=np.int32), np.arange(n),
    )  # fmt: skip


def factors(crowd: Crowd, n_yes: int) -> FittedFactorization:
    """Return factors by which everybody is near those of the bucket that they want."""
    rng = np.random.default_rng(crowd.seed)
    centres = rng.normal(size=(2 * crowd.circles, SIZE)).astype(np.float32) * 0.25
    choosers, chosen = (
        ShortVectors.of_blocks(_near(centres, own, rng), (crowd.people, SIZE))
        for own in (crowd.wants, crowd.bucket)
    )
    if crowd.people < SHORT_FROM:
        choosers, chosen = choosers[:], chosen[:]
    told = {"negatives": 4, "decay": 0.01, "n_yes": float(n_yes)}
    return FittedFactorization(choosers, chosen, _gram(choosers), _gram(chosen), told)


def _near(centres: np.ndarray, own: np.ndarray, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield everybody's vectors block by block: the centre of each, and some noise."""
    for rows in row_blocks(len(own)):
        near = centres[own[rows]]
        yield near + np.float32(0.1) * rng.standard_normal(near.shape, dtype=np.float32)


def _gram(vectors: Vectors) -> np.ndarray:
    return sum(gram(block) for block in vector_blocks(vectors))


def _rows(ids: pa.ChunkedArray) -> np.ndarray:
    return np.array([int(id[1:]) for id in ids.to_pylist()], dtype=np.int32)
