"""From margins to probabilities that mean what they say, for classes and for several labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from promise.data.columns import Array, FloatArray
from promise.kernels.calibrating import fit_platt, fit_temperature
from promise.kernels.dense import sigmoid, softmax

_OWN_LINE = 10
"""A label has a line of its own from so many articles with it and as many without."""

_CUTS = np.linspace(0.05, 0.95, 91)


@dataclass(frozen=True)
class Chances:
    """How margins become probabilities: a temperature, or a line for each label.

    Parameters
    ----------
    temperature
        Of classes; margins are divided by it.
    lines
        Of labels: slope and offset of each one's log-odds. None for classes.

    Examples
    --------
    >>> Chances(temperature=1.0).of(np.array([[0.0, 0.0]]))
    array([[0.5, 0.5]])
    """

    temperature: float = 1.0
    lines: tuple[tuple[float, float], ...] | None = None

    def of(self, margins: FloatArray) -> FloatArray:
        """Return probabilities (n, k): of classes they sum to one, of labels each is its own."""
        if self.lines is None:
            return np.asarray(softmax(margins / self.temperature), dtype=np.float64)
        slopes, offsets = np.array(self.lines).T
        return np.asarray(sigmoid(margins * slopes + offsets), dtype=np.float64)

    @classmethod
    def fit(cls, margins: FloatArray, truth: Array, *, several: bool) -> Self:
        """Learn from margins of articles that were not learned from (Guo 2017; Platt 1999)."""
        if not several:
            shares = softmax(margins)
            return cls(temperature=fit_temperature(shares, truth.argmax(axis=1)))
        pooled = _line(margins.ravel(), truth.ravel())
        lines = []
        for code in range(truth.shape[1]):
            n = int(truth[:, code].sum())
            own = min(n, len(truth) - n) >= _OWN_LINE
            lines.append(_line(margins[:, code], truth[:, code]) if own else pooled)
        return cls(lines=tuple(lines))

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready description."""
        lines = None if self.lines is None else [list(line) for line in self.lines]
        return {"temperature": self.temperature, "lines": lines}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Read back what `to_json` wrote."""
        lines = data["lines"]
        return cls(data["temperature"], None if lines is None else tuple(map(tuple, lines)))


def _line(margins: FloatArray, truth: Array) -> tuple[float, float]:
    if truth.all() or not truth.any():
        return 1.0, 0.0
    positive = sigmoid(margins)
    slope, offset = fit_platt(np.stack([1.0 - positive, positive], axis=1), truth)
    return max(slope, 1e-3), offset


def log_odds_of(shares: FloatArray, several: bool) -> FloatArray:
    """Return the margins that these probabilities stand for."""
    kept = np.clip(shares, 1e-9, 1.0 - 1e-9)
    odds: FloatArray = np.log(kept) - np.log1p(-kept) if several else np.log(kept)
    return odds


def label_multipliers(shares: FloatArray, truth: Array) -> tuple[float, ...]:
    """Return what each label's probability is multiplied by before one half decides.

    The threshold behind it makes the label's F1 best on articles that were not learned from; labels
    with few articles share the one that is best for all.

    Examples
    --------
    >>> shares = np.repeat([[0.2], [0.3], [0.4], [0.1]], 10, axis=0)
    >>> truth = shares >= 0.3
    >>> 0.2 < 0.5 / label_multipliers(shares, truth)[0] <= 0.3
    True
    """
    pooled = _cut(shares.ravel(), truth.ravel())
    found = []
    for code in range(shares.shape[1]):
        n = int(truth[:, code].sum())
        own = min(n, len(truth) - n) >= _OWN_LINE
        found.append(0.5 / (_cut(shares[:, code], truth[:, code]) if own else pooled))
    return tuple(found)


def _cut(shares: FloatArray, truth: Array) -> float:
    """Return the threshold of the best F1, averaged over its neighbours."""
    given = shares[None, :] >= _CUTS[:, None] if len(shares) * len(_CUTS) < 2e7 else None
    if given is None:
        given = shares[None, :: len(shares) // 200_000 + 1] >= _CUTS[:, None]
        truth = truth[:: len(shares) // 200_000 + 1]
    agreed = (given & truth[None, :]).sum(axis=1)
    f1 = 2 * agreed / np.maximum(given.sum(axis=1) + truth.sum(), 1)
    smooth = np.convolve(np.pad(f1, 2, mode="edge"), np.ones(5) / 5, mode="valid")
    best = np.flatnonzero(smooth >= smooth.max() - 1e-12)
    return float(_CUTS[best[len(best) // 2]])
