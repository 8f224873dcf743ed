"""What `--set` says to the fraud workload, read once and refused in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from promise.errors import ConfigError, near
from promise.features.windows import duration_us
from promise.metrics.costs import Costs
from promise.models.smote import Smote

OPTIONS: Mapping[str, str] = {
    "label_delay": "how long labels take to become known, like 7d",
    "features": "standard (40 features) or wide (247)",
    "review_per_day": "most reviews a day, on average",
    "cost_review": "what one review costs",
    "cost_review_misses": "share of frauds that a review lets pass",
    "cost_loss_share": "share of its amount that an approved fraud costs",
    "cost_loss_fixed": "what an approved fraud costs beside",
    "cost_decline_share": "share of its amount that a declined good transaction costs",
    "cost_decline_fixed": "what a declined good transaction costs beside",
    "explore": "share of the declined that is approved by chance, so that labels become known",
    "explore_most": "largest amount that is approved so",
    "smote": "made-up frauds in the training part, as a share of the others; 0 for none",
    "train_rows": "most training rows; frauds are all kept",
}
"""Key to what it means."""


@dataclass(frozen=True)
class Terms:
    """How a fraud model is to be trained and what its decisions cost.

    Parameters
    ----------
    label_delay
        Rates of labels, gaps of the split and serving all wait so long.
    wide
        Many windows instead of few.
    review_per_day
        None: no bound.
    explore, explore_most
        Share of the declined that is approved by chance, up to this amount.
    smote
        None: the preset's.
    train_rows
        None: the preset's.
    """

    label_delay: str = "7d"
    wide: bool = False
    costs: Costs = field(default_factory=Costs)
    review_per_day: float | None = None
    explore: float = 0.0
    explore_most: float = math.inf
    smote: float | None = None
    train_rows: int | None = None

    @property
    def gap_s(self) -> float:
        """Seconds of the label delay."""
        return duration_us(self.label_delay) / 1e6


def terms_of(options: Mapping[str, str]) -> Terms:
    """Read the options of an order.

    Raises
    ------
    ConfigError
        When a key is unknown or a value cannot be read.

    Examples
    --------
    >>> terms = terms_of({"label_delay": "3d", "cost_review": "2.5"})
    >>> terms.label_delay, terms.costs.review, terms.review_per_day
    ('3d', 2.5, None)
    """
    unknown = [key for key in options if key not in OPTIONS]
    if unknown:
        raise ConfigError(
            f"--set {unknown[0]}: fraud does not know it; {near(unknown[0], OPTIONS)}"
        )
    delay = options.get("label_delay", "7d")
    if duration_us(delay) == 0:
        raise ConfigError(
            f"--set label_delay={delay}: a rate of labels without a delay would include the row "
            "itself; say how long labels take, like 7d."
        )
    features = options.get("features", "standard")
    if features not in ("standard", "wide"):
        raise ConfigError(f"--set features={features}: expected standard or wide.")
    costs = {
        key.removeprefix("cost_"): _number(key, text)
        for key, text in options.items()
        if key.startswith("cost_")
    }
    smote, most = options.get("smote"), options.get("train_rows")
    reviews = options.get("review_per_day")
    return Terms(
        label_delay=delay,
        wide=features == "wide",
        costs=Costs(**costs),
        review_per_day=None if reviews is None else _number("review_per_day", reviews),
        explore=_number("explore", options.get("explore", "0")),
        explore_most=_number("explore_most", options.get("explore_most", "inf")),
        smote=None if smote is None else _number("smote", smote),
        train_rows=None if most is None else max(1, int(_number("train_rows", most))),
    )


def smote_of(ratio: float) -> Smote | None:
    """Return how made-up rows are made, or None for none."""
    return Smote(ratio=ratio) if ratio else None


def _number(key: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not value >= 0:
        raise ConfigError(f"--set {key}={text}: expected a number ≥ 0.")
    return value
