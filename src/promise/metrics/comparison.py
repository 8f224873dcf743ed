"""Whether one arm fails more often than another at the same time, told at any look."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from promise.metrics.sequential import log_e_above, log_e_below, share_interval


@dataclass(frozen=True)
class Comparison:
    """Two concurrent shares, e.g. of failed requests in the canary and in the stable version.

    Parameters
    ----------
    difference, low, high
        The first share minus the second, with an interval that holds at every look.
    ratio, ratio_low, ratio_high
        The first share over the second; None or infinite where the second has no case.
    worse, better
        Whether the first share is proven larger, or smaller.
    n
        Requests of both.
    """

    difference: float | None
    low: float
    high: float
    ratio: float | None
    ratio_low: float
    ratio_high: float
    worse: bool
    better: bool
    n: int

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary; an infinite ratio is None."""
        return {
            key: None if isinstance(value, float) and math.isinf(value) else value
            for key, value in vars(self).items()
        }


def compare_shares(
    canary: tuple[int, int],
    stable: tuple[int, int],
    *,
    alpha: float = 0.05,
    dealt: float | None = None,
) -> Comparison:
    """Compare (n, k) of two arms that ran side by side, at any look and under any common trouble.

    Traffic is dealt by chance, so while both fail equally often each failure is the canary's
    with the canary's share of traffic as its chance, whatever the failure rate does meanwhile.
    That is a test of one share (Lindon and Malek, 2022), and the ratio of the two rates follows
    from it. We differ by taking the traffic share from the counts where `dealt` is not given:
    the failures are then hypergeometric, less spread than the binomial that is bet on, so that
    every look is conservative.

    Parameters
    ----------
    canary, stable
        Requests and how many of them were bad.
    alpha
        Chance of ever being wrong in `worse` or `better`; the intervals share the same chance.
    dealt
        The canary's declared share of traffic.

    Examples
    --------
    >>> found = compare_shares((1000, 30), (9000, 80))
    >>> found.worse, found.better, round(found.ratio, 2)
    (True, False, 3.38)
    >>> compare_shares((1000, 9), (9000, 80)).worse
    False
    """
    (n1, k1), (n2, k2) = canary, stable
    if n1 == 0 or n2 == 0:
        return Comparison(None, -1.0, 1.0, None, 0.0, math.inf, False, False, n1 + n2)
    share = n1 / (n1 + n2) if dealt is None else dealt
    refuted = math.log(2 / alpha)
    low1, high1 = share_interval(n1, k1, alpha_low=alpha / 6, alpha_high=alpha / 6)
    low2, high2 = share_interval(n2, k2, alpha_low=alpha / 6, alpha_high=alpha / 6)
    theta = share_interval(k1 + k2, k1, alpha_low=alpha / 6, alpha_high=alpha / 6)
    ratio_low, ratio_high = (_ratio(end, share) for end in theta)
    return Comparison(
        difference=k1 / n1 - k2 / n2,
        low=max(low1 - high2, _difference(ratio_low, low1, high1)),
        high=min(high1 - low2, _difference(ratio_high, high1, low1)),
        ratio=(k1 / n1) / (k2 / n2) if k2 else None,
        ratio_low=ratio_low,
        ratio_high=ratio_high,
        worse=bool(log_e_above(k1 + k2, k1, share) >= refuted),
        better=bool(log_e_below(k1 + k2, k1, share) >= refuted),
        n=n1 + n2,
    )


def _ratio(theta: float, share: float) -> float:
    """Return the ratio of rates at which this part of all failures is the canary's."""
    return math.inf if theta >= 1 else theta / (1 - theta) * (1 - share) / share


def _difference(ratio: float, if_larger: float, if_smaller: float) -> float:
    """Return the outermost p1 - p1 / ratio, p1 being one of two ends."""
    if ratio == 0:
        return -1.0
    return (if_larger if ratio >= 1 else if_smaller) * (1 - 1 / ratio)
