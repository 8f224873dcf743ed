"""Score stage: the rung that was chosen, one learner or the mean of two, calibrated."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

from promise.data.columns import Array, Columns, FloatArray
from promise.errors import ArtifactError, near
from promise.workloads.articles.chances import Chances, log_odds_of
from promise.workloads.articles.group_learners import OfBoostedGroups, OfGroups
from promise.workloads.articles.learners import Learner, OfTerms, OfVectors

LEARNERS: dict[str, type[Learner]] = {
    kind.kind: kind for kind in (OfTerms, OfVectors, OfGroups, OfBoostedGroups)
}
"""Kind to what loads it."""


def learner_of(kind: str) -> type[Learner]:
    """Return the learner of a kind."""
    if kind not in LEARNERS:
        raise ArtifactError(f"there is no learner {kind!r} of articles; {near(kind, LEARNERS)}")
    return LEARNERS[kind]


@dataclass(frozen=True, eq=False)
class Member:
    """A learner with how its margins become probabilities.

    Parameters
    ----------
    way
        What it is called on the ladder.
    """

    way: str
    learner: Learner
    chances: Chances


@dataclass(frozen=True, eq=False)
class ArticleScore:
    """Averages the members' probabilities and calibrates the mean.

    Parameters
    ----------
    last
        Calibrates the mean of several members; its margins are the mean's log-odds.
    """

    kind: ClassVar[str] = "article_score"
    kind_version: ClassVar[int] = 1
    members: tuple[Member, ...]
    last: Chances | None = None

    @property
    def n_features(self) -> int:
        """How many numbers are made of an article."""
        return sum(member.learner.n_features for member in self.members)

    @property
    def reads_source(self) -> bool:
        """Whether a member must know who published an article."""
        return any(member.learner.reads_source for member in self.members)

    def many(self, columns: Columns) -> Array:
        """Return probabilities, float64 (n, k)."""
        shares = [m.chances.of(m.learner.margins(columns)) for m in self.members]
        return blended(shares, self.last)

    def one(self, columns: Columns, text: str) -> FloatArray:
        """Return the probabilities of one article, float64 (1, k), with the digits of `many`.

        Parameters
        ----------
        columns
            The cleaned article; `text` is the whole of it.
        """
        shares = []
        for member in self.members:
            learner = member.learner
            if isinstance(learner, OfTerms):
                found = learner.margins_one(text)
            else:
                found = learner.margins(columns)
            shares.append(member.chances.of(found))
        return blended(shares, self.last)

    def save(self, folder: Path) -> None:
        """Write the members, each into a folder of its own."""
        told = []
        for place, member in enumerate(self.members):
            home = folder / f"member-{place}"
            home.mkdir()
            member.learner.save(home)
            told.append(
                {
                    "way": member.way,
                    "kind": member.learner.kind,
                    "chances": member.chances.to_json(),
                }
            )
        last = None if self.last is None else self.last.to_json()
        text = json.dumps({"members": told, "last": last}, indent=2)
        (folder / "members.json").write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote."""
        told = json.loads((folder / "members.json").read_text(encoding="utf-8"))
        members = tuple(
            Member(
                one["way"],
                learner_of(one["kind"]).load(folder / f"member-{place}"),
                Chances.from_json(one["chances"]),
            )
            for place, one in enumerate(told["members"])
        )
        return cls(members, None if told["last"] is None else Chances.from_json(told["last"]))


def blended(shares: list[FloatArray], last: Chances | None) -> FloatArray:
    """Return the mean of several probabilities, calibrated."""
    if len(shares) == 1:
        return shares[0]
    total = shares[0]
    for share in shares[1:]:
        total = total + share
    mean = total / len(shares)
    return mean if last is None else last.of(log_odds_of(mean, last.lines is not None))
