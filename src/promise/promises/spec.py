"""What `promise.toml` declares of one model: promises, rollout, experiment, retraining."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Due = Literal["gate", "canary", "live"]
Action = Literal["rollback", "hold", "alert", "retrain"]

STAGES: tuple[Due, ...] = ("gate", "canary", "live")
"""The stages in which a promise can be due, in their order."""


@dataclass(frozen=True)
class Promise:
    """One declared objective.

    Parameters
    ----------
    key
        Its name within the model, e.g. `"speed"`.
    that
        What is measured: `request_errors`, `latency_p50|p95|p99`, `throughput`, `memory`, `psi`,
        a fairness measure, or a metric of the task.
    at_most, at_least
        The bound; exactly one of them is set. Latencies in milliseconds, memory in MiB,
        throughput in requests per second.
    warn
        A nearer bound that only warns; None for no warning.
    due
        The first stage in which it must be KEPT.
    on_break
        What follows when the evidence says BROKEN.
    of
        The column it is about, for fairness and for `psi` of one feature (or `"score"`).
    grace_s
        How long it may stay owed after promotion before the previous version is let go.
    """

    key: str
    that: str
    at_most: float | None = None
    at_least: float | None = None
    warn: float | None = None
    due: Due = "canary"
    on_break: tuple[Action, ...] = ("alert",)
    of: str | None = None
    grace_s: float = 7 * 86_400.0

    @property
    def bound(self) -> float:
        """The number that must not be crossed."""
        found = self.at_most if self.at_most is not None else self.at_least
        assert found is not None, "a promise has exactly one bound"
        return found

    def holds(self, value: float) -> bool:
        """Say whether a value is on the right side of the bound."""
        if self.at_most is not None:
            return value <= self.at_most
        return value >= self.bound

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary that `from_json` reads back.

        Examples
        --------
        >>> errors = Promise("errors", "request_errors", at_most=0.01, on_break=("rollback",))
        >>> Promise.from_json(errors.to_json()) == errors
        True
        """
        return {**asdict(self), "on_break": list(self.on_break)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Promise:
        """Rebuild a promise from `to_json`."""
        return cls(**{**data, "on_break": tuple(data["on_break"])})


@dataclass(frozen=True)
class RolloutPlan:
    """How a version goes live.

    Parameters
    ----------
    shadow
        Requests that it answers beside the live version, unseen, before it gets traffic.
    steps
        Percent of traffic, step by step; the last is 100.
    bake_s
        How long it serves everything before the version before it is let go.
    """

    shadow: int = 1000
    steps: tuple[int, ...] = (10, 25, 50, 100)
    bake_s: float = 3600.0

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary that `from_json` reads back.

        Examples
        --------
        >>> RolloutPlan.from_json(RolloutPlan(shadow=0).to_json())
        RolloutPlan(shadow=0, steps=(10, 25, 50, 100), bake_s=3600.0)
        """
        return {**asdict(self), "steps": list(self.steps)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> RolloutPlan:
        """Rebuild a plan from `to_json`."""
        return cls(**{**data, "steps": tuple(data["steps"])})


@dataclass(frozen=True)
class ModelFile:
    """Everything a `promise.toml` says of one model.

    Parameters
    ----------
    experiment
        Version to percent of traffic, lasting and apart from rollouts; empty for none.
    retrain
        As read: `every_rows`, `schedule`, `on_drift`.
    """

    name: str | None = None
    workload: str | None = None
    promises: tuple[Promise, ...] = ()
    rollout: RolloutPlan = field(default_factory=RolloutPlan)
    experiment: dict[int, float] = field(default_factory=dict)
    retrain: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary that `from_json` reads back.

        Examples
        --------
        >>> declared = ModelFile("churn", experiment={3: 50.0})
        >>> ModelFile.from_json(declared.to_json()) == declared
        True
        """
        return {
            "name": self.name,
            "workload": self.workload,
            "promises": [promise.to_json() for promise in self.promises],
            "rollout": self.rollout.to_json(),
            "experiment": {str(version): share for version, share in self.experiment.items()},
            "retrain": dict(self.retrain),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> ModelFile:
        """Rebuild what `to_json` gave; a part that is absent has its default."""
        return cls(
            name=data.get("name"),
            workload=data.get("workload"),
            promises=tuple(Promise.from_json(each) for each in data.get("promises", ())),
            rollout=RolloutPlan.from_json(data["rollout"]) if "rollout" in data else RolloutPlan(),
            experiment={int(v): float(share) for v, share in data.get("experiment", {}).items()},
            retrain=dict(data.get("retrain", {})),
        )
