"""From a heuristic to boosted trees, each rung only where it is carried by data and by a win."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from promise.data.columns import FloatArray
from promise.metrics.ranking import Estimate, mean_difference, mean_estimate

METRIC_OF_RUNGS = "ndcg_at_20"


@dataclass(frozen=True)
class Rung:
    """One rung and what it was worth on people that it had not learned from.

    Parameters
    ----------
    needs
        What carries it, in words.
    carried
        Whether there is enough.
    scores
        `METRIC_OF_RUNGS` of each request; None where it was not tried.
    """

    name: str
    needs: str
    carried: bool
    scores: FloatArray | None = None


@dataclass(frozen=True)
class Climbed:
    """What became of one rung."""

    rung: Rung
    score: Estimate | None
    gain: Estimate | None
    reached: bool
    why: str

    def to_json(self) -> dict[str, Any]:
        """Return it JSON-ready."""
        return {
            "rung": self.rung.name,
            "needs": self.rung.needs,
            METRIC_OF_RUNGS: None if self.score is None else self.score.to_json(),
            "gain": None if self.gain is None else self.gain.to_json(),
            "climbed": self.reached,
            "why": self.why,
        }


def climb(rungs: list[Rung], *, measured: bool, seed: int) -> tuple[list[Climbed], str]:
    """Go up while data carry the next rung and, where measured, it beats the one reached.

    Returns
    -------
    What became of each rung, and the name of the highest that was reached. A rung that ties with
    the one reached is not climbed; one above it may still be.

    Examples
    --------
    >>> import numpy as np
    >>> low, high = np.full(50, 0.1), np.full(50, 0.3)
    >>> rungs = [Rung("heuristic", "", True, low), Rung("logistic", "", True, high)]
    >>> climb(rungs, measured=True, seed=7)[1]
    'logistic'
    """
    told: list[Climbed] = []
    reached = rungs[0]
    for rung in rungs:
        score = None if rung.scores is None else mean_estimate(rung.scores, seed=seed)
        gain = None
        if rung is not reached and rung.scores is not None and reached.scores is not None:
            gain = mean_difference(rung.scores, reached.scores, seed=seed)
        up, why = _verdict(rung, reached, gain, measured)
        told.append(Climbed(rung, score, gain, up, why))
        reached = rung if up else reached
    return told, reached.name


def _verdict(rung: Rung, reached: Rung, gain: Estimate | None, measured: bool) -> tuple[bool, str]:
    if rung is reached:
        return True, "the first rung"
    if not rung.carried:
        return False, f"there is not enough: it needs {rung.needs}"
    if not measured:
        return True, f"there is {rung.needs}"
    if gain is None:
        return False, "it could not be measured"
    by = f"{gain.value:+.4f} ({gain.low:+.4f} to {gain.high:+.4f}) over {reached.name}"
    if gain.low > 0:
        return True, f"it is better by {by}"
    return False, f"it {'ties' if gain.high >= 0 else 'loses'}: {by}"
