"""How long a fit will take, learned from the fits before it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

GROWTH = 1.05
"""Fits take a little more than proportionally longer on more rows."""

DOUBT = 1.3
"""A configuration not seen before may be slower than its family's median."""

FIRST_S = {
    "baseline": 0.02,
    "linear": 0.3,
    "decision_tree": 0.1,
    "random_forest": 2.0,
    "xgboost": 1.0,
    "lightgbm": 0.7,
    "mlp": 2.0,
    "lstm": 10.0,
}
"""Seconds for 10,000 rows × 20 columns and two classes, before a family's first fit."""


@dataclass
class Pace:
    """Seconds per fit, by candidate and by family, scaled by rows.

    Examples
    --------
    >>> pace = Pace(n_columns=20, n_classes=2)
    >>> pace.learn("lightgbm", "a", rows=1000, seconds=2.0)
    >>> round(pace.seconds("lightgbm", "a", rows=1000), 1)
    2.0
    >>> round(pace.seconds("lightgbm", "b", rows=1000), 1)
    2.6
    """

    n_columns: int
    n_classes: int
    seen: dict[str, list[tuple[str, int, float]]] = field(default_factory=dict)

    def learn(self, family: str, key: str, *, rows: int, seconds: float) -> None:
        """Note how long a fit took."""
        self.seen.setdefault(family, []).append((key, rows, seconds))

    def known(self, family: str) -> bool:
        """Whether a fit of this family has been timed."""
        return family in self.seen

    def seconds(self, family: str, key: str, *, rows: int) -> float:
        """Expect a fit's seconds: by its own pace, its family's, or a first guess."""
        seen = self.seen.get(family, [])
        own = [scaled(s, rows, n) for k, n, s in seen if k == key]
        if own:
            return max(own)
        if seen:
            return DOUBT * float(np.median([scaled(s, rows, n) for _, n, s in seen]))
        cells = rows / 10_000 * (0.3 + 0.7 * self.n_columns / 20)
        trees = max(1, self.n_classes - 1) if family in ("lightgbm", "xgboost") else 1
        return FIRST_S.get(family, 2.0) * cells * trees


def scaled(seconds: float, rows: int, seen_rows: int) -> float:
    """Carry a duration over to another number of rows; a fit has some fixed cost."""
    fixed = min(seconds, 0.05)
    ratio: float = (rows / max(1, seen_rows)) ** GROWTH
    return fixed + (seconds - fixed) * ratio
