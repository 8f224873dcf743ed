"""Decide what to do: approve, review or decline, by thresholds or by what each would cost."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from promise.data.answer import Decision, answer_from_json, answer_to_json
from promise.data.columns import Array, Columns, FloatArray
from promise.errors import ArtifactError, ConfigError
from promise.features.keyed import VIEW
from promise.metrics.costs import (
    APPROVE,
    DECLINE,
    NEVER,
    Costs,
    Cuts,
    cheapest_cuts,
    review_price,
)
from promise.models.blend import matrix_column
from promise.models.reasons import Reason, Reasons
from promise.pipeline.decision_rules import Cheapest, one_action, rule_from_json, rule_to_json
from promise.pipeline.exploration import Exploration
from promise.pipeline.policy import PREDICTION

__all__ = ["Cheapest", "DecisionPolicy", "Exploration"]

SCORE = "score"
PROPENSITY = "propensity"
EXPLORED = "explored"
REASONS = "reasons"
_STEPS = 1001


@dataclass(frozen=True)
class DecisionPolicy:
    """Turns calibrated chances of fraud into actions, and says how likely each action was.

    Parameters
    ----------
    answer
        Names the three actions, mildest first.
    rule
        Two thresholds, or the cheapest action by amount.
    amount
        The column with the money at stake; thresholds without exploration need none.
    exploration
        A random slice of declined rows is approved; None: none.
    reasons
        Names what raised scores that somebody will ask about; None: nothing is named.
    words
        What each of its codes means, in words.

    Raises
    ------
    ConfigError
        When there are not three actions, or the rule needs an amount that no column is named for.

    Examples
    --------
    >>> policy = DecisionPolicy()
    >>> output = np.array([[0.9, 0.1], [0.5, 0.5], [0.2, 0.8]])
    >>> policy.many(Columns({}), output)["prediction"]
    array(['approve', 'review', 'decline'], dtype=object)
    """

    kind: ClassVar[str] = "decision"
    kind_version: ClassVar[int] = 1
    answer: Decision = field(default_factory=Decision)
    rule: Cuts | Cheapest = field(default_factory=Cuts)
    amount: str | None = None
    exploration: Exploration | None = None
    reasons: Reasons | None = None
    words: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.answer.actions) != 3:
            raise ConfigError(
                "this policy chooses among three actions, mildest first (approve, review, "
                f"decline); got {self.answer.actions!r}."
            )
        if self.amount is None and (isinstance(self.rule, Cheapest) or self.exploration):
            raise ConfigError(
                "costs and exploration depend on the money at stake: name its column in `amount`."
            )

    def many(self, columns: Columns, output: Array) -> Columns:
        """Return `prediction`, `score`, `propensity` and `explored`, row for row.

        Parameters
        ----------
        columns
            Read for the amount, where it explores for the event's key, and where it gives reasons
            for the matrix of the keyed features.
        output
            Calibrated probabilities (n, 2), or chances of fraud (n,).

        Returns
        -------
        Columns
            `propensity` is the chance with which this policy took the action shown. Rows whose
            label is known because they were approved weigh 1 / propensity. With `reasons` also
            these: for each row a list of feature, contribution and words.
        """
        score: FloatArray = np.asarray(output, dtype=np.float64)
        score = score[:, 1] if score.ndim == 2 else score
        amount = np.full(len(score), np.nan) if self.amount is None else columns[self.amount]
        if isinstance(self.rule, Cuts):
            actions = self.rule.actions(score)
        else:
            actions = self.rule.actions(score, amount)
        explored: Array = np.zeros(len(score), dtype=bool)
        propensity: FloatArray = np.ones(len(score))
        if self.exploration is not None:
            keys = columns[self.exploration.key]
            explored, propensity = self.exploration.drawn(keys, amount, actions == DECLINE)
        names = np.array(self.answer.actions, dtype=object)
        found = {
            PREDICTION: names[np.where(explored, APPROVE, actions)],
            SCORE: score,
            PROPENSITY: propensity,
            EXPLORED: explored,
        }
        if self.reasons is not None:
            told = np.empty(len(score), dtype=object)
            told[:] = self._reasons(columns[matrix_column(VIEW)], score)
            found[REASONS] = told
        return Columns(found)

    def one(
        self,
        score: float,
        amount: float | None = None,
        key: object = None,
        matrix: FloatArray | None = None,
    ) -> dict[str, Any]:
        """Answer one row by plain numbers, with the digits of `many`.

        Parameters
        ----------
        matrix
            Keyed features (1, n_features), float32; read for reasons.
        """
        answer = self._decided(score, amount, key)
        if self.reasons is not None:
            answer[REASONS] = []
            if matrix is not None and score >= self.reasons.least_score:
                answer[REASONS] = self._reasons(matrix, np.array([score]))[0]
        return answer

    def _reasons(self, matrix: Array, score: Array) -> list[list[dict[str, Any]]]:
        assert self.reasons is not None, "asked only where there are any"
        return [[self._told(one) for one in row] for row in self.reasons.many(matrix, score)]

    def _told(self, reason: Reason) -> dict[str, Any]:
        words = self.words.get(reason.code, reason.code)
        return {"feature": reason.code, "contribution": reason.contribution, "words": words}

    def _decided(self, score: float, amount: float | None, key: object) -> dict[str, Any]:
        money = math.nan if amount is None else amount
        code = one_action(self.rule, score, money)
        explored, propensity = False, 1.0
        if self.exploration is not None and code == DECLINE:
            explored, propensity = self.exploration.one(key, money)
        action = self.answer.actions[APPROVE if explored else code]
        return {PREDICTION: action, SCORE: score, PROPENSITY: propensity, EXPLORED: explored}

    def chosen(
        self,
        score: Array,
        amount: Array,
        costs: Costs,
        *,
        days: float = 1.0,
        capacity_per_day: float | None = None,
    ) -> Self:
        """Return this policy with its rule chosen anew on a calibrated block of later rows.

        The kind of rule stays: thresholds become the cheapest pair, found exactly; the cheapest
        action gets the price that keeps reviews to their capacity.

        Parameters
        ----------
        score, amount
            Calibrated chances of fraud (n,) and amounts (n,; missing ones count as the mean).
        days
            Length of the block.
        capacity_per_day
            Most reviews per day, on average over the block; None: no bound.
        """
        known = np.isfinite(amount)
        usual = float(amount[known].mean()) if known.any() else 0.0
        money = np.where(known, amount, usual)
        if isinstance(self.rule, Cuts):
            cuts = cheapest_cuts(score, money, costs, days=days, capacity_per_day=capacity_per_day)
            return replace(self, rule=cuts)
        price = review_price(score, money, costs, days=days, capacity_per_day=capacity_per_day)
        return replace(self, rule=Cheapest(costs, price, usual))

    @property
    def acts_from(self) -> float:
        """The score from which a row is not simply let through; by costs, at the usual amount.

        Examples
        --------
        >>> DecisionPolicy().acts_from
        0.2
        >>> DecisionPolicy(rule=Cheapest(Costs(review=4.0), 0.0, 40.0), amount="eur").acts_from
        0.101
        """
        if isinstance(self.rule, Cuts):
            return self.rule.review
        chances = np.linspace(0.0, 1.0, _STEPS)
        acts = self.rule.actions(chances, np.full(_STEPS, self.rule.usual_amount)) != APPROVE
        return float(chances[acts][0]) if acts.any() else NEVER

    def extras(self) -> dict[str, Any]:
        """Return the JSON schema of what stands beside the action."""
        share = {"type": "number", "minimum": 0, "maximum": 1}
        return {
            **({} if self.reasons is None else {REASONS: self._reasons_schema()}),
            SCORE: {**share, "description": "Calibrated chance of fraud."},
            PROPENSITY: {**share, "description": "Chance with which the policy acts so here."},
            EXPLORED: {
                "type": "boolean",
                "description": "Approved by chance, so that its label becomes known.",
            },
        }

    def _reasons_schema(self) -> dict[str, Any]:
        assert self.reasons is not None, "asked only where there are any"
        fidelity = self.reasons.fidelity
        how = "exact" if fidelity.exact else "those of a small model that follows the score"
        near = "" if fidelity.r2 is None else f" (R² {fidelity.r2:.2f} of its log-odds)"
        return {
            "type": "array",
            "description": (
                f"What raised a score of {self.reasons.least_score:g} or more, on the log-odds; "
                f"{how}{near}."
            ),
            "items": {
                "type": "object",
                "properties": {
                    "feature": {"type": "string"},
                    "contribution": {"type": "number"},
                    "words": {"type": "string"},
                },
            },
        }

    def to_json(self) -> dict[str, Any]:
        """Return the policy as `policy.json` shows it."""
        return {
            "answer": answer_to_json(self.answer),
            "rule": rule_to_json(self.rule),
            "acts_from": self.acts_from,
            "amount": self.amount,
            "exploration": None if self.exploration is None else vars(self.exploration),
            "reasons": None if self.reasons is None else self.reasons.fidelity.to_json(),
            "words": dict(self.words),
        }

    def save(self, folder: Path) -> None:
        """Write the policy as JSON."""
        (folder / "policy.json").write_text(json.dumps(self.to_json()), encoding="utf-8")
        if self.reasons is not None:
            (folder / REASONS).mkdir()
            self.reasons.save(folder / REASONS)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote."""
        data = json.loads((folder / "policy.json").read_text(encoding="utf-8"))
        answer, explored = answer_from_json(data["answer"]), data["exploration"]
        if not isinstance(answer, Decision):
            raise ArtifactError(f"the decision policy cannot answer {answer!r}.")
        return cls(
            answer=answer,
            rule=rule_from_json(data["rule"]),
            amount=data["amount"],
            exploration=None if explored is None else Exploration(**explored),
            reasons=Reasons.load(folder / REASONS) if data.get("reasons") is not None else None,
            words=data.get("words", {}),
        )
