"""Features that see what events turned out to be, once that is known: each has to wait for it."""

from __future__ import annotations

from typing import Literal

from promise.features.declared import (
    LABEL,
    Declared,
    refuse_cap,
    refuse_empty,
    refuse_smoothing,
    refuse_undelayed,
)


class Rate(Declared, frozen=True):
    """Share of positives, (positives + prior × smoothing) / (known + smoothing).

    The window is [t − delay − w, t − delay). For `label` only labels that came in before and have
    `known_at` ≤ t are seen; for other fields a number above 0 is a positive.

    Parameters
    ----------
    delay
        How long labels need. A label has to have one: without, its window could include the
        current row.
    prior, smoothing
        The rate that an unknown entity has, and how many events it weighs. With smoothing 0 the
        rate of an unknown entity is missing.
    unlabelled
        `"left_out"` counts known labels only; `"negative"` takes events of the window whose label
        is not known for negatives (where only positives are ever reported).

    Raises
    ------
    ConfigError
        When a label has no delay, or a number is out of its range.

    Examples
    --------
    >>> Rate("label", "30d")
    Traceback (most recent call last):
    ...
    promise.errors.ConfigError: Rate('label', '30d') could include the current row: give the time \
that labels need, like delay='7d'
    """

    field: str
    window: str
    delay: str = "0s"
    prior: float = 0.0
    smoothing: float = 0.0
    unlabelled: Literal["left_out", "negative"] = "left_out"

    def __post_init__(self) -> None:
        refuse_empty(self.window)
        if self.field == LABEL:
            refuse_undelayed(self.delay, f"Rate('label', {self.window!r})")
        refuse_smoothing(self.prior, self.smoothing)


class NeighbourRate(Declared, frozen=True):
    """Share of this node's counterparts that turned out positive here, smoothed like `Rate`.

    Each counterpart counts once, however many events it had: one that fell to fraud on this
    device makes one positive neighbour. The window is [t − delay − w, t − delay).

    Parameters
    ----------
    field
        The role of the counterparts, like `entity` for a device.
    cap
        Bounded fan-out: only the window's newest `cap` known labels are looked at.
    """

    field: str
    window: str
    delay: str
    prior: float = 0.0
    smoothing: float = 0.0
    cap: int = 256

    def __post_init__(self) -> None:
        refuse_empty(self.window)
        refuse_cap(self.cap)
        refuse_undelayed(self.delay, f"NeighbourRate({self.field!r})")
        refuse_smoothing(self.prior, self.smoothing)


class PositiveStreak(Declared, frozen=True):
    """How many of the window's newest known labels are positives without a break.

    The window is [t − delay − w, t − delay), and labels are seen as by `Rate`. It tells an entity
    that fell, and is since then used for fraud alone, from one that is often hit.
    """

    window: str
    delay: str

    def __post_init__(self) -> None:
        refuse_empty(self.window)
        refuse_undelayed(self.delay, "PositiveStreak()")


OfLabels = NeighbourRate | PositiveStreak
"""Features of known labels and nothing else."""
