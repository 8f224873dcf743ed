"""How far new rows have moved from what a model was trained on, in bins frozen at training."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import chdtri

from promise.data.columns import Array, FloatArray, IntArray
from promise.errors import DataError
from promise.kernels.parsing import number_text

SCORE = "\u0000score"
"""The key under which a reference keeps the bins of the model's own output."""

ROWS_PER_BIN = 50
"""New rows per bin (less one) below which no verdict is given."""


@dataclass(frozen=True)
class Bins:
    """The frozen bins of one feature and how many reference rows fell into each.

    Parameters
    ----------
    kind
        `number`, `date` or `category`.
    edges
        Cuts of numbers and of dates in seconds; a value equal to a cut falls below it.
    names
        The listed categories; whatever is not listed falls into the unseen bin.
    counts
        Reference rows per bin, shape (n_bins,): the regular ones, then unseen, then missing.

    Examples
    --------
    >>> bins = Bins.of({"kind": "number", "edges": [1.0, 2.0], "rows": 9, "known": 9})
    >>> bins.counts
    array([3., 3., 3., 0., 0.])
    >>> bins.assign(np.array([0.5, 2.0, 9.0, np.nan]))
    array([0, 1, 2, 4])
    """

    kind: str
    edges: FloatArray
    names: tuple[str, ...]
    counts: FloatArray

    @classmethod
    def of(cls, reference: Mapping[str, Any]) -> Bins:
        """Read one feature's entry of a version's `reference.json`.

        Where a number's entry has no `counts`, the known rows are shared equally by its bins;
        that is right for deciles without ties.
        """
        rows, known = float(reference["rows"]), float(reference["known"])
        if reference["kind"] == "category":
            listed = {str(name): float(n) for name, n in reference["counts"].items()}
            ends = [max(0.0, known - sum(listed.values())), rows - known]
            return cls("category", np.empty(0), tuple(listed), np.array([*listed.values(), *ends]))
        edges = np.asarray(reference["edges"], dtype=np.float64)
        given = reference.get("counts")
        regular = [known / (len(edges) + 1)] * (len(edges) + 1) if given is None else list(given)
        if len(regular) != len(edges) + 1:
            raise DataError(
                f"the reference counts {len(regular)} bins for {len(edges)} edges; "
                f"{len(edges) + 1} were expected. Train the version again."
            )
        missing = float(reference.get("missing", rows - known))
        unseen = max(0.0, rows - missing - sum(regular))
        return cls(reference["kind"], edges, (), np.array([*regular, unseen, missing]))

    @property
    def n_bins(self) -> int:
        """How many bins there are, with those of unseen and missing values."""
        return len(self.counts)

    def assign(self, values: Array) -> IntArray:
        """Return the bin of every value; NaN, NaT, None and empty text are missing."""
        unseen, missing = self.n_bins - 2, self.n_bins - 1
        if self.kind == "category":
            codes = {name: i for i, name in enumerate(self.names)}
            found = [missing if _absent(v) else codes.get(_text(v), unseen) for v in values]
            return np.array(found, dtype=np.int64)
        numbers = _numbers(values)
        bins = np.searchsorted(self.edges, numbers, side="left").astype(np.int64)
        bins[np.isinf(numbers)] = unseen
        bins[np.isnan(numbers)] = missing
        return bins


def count_bins(reference: Any, values: Array) -> Any:
    """Count new values in one feature's frozen bins, ready for JSON and for `add_counts`.

    Parameters
    ----------
    reference
        The feature's entry of `reference.json`; a list of entries for class probabilities.
    values
        Shape (n,); with a list of entries (n, n_entries), one column for each.

    Examples
    --------
    >>> entry = {"kind": "category", "counts": {"a": 5, "b": 3}, "rows": 10, "known": 8}
    >>> count_bins(entry, np.array(["a", "z", None], dtype=object))
    {'bins': [1, 0], 'unseen': 1, 'missing': 1}
    """
    if isinstance(reference, Sequence):
        wide = values.reshape(len(values), -1)
        return [count_bins(entry, wide[:, i]) for i, entry in enumerate(reference)]
    bins = Bins.of(reference)
    counts = np.bincount(bins.assign(values), minlength=bins.n_bins).tolist()
    return {"bins": counts[:-2], "unseen": counts[-2], "missing": counts[-1]}


def add_counts(first: Any, second: Any) -> Any:
    """Add two results of `count_bins` over the same reference.

    Examples
    --------
    >>> one = {"bins": [1, 0], "unseen": 1, "missing": 1}
    >>> add_counts(one, one)
    {'bins': [2, 0], 'unseen': 2, 'missing': 2}
    """
    if isinstance(first, Sequence):
        return [add_counts(a, b) for a, b in zip(first, second, strict=True)]
    return {
        "bins": [a + b for a, b in zip(first["bins"], second["bins"], strict=True)],
        "unseen": first["unseen"] + second["unseen"],
        "missing": first["missing"] + second["missing"],
    }


@dataclass(frozen=True)
class Drift:
    """The population stability index of one feature, and what chance alone would make of it.

    Parameters
    ----------
    psi
        The raw index: 0 for equal shares, 0.1 some drift, 0.25 much.
    null_mean
        Its mean without any drift: (B - 1)(1/n + 1/m) for B used bins (Yurdakul, 2018).
    low, high
        Two standard errors around the index; its null mean is taken off below as well.
    n_bins
        Bins that any row of either side falls into.
    n_reference, n_new
        Rows on either side.
    """

    psi: float
    null_mean: float
    low: float
    high: float
    n_bins: int
    n_reference: int
    n_new: int

    def by_chance(self, alpha: float) -> float:
        """Return what the index exceeds with this chance although nothing drifted."""
        return _null_quantile(self.n_bins, alpha) * (1 / self.n_reference + 1 / self.n_new)

    def rows_needed(self, bound: float, alpha: float) -> int | None:
        """Return the new rows at which chance alone no longer reaches `bound`.

        None where the reference itself has too few rows for that, whatever the traffic.
        """
        return rows_for_psi(bound, alpha, n_bins=self.n_bins, n_reference=self.n_reference)


def rows_for_psi(
    bound: float, alpha: float, *, n_bins: int, n_reference: float = math.inf
) -> int | None:
    """Return the new rows at which an index above `bound` is no longer chance.

    At least 50 for each bin less one. None where the reference has too few rows for it.

    Examples
    --------
    >>> rows_for_psi(0.1, 0.01, n_bins=10)
    450
    >>> rows_for_psi(0.1, 0.01, n_bins=10, n_reference=200) is None
    True
    """
    if n_bins < 2:
        return ROWS_PER_BIN
    room = bound / _null_quantile(n_bins, alpha) - 1 / n_reference
    return max(ROWS_PER_BIN * (n_bins - 1), math.ceil(1 / room)) if room > 0 else None


def drift_of(reference: Mapping[str, Any], counts: Mapping[str, Any]) -> Drift | None:
    """Return how far counted rows moved from one feature's reference; None without rows.

    Half a row is added to every used bin of either side, which keeps empty bins finite.

    Examples
    --------
    >>> entry = {"kind": "number", "edges": [0.0], "rows": 1000, "known": 1000}
    >>> same = drift_of(entry, {"bins": [500, 500], "unseen": 0, "missing": 0})
    >>> round(same.psi, 3), round(same.null_mean, 3)
    (0.0, 0.002)
    """
    before = Bins.of(reference).counts
    after = np.array([*counts["bins"], counts["unseen"], counts["missing"]], dtype=np.float64)
    if len(after) != len(before):
        raise DataError(
            f"{len(after) - 2} bins were counted and the reference has {len(before) - 2}; "
            "count again with this version's reference."
        )
    n, m = float(before.sum()), float(after.sum())
    if n == 0 or m == 0:
        return None
    used = (before + after) > 0
    p, q = (_smoothed(each[used]) for each in (before, after))
    n_bins = int(used.sum())
    rate = 1 / n + 1 / m
    psi, null_mean = float(((p - q) * np.log(p / q)).sum()), (n_bins - 1) * rate
    half = 1.96 * math.sqrt(_variance(p, q, n, m) + 2 * (n_bins - 1) * rate * rate)
    low = max(0.0, psi - null_mean - half)
    return Drift(psi, null_mean, low, psi + half, n_bins, int(n), int(m))


def _smoothed(counts: FloatArray) -> FloatArray:
    return np.asarray((counts + 0.5) / (counts.sum() + 0.5 * len(counts)))


def _variance(p: FloatArray, q: FloatArray, n: float, m: float) -> float:
    """Return the index's variance to first order (delta method); 0 where the shares are equal."""
    found = 0.0
    for shares, other, rows in ((p, q, n), (q, p, m)):
        slope = np.log(shares / other) + 1 - other / shares
        found += float((shares * slope**2).sum() - (shares * slope).sum() ** 2) / rows
    return max(0.0, found)


def _null_quantile(n_bins: int, alpha: float) -> float:
    # without drift, PSI / (1/n + 1/m) is chi-square with B - 1 degrees of freedom
    return float(chdtri(n_bins - 1, alpha)) if n_bins > 1 else 0.0


def _numbers(values: Array) -> FloatArray:
    """Return numbers, dates in seconds, and NaN for what is missing."""
    if values.dtype.kind == "M":
        seconds = values.astype("datetime64[s]").astype(np.int64).astype(np.float64)
        return np.where(np.isnat(values), np.nan, seconds)
    if values.dtype == object:
        return np.array([np.nan if _absent(v) else float(v) for v in values], dtype=np.float64)
    return values.astype(np.float64)


def _absent(value: Any) -> bool:
    return value is None or value == "" or (not isinstance(value, str) and bool(np.isnan(value)))


def _text(value: Any) -> str:
    if isinstance(value, (float, np.floating)):
        return number_text(float(value))
    return str(value)
