"""What sets the presets apart: sources, shares, features, rankers and how rungs are climbed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from promise.features.pairs import PAIR
from promise.models.boosting import LightGBM
from promise.models.collaborative import Recommender
from promise.models.factorization import Factorization
from promise.models.graph_filter import GraphFilter
from promise.models.implicit import ImplicitFactors
from promise.models.linear import Linear
from promise.workloads.matching.content import WIDENING
from promise.workloads.matching.ranker import boosted, logistic, tuned_logistic
from promise.workloads.matching.reference import REFERENCE_FEATURES, REFERENCE_PLAN
from promise.workloads.matching.retrieve import Plan
from promise.workloads.matching.rules import Rule


@dataclass(frozen=True)
class RankerRung:
    """A rung that learns to rank: from how many decisions, and from how many people, on.

    Parameters
    ----------
    decisions, people, per_day
        Fewer do not carry it.
    """

    name: str
    estimator: Callable[[], Linear | LightGBM]
    decisions: int
    people: int = 0
    per_day: int = 0


@dataclass(frozen=True)
class Preset:
    """A named recipe.

    Parameters
    ----------
    sources
        Collaborative sources by name; the one that finds most is kept.
    plans
        How candidates may be divided among the sources; the plan that finds most is kept.
    features
        Which a ranker reads; the further numbers of profiles come beside them.
    extras
        Whether it reads the further numbers of profiles.
    rungs
        Rankers, from the simplest up.
    measured
        Whether a rung must beat the one below on people it has not seen; else counts decide.
    rules
        How both directions may be joined; the first is kept unless another finds more matches.
    explored
        Places of a list that are kept for chance.
    most_shown
        How often somebody is shown on one day at most.
    """

    name: str
    sources: Mapping[str, Callable[[], Recommender]]
    plans: tuple[Plan, ...]
    features: tuple[str, ...]
    extras: bool
    rungs: tuple[RankerRung, ...]
    measured: bool
    rules: tuple[Rule, ...] = ("one_sided",)
    explored: int = 0
    most_shown: int | None = None
    collaborative_from: int = 100


DEFAULT = Preset(
    name="default",
    sources={
        "graph_filter": lambda: GraphFilter(size=64),
        "implicit": lambda: ImplicitFactors(size=64),
        "factorization": Factorization,
        "implicit_128": lambda: ImplicitFactors(size=128),
        "graph_filter_256": lambda: GraphFilter(size=256),
    },
    plans=(
        Plan(collaborative=0.5, content=0.33, rings=WIDENING),
        Plan(collaborative=0.8, content=0.12, rings=WIDENING),
        Plan(collaborative=0.8, content=0.12, rings=WIDENING, by="history"),
    ),
    features=PAIR,
    extras=True,
    rungs=(
        RankerRung("logistic", tuned_logistic, decisions=1_000),
        RankerRung("boosted", boosted, decisions=2_000),
    ),
    measured=True,
    rules=("one_sided", "product", "harmonic"),
    explored=2,
)

REFERENCE = Preset(
    name="reference",
    sources={"factorization": Factorization},
    plans=(REFERENCE_PLAN,),
    features=REFERENCE_FEATURES,
    extras=False,
    rungs=(
        RankerRung("logistic", logistic, decisions=1_000),
        RankerRung("boosted", boosted, decisions=1_000, people=1_000_000, per_day=100_000),
    ),
    measured=False,
)

PRESETS = {preset.name: preset for preset in (DEFAULT, REFERENCE)}
