"""What can happen to a route: a deployment, a look at the evidence, a person's word."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from promise.promises.spec import ModelFile, RolloutPlan
from promise.promises.verdict import Verdict


@dataclass(frozen=True)
class Deploy:
    """A version passed (or, `forced`, skipped) the gate and is to go live."""

    version: int
    plan: RolloutPlan
    revision: int
    salt: str
    at: datetime
    owed: dict[str, datetime]
    forced: bool = False
    reason: str = ""


@dataclass(frozen=True)
class Look:
    """The evidence was judged: verdicts on the candidate, on the live version, and requests seen.

    Parameters
    ----------
    candidate, live
        Verdicts on this stage's evidence alone.
    requests
        Answered by the candidate since the stage began.
    kept
        Promises that were KEPT on the candidate before this stage: at the gate or in a step.
    experiment
        Verdicts on each version of a lasting experiment.
    """

    at: datetime
    declared: ModelFile
    candidate: tuple[Verdict, ...] = ()
    live: tuple[Verdict, ...] = ()
    requests: int = 0
    kept: frozenset[str] = frozenset()
    experiment: Mapping[int, tuple[Verdict, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class RollBack:
    """Somebody said: back to the version before.

    Parameters
    ----------
    to
        Where there is neither a candidate to drop nor a standby: the version to go back to.
    """

    at: datetime
    reason: str
    to: int | None = None


@dataclass(frozen=True)
class Hold:
    """Somebody said: stay where it is (or go on, with `held` false)."""

    at: datetime
    reason: str
    held: bool = True


@dataclass(frozen=True)
class Experiment:
    """Traffic is split lastingly; no shares end the experiment."""

    at: datetime
    split: dict[int, float]
    salt: str
    reason: str = ""


Event = Deploy | Look | RollBack | Hold | Experiment
