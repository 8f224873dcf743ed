"""How differently a model treats groups of people: differences and ratios with intervals."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations
from statistics import NormalDist

import numpy as np

from promise.data.columns import Array
from promise.kernels.parsing import number_text
from promise.metrics.intervals import wilson

MEASURES = (
    "demographic_parity_difference",
    "demographic_parity_ratio",
    "equal_opportunity_difference",
    "equal_opportunity_ratio",
    "equalized_odds_difference",
    "equalized_odds_ratio",
    "accuracy_difference",
)
"""Every fairness measure, by the names that Fairlearn gives them."""

MIN_ROWS = 30
"""Rows that a group needs for its rate to count."""

_MOST_VALUES = 10  # a number with more distinct values is cut into bands


@dataclass(frozen=True)
class Rate:
    """How often something is said of a group: `k` times in `n` rows."""

    group: str
    n: int
    k: int

    @property
    def share(self) -> float:
        """The rate itself."""
        return self.k / self.n


@dataclass(frozen=True)
class Disparity:
    """The largest difference (or smallest ratio) of any two groups.

    Parameters
    ----------
    value, low, high
        The measure and its interval; NaN where fewer than two groups have rows enough.
    worst
        The two groups that make it, the disadvantaged one first.
    left_out
        Groups with too few rows.
    n
        Rows that it rests on.
    """

    value: float
    low: float
    high: float
    worst: tuple[str, str] | None
    left_out: tuple[str, ...]
    n: int


def disparity(
    measure: str,
    y: Array | None,
    decided: Array,
    groups: Array,
    *,
    n_classes: int = 2,
    alpha_low: float = 0.025,
    alpha_high: float = 0.025,
) -> Disparity:
    """Return how far apart groups are, with an interval.

    Parameters
    ----------
    measure
        `demographic_parity_*` compares how often a class is decided, `equal_opportunity_*` how
        often it is decided where true, `equalized_odds_*` also how often where not true,
        `accuracy_difference` how often the decision is right. For two classes the last one is
        the class that is compared; for more, the class with the largest disparity counts.
    y, decided
        True and decided class codes, shape (n,); `demographic_parity_*` needs no `y`.
    groups
        Names of groups, shape (n,), as `group_names` gives them.
    alpha_low, alpha_high
        Chance that the true disparity lies below `low`, and above `high`. Differences have
        Newcombe's hybrid score interval (1998, method 10), ratios that of the logarithm with half
        a case added (Walter, 1975). The end that accuses is corrected for the number of pairs.

    Examples
    --------
    >>> decided = np.repeat([1, 0, 1, 0], [60, 40, 30, 70])
    >>> found = disparity(
    ...     "demographic_parity_difference", None, decided, np.repeat(["a", "b"], 100)
    ... )
    >>> round(found.value, 2), found.worst, round(found.low, 2), round(found.high, 2)
    (0.3, ('b', 'a'), 0.14, 0.42)
    """
    kind, _, form = measure.rpartition("_")
    kept: list[list[Rate]] = []
    left_out: set[str] = set()
    for rates in _rates(kind, y, decided, groups, n_classes):
        left_out.update(rate.group for rate in rates if rate.n < MIN_ROWS)
        enough = [rate for rate in rates if rate.n >= MIN_ROWS]
        kept += [enough] if len(enough) > 1 else []
    pairs = [pair for rates in kept for pair in permutations(rates, 2)]
    names = tuple(sorted(left_out))
    rows = len(decided)
    if form == "ratio":
        pairs = [(a, b) for a, b in pairs if b.k > 0]
    if not pairs:
        return Disparity(math.nan, math.nan, math.nan, None, names, rows)
    if form == "difference":
        return _largest_difference(pairs, alpha_low, alpha_high, names, rows)
    return _smallest_ratio(pairs, alpha_low, alpha_high, names, rows)


def _rates(
    kind: str, y: Array | None, decided: Array, groups: Array, n_classes: int
) -> Iterator[list[Rate]]:
    """Yield the rates that are compared among groups, one list for each thing that is counted."""
    everywhere = np.ones(len(decided), dtype=bool)
    truth = np.full(len(decided), -1) if y is None else np.asarray(y)
    if kind == "accuracy":
        yield _by_group(decided == truth, everywhere, groups)
        return
    for c in range(1 if n_classes == 2 else 0, n_classes):
        if kind == "demographic_parity":
            yield _by_group(decided == c, everywhere, groups)
            continue
        yield _by_group(decided == c, truth == c, groups)
        if kind == "equalized_odds":
            yield _by_group(decided == c, truth != c, groups)


def _by_group(said: Array, among: Array, groups: Array) -> list[Rate]:
    names, codes = np.unique(groups, return_inverse=True)
    n = np.bincount(codes, weights=among, minlength=len(names))
    k = np.bincount(codes, weights=among & said, minlength=len(names))
    return [Rate(str(g), int(a), int(b)) for g, a, b in zip(names, n, k, strict=True)]


def _largest_difference(
    pairs: list[tuple[Rate, Rate]],
    alpha_low: float,
    alpha_high: float,
    left_out: tuple[str, ...],
    rows: int,
) -> Disparity:
    b, a = max(((y, x) for x, y in pairs), key=lambda pair: pair[1].share - pair[0].share)
    accused = alpha_low / len(pairs)
    low = max(newcombe(x, y, 1 - 2 * accused)[0] for x, y in pairs)
    high = max(newcombe(x, y, 1 - 2 * alpha_high)[1] for x, y in pairs)
    return Disparity(
        a.share - b.share, max(0.0, low), min(1.0, high), (b.group, a.group), left_out, rows
    )


def _smallest_ratio(
    pairs: list[tuple[Rate, Rate]],
    alpha_low: float,
    alpha_high: float,
    left_out: tuple[str, ...],
    rows: int,
) -> Disparity:
    a, b = min(pairs, key=lambda pair: pair[0].share / pair[1].share)
    accused = alpha_high / len(pairs)
    low = min(ratio_interval(x, y, alpha_low)[0] for x, y in pairs)
    high = min(ratio_interval(x, y, accused)[1] for x, y in pairs)
    measured = a.share / b.share  # half a case added may lift the interval of nought above it
    worst = (a.group, b.group)
    return Disparity(measured, min(low, measured), min(1.0, high), worst, left_out, rows)


def newcombe(a: Rate, b: Rate, level: float) -> tuple[float, float]:
    """Return the hybrid score interval of the difference of two rates (Newcombe 1998).

    Examples
    --------
    >>> low, high = newcombe(Rate("a", 70, 56), Rate("b", 80, 48), 0.95)
    >>> round(low, 4), round(high, 4)
    (0.0524, 0.3339)
    """
    (low_a, high_a), (low_b, high_b) = (wilson(rate.k, rate.n, level) for rate in (a, b))
    difference = a.share - b.share
    low = difference - math.hypot(a.share - low_a, high_b - b.share)
    high = difference + math.hypot(high_a - a.share, b.share - low_b)
    return low, high


def ratio_interval(a: Rate, b: Rate, alpha: float) -> tuple[float, float]:
    """Return the interval of the ratio of two rates whose ends err with this chance each."""
    k1, n1, k2, n2 = a.k + 0.5, a.n + 0.5, b.k + 0.5, b.n + 0.5
    middle = math.log(k1 / n1) - math.log(k2 / n2)
    spread = math.sqrt(max(0.0, 1 / k1 - 1 / n1 + 1 / k2 - 1 / n2))
    half = NormalDist().inv_cdf(1 - alpha) * spread
    return math.exp(middle - half), math.exp(middle + half)


def group_names(values: Array) -> Array:
    """Return each row's group as text: a number of many values by quarters of the rows.

    Missing values are a group of their own.

    Examples
    --------
    >>> group_names(np.array(["f", None, "m"], dtype=object)).tolist()
    ['f', 'missing', 'm']
    >>> sorted(set(group_names(np.arange(100.0)).tolist()))
    ['0 to 24', '25 to 49', '50 to 74', '75 to 99']
    """
    if values.dtype.kind in "iuf" and len(np.unique(values)) > _MOST_VALUES:
        return _bands(values.astype(np.float64))
    return np.array([_name(value) for value in values.tolist()], dtype=object)


def _bands(numbers: Array) -> Array:
    known = np.isfinite(numbers)
    cuts = np.unique(np.quantile(numbers[known], [0.25, 0.5, 0.75]))
    band = np.searchsorted(cuts, numbers, side="left")
    names = np.full(len(numbers), "missing", dtype=object)
    for i in np.unique(band[known]).tolist():
        here = known & (band == i)
        ends = (number_text(float(end)) for end in (numbers[here].min(), numbers[here].max()))
        names[here] = " to ".join(ends)
    return names


def _name(value: object) -> str:
    if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
        return "missing"
    return number_text(value) if isinstance(value, float) else str(value)
