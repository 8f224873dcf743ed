"""Who answers for a name at one moment, and what such a route must never be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from promise.errors import ConfigError
from promise.promises.spec import RolloutPlan
from promise.state.moments import from_text, maybe_moment, maybe_text, to_text

Stage = Literal["empty", "steady", "shadow", "canary", "bake"]

BUCKETS = 10_000
"""Traffic is dealt into so many buckets by a hash of the entity."""


@dataclass(frozen=True)
class Route:
    """Who answers for a name, at one moment.

    Parameters
    ----------
    live
        The version that users get; None before the first deployment.
    standby
        The version before it, kept loaded so that a rollback needs no fetch; None once let go.
    candidate
        The version that is on its way, with its `stage`; None while steady.
    step
        Position in `plan.steps` during the canary.
    share
        Buckets (of 10,000) whose traffic the candidate answers.
    salt
        Makes this rollout's assignment of entities to buckets its own.
    since
        When this stage began: evidence from before it does not count.
    held
        Why it does not advance, when somebody or a promise said hold; empty otherwise.
    plan, revision
        Of this rollout: its steps, and the revision of the promises that gated it.
    owed
        Promises that the live version still owes a first verdict, each with the time when its
        grace ends.
    experiment
        Version to buckets, lasting; the live version gets the rest.
    """

    name: str
    stage: Stage = "empty"
    live: int | None = None
    standby: int | None = None
    candidate: int | None = None
    step: int = 0
    share: int = 0
    salt: str = ""
    since: datetime | None = None
    held: str = ""
    plan: RolloutPlan = field(default_factory=RolloutPlan)
    revision: int = 0
    owed: dict[str, datetime] = field(default_factory=dict)
    experiment: dict[int, int] = field(default_factory=dict)

    @property
    def loaded(self) -> tuple[int, ...]:
        """Every version that must be ready to answer."""
        known = (self.live, self.standby, self.candidate, *self.experiment)
        return tuple(dict.fromkeys(v for v in known if v is not None))

    def role(self, version: int) -> str | None:
        """Say what a version does here: `live`, `standby`, its stage, `experiment` or None.

        Examples
        --------
        >>> Route("churn", stage="canary", live=1, candidate=2).role(2)
        'canary'
        """
        if version == self.live:
            return "live"
        if version == self.candidate:
            return self.stage
        if version == self.standby:
            return "standby"
        return "experiment" if version in self.experiment else None

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary that `from_json` reads back.

        Examples
        --------
        >>> route = Route("churn", stage="steady", live=2, experiment={3: 5000})
        >>> Route.from_json(route.to_json()) == route
        True
        """
        return {
            **vars(self),
            "since": maybe_text(self.since),
            "plan": self.plan.to_json(),
            "owed": {key: to_text(until) for key, until in self.owed.items()},
            "experiment": {str(version): share for version, share in self.experiment.items()},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Route:
        """Rebuild a route from `to_json`."""
        read = {
            "since": maybe_moment(data["since"]),
            "plan": RolloutPlan.from_json(data["plan"]),
            "owed": {key: from_text(until) for key, until in data["owed"].items()},
            "experiment": {int(version): share for version, share in data["experiment"].items()},
        }
        return cls(**{**data, **read})


def check_route(before: Route, after: Route) -> None:
    """Refuse a route that must never be: this holds at every commit.

    From the first promotion on there is exactly one live version; no version has two roles; a
    candidate is there exactly while one is on its way; shares fit the buckets.

    Examples
    --------
    >>> check_route(Route("churn"), Route("churn", stage="steady", live=1))
    """
    alone = [v for v in (after.live, after.standby, after.candidate) if v is not None]
    dealt = (after.share, *after.experiment.values())
    rules = {
        "without a live version nothing else is loaded": after.live is not None
        or not after.loaded,
        "a name that was live stays live": before.live is None or after.live is not None,
        "it is empty without a live version": (after.stage == "empty") == (after.live is None),
        "no version has two roles": len(set(alone)) == len(alone),
        "a candidate is there while one is on its way": (after.candidate is not None)
        == (after.stage in ("shadow", "canary", "bake")),
        f"shares lie between 0 and {BUCKETS}": min(dealt) >= 0 and sum(dealt[1:]) <= BUCKETS
        and after.share <= BUCKETS,
    }  # fmt: skip
    broken = [rule for rule, holds in rules.items() if not holds]
    if broken:
        raise ConfigError(
            f"the route of {after.name} cannot be (stage {after.stage}, live {after.live}, standby "
            f"{after.standby}, candidate {after.candidate}): {'; '.join(broken)}."
        )
