"""Which collaborative sources are tried, and how full rankings are cut to their first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

from promise.features.people_reading import read_people
from promise.job import Job
from promise.metrics.ranking import Wanted
from promise.models.interactions import Interactions
from promise.workloads.matching.arena import Arena, Requests, best
from promise.workloads.matching.kinds import LIKE
from promise.workloads.matching.snapshot import askers
from promise.workloads.matching.sources import Chosen, choose_source
from promise.workloads.matching.tables import Deeds

N, ASKING = 300, 60


@dataclass(frozen=True)
class Guess:
    """Ranks the wanted person of everybody first, for a share of the requests."""

    kind: str
    share: float = 0.0
    megabytes: float = 1.0
    choosers: Any = None
    fitted: ClassVar[Any] = None

    def fit(self, likes: Any, job: Job) -> Any:
        """Learn nothing."""
        return self

    def memory_mb(self, n: int, m: int, nnz: int) -> float:
        """Return what was said."""
        return self.megabytes

    def scores(self, rows: np.ndarray) -> np.ndarray:
        """Return 1 for the next person, where they are found at all; the others at random."""
        found = np.random.default_rng(1).random((len(rows), N)).astype(np.float32)
        knows = rows < self.share * ASKING
        found[np.arange(len(rows)), (rows + 1) % N] = np.where(knows, 2.0, -1.0)
        return found


def choose(options: dict[str, Any], **terms: Any) -> Chosen:
    """Choose for people who each want the next."""
    people = read_people({"id": [f"p{i}" for i in range(N)]})
    none, zeros = np.zeros(1, np.float32), np.zeros(1, np.int64)
    deeds = Deeds(
        zeros, zeros + N - 1, np.full(1, LIKE, np.int8), zeros, none, none, zeros - 1, zeros
    )
    rows = np.arange(ASKING)
    requests = Requests(rows, Wanted.of_pairs(rows, (rows + 1) % N, ASKING))
    return choose_source(options, Arena(people, deeds), requests, Job(**terms), lambda _: None)


def test_a_larger_source_of_a_kind_far_behind_is_not_tried() -> None:
    found = choose(
        {"a": Guess("good", 0.9), "b": Guess("poor", 0.1), "b_large": Guess("poor", 1.0)}
    )
    assert (found.name, [one.name for one in found.tried]) == ("a", ["a", "b"])
    assert "b_large was not tried: b is far behind" in found.told[0]


def test_a_larger_source_of_a_kind_near_the_leader_is_tried() -> None:
    found = choose(
        {"a": Guess("good", 0.9), "b": Guess("fair", 0.88), "b_large": Guess("fair", 1.0)}
    )
    assert found.name == "b_large"
    assert found.told == ()


@pytest.mark.parametrize(("bound", "refused"), [(None, True), (20_000.0, False)])
def test_a_source_that_takes_too_much_memory_is_not_tried(
    bound: float | None, refused: bool
) -> None:
    options = {"a": Guess("good", 0.5), "wide": Guess("wide", 1.0, megabytes=4_000)}
    found = choose(options, memory_mb=bound)
    assert found.name == ("a" if refused else "wide")
    assert [told.split(":")[0] for told in found.told] == ["wide was not tried"] * refused


def test_the_best_are_those_of_a_whole_sort_and_of_equals_the_first() -> None:
    rng = np.random.default_rng(3)
    scores = rng.integers(0, 40, (50, 700)).astype(np.float32)
    scores[rng.random(scores.shape) < 0.3] = -np.inf
    scores[0] = -np.inf
    scores[1, 5:] = -np.inf
    scores[2] = 1.0
    for k in (1, 7, 80, 700, 800):
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        kept = np.isfinite(np.take_along_axis(scores, order, axis=1))
        found = best(scores, k)
        assert found.shape == (50, k)
        assert np.array_equal(found[:, : order.shape[1]], np.where(kept, order, -1))
        assert (found[:, order.shape[1] :] == -1).all()


def test_an_index_is_measured_with_those_who_chose_somebody() -> None:
    choosers = np.arange(10_000, dtype=np.float32).reshape(5_000, 2)
    even = np.arange(0, 5_000, 2)
    likes = Interactions.from_pairs(even, even + 1, shape=(5_000, 5_000))
    asked = askers(Guess("any", choosers=choosers), likes)  # type: ignore[arg-type]
    assert asked.shape == (1_000, 2)
    assert not (asked[:, 0] % 4).any()
    assert asked[-1, 0] > 9_900
