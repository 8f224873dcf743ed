"""Whether two groups of rows come from the same world: per column, and all columns at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from promise.data.columns import Array, Columns, IntArray
from promise.profiling.association import as_numbers, codes, is_missing
from promise.profiling.findings import Finding, drop, flag
from promise.profiling.signals import Rows, boosted, numeric

_BINS = 10
_MAX_CATEGORIES = 20
_MAX_COLUMNS = 100


def psi(before: Array, after: Array) -> float:
    """Return the population stability index of two samples, less what chance alone would give.

    Ten quantile bins of both samples together, or the twenty most frequent categories; missing is
    a bin of its own. With B bins chance gives (B - 1)(1/n + 1/m) on average, which is taken off
    (Yurdakul, 2018): 0 means no drift, 0.1 some, 0.25 much.

    Examples
    --------
    >>> rng = np.random.default_rng(7)
    >>> psi(rng.normal(size=500), rng.normal(size=500)) < 0.03
    True
    >>> psi(rng.normal(size=500), rng.normal(2, 1, size=500)) > 1
    True
    """
    n, m = len(before), len(after)
    if min(n, m) == 0:
        return 0.0
    bins = _bins(np.concatenate([before, after]))
    k = int(bins.max()) + 1
    counts = np.bincount(bins[:n], minlength=k), np.bincount(bins[n:], minlength=k)
    used = (counts[0] + counts[1]) > 0
    # half a row keeps empty bins finite
    p, q = ((c[used] + 0.5) / (c.sum() + 0.5 * used.sum()) for c in counts)
    raw = float(((p - q) * np.log(p / q)).sum())
    return max(0.0, raw - (int(used.sum()) - 1) * (1 / n + 1 / m))


def _bins(values: Array) -> IntArray:
    if values.dtype.kind == "O":
        found = codes(values)
        counts = np.bincount(found)
        if len(counts) <= _MAX_CATEGORIES:
            return found
        rank = np.empty(len(counts), dtype=np.int64)
        rank[np.argsort(-counts, kind="stable")] = np.arange(len(counts))
        return np.minimum(rank, _MAX_CATEGORIES)[found]
    x = as_numbers(values)
    known = ~np.isnan(x)
    if not known.any():
        return np.zeros(len(x), dtype=np.int64)
    edges = np.unique(np.quantile(x[known], np.linspace(0, 1, _BINS + 1)[1:-1]))
    bins = np.searchsorted(edges, x, side="left")
    bins[~known] = len(edges) + 1
    return bins


@dataclass(frozen=True)
class Difference:
    """How two groups of rows differ.

    Parameters
    ----------
    psi
        Per column, the largest first.
    auc, auc_error
        How well a small model tells the groups apart (0.5: not at all), and its standard error.
    """

    psi: tuple[tuple[str, float], ...]
    auc: float
    auc_error: float

    @property
    def surely(self) -> float:
        """Return the AUC less two standard errors."""
        return self.auc - 2 * self.auc_error


def difference(columns: Columns, later: Array, rows: IntArray, *, seed: int) -> Difference:
    """Compare the rows where `later` is true with the others.

    Parameters
    ----------
    columns
        Typed columns to compare.
    later
        Boolean per row.
    rows
        Row numbers, which decide who learns and who is tested.
    """
    indices = {name: psi(columns[name][~later], columns[name][later]) for name in columns}
    ranked = sorted(indices.items(), key=lambda pair: -pair[1])
    names = [name for name, _ in ranked[:_MAX_COLUMNS]]
    data = Rows(columns, later.astype(np.int64), 2, rows.astype(np.int64), later, seed)
    auc = 0.5
    if names and not data.too_few:
        x = np.column_stack([numeric(columns[name]) for name in names])
        auc, _ = boosted(data, x, [columns[name].dtype.kind == "O" for name in names])
    n_tested = max(2.0, len(rows) / 3)
    # under no difference the AUC's variance is (n + m + 1) / 12nm
    return Difference(tuple(ranked), auc, float(np.sqrt(1 / (3 * n_tested))))


def find_drift(
    columns: Columns,
    y: Array,
    rows: IntArray,
    *,
    target: str,
    time: str | None,
    dates: tuple[str, ...],
    seed: int,
) -> Iterator[Finding]:
    """Compare the earlier half of the rows with the later one."""
    order = np.argsort(as_numbers(columns[time]) if time else rows, kind="stable")
    if len(order) < 200:
        return
    later = np.zeros(len(order), dtype=bool)
    later[order[len(order) // 2 :]] = True
    clocks = tuple(n for n in columns if n == time or _follows(columns[n], order))
    watched = {n: columns[n] for n in columns if n not in clocks and n not in dates}
    found = difference(Columns({**watched, target: y}), later, rows, seed=seed)
    much = [(n, v) for n, v in found.psi if v >= 0.1]
    if not much or found.surely < 0.6:
        return
    listed = ", ".join(f"{n!r} {v:.2f}" for n, v in much[:5])
    label = next(v for n, v in found.psi if n == target)
    if time is None and label >= 1.0:
        yield Finding(
            "sorted_by_label",
            "note",
            (target,),
            f"the rows are sorted by the label: the two halves of the rows differ in it by PSI "
            f"{label:.1f}; whoever reads only the first rows sees another world.",
            "frame = frame.sample(frac=1, random_state=7)",
        )
        return
    halves = f"by {time!r}" if time else "in the order of the rows"
    grave = found.surely > 0.7 and much[0][1] >= 0.25
    date = time or next(iter(dates), None)
    yield Finding(
        "drift",
        "warning" if grave and time else "note",
        tuple(n for n, _ in much[:5]),
        f"the earlier and the later half {halves} differ: a small model tells them apart with AUC "
        f"{found.auc:.2f}; PSI {listed}.",
        flag("time", date) if date else "frame['row'] = range(len(frame))  # then --time row",
    )
    inputs = tuple(n for n in clocks if n not in dates)
    if inputs:
        yield Finding(
            "clock",
            "note",
            inputs,
            f"{', '.join(map(repr, inputs))}: rising or falling steadily along the rows, so that "
            "later rows will lie outside of what was learned.",
            drop(inputs),
        )


def _follows(values: Array, order: IntArray) -> bool:
    """Say whether a number or date rises or falls with the order of the rows."""
    if values.dtype.kind == "O":
        return False
    x = as_numbers(values)[order]
    x = x[~np.isnan(x)]
    if len(x) < 100 or len(np.unique(x)) < 20:
        return False
    ranks = np.searchsorted(np.sort(x), x).astype(np.float64)
    return bool(abs(np.corrcoef(ranks, np.arange(len(x)))[0, 1]) > 0.95)


def find_overlap(columns: Columns, train: IntArray, holdout: IntArray) -> Iterator[Finding]:
    """Find held-out rows whose inputs training has seen."""
    if not columns.arrays:
        return
    held = _row_keys(columns, holdout)
    seen = np.isin(held, _row_keys(columns, train))
    within = 1 - len(np.unique(held)) / max(1, len(held))
    share = float(seen.mean()) if len(seen) else 0.0
    if seen.sum() < 2 or share <= 0.005:
        return
    # where few different rows exist, repeats are the nature of the table
    natural = within > 0.5 * share
    yield Finding(
        "train_test_overlap",
        "note" if natural or share < 0.02 else "warning",
        (),
        f"{int(seen.sum()):,} of {len(holdout):,} held-out rows ({share:.1%}) have the same "
        "inputs as a training row.",
        "frame = frame.drop_duplicates()",
    )


def find_shared_groups(
    groups: Array, name: str, train: IntArray, holdout: IntArray
) -> Iterator[Finding]:
    """Find groups that stand on both sides of the split."""
    known = set(groups[train].tolist())
    shared = float(np.mean([g in known for g in groups[holdout].tolist()] or [False]))
    if shared > 0:
        yield Finding(
            "group_overlap",
            "warning",
            (name,),
            f"{shared:.1%} of the held-out rows belong to a {name!r} that training has seen: the "
            "score does not tell how new ones fare.",
            flag("group", name),
        )


def _row_keys(columns: Columns, at: IntArray) -> IntArray:
    """Return a number per row, equal for rows with equal cells."""
    keys = np.zeros(len(at), dtype=np.uint64)
    for name in columns:
        values = columns[name][at]
        if values.dtype.kind == "O":
            cells = np.array([hash(v) for v in values.tolist()], dtype=np.int64).view(np.uint64)
        else:
            numbers = as_numbers(values) + 0.0
            numbers[is_missing(values)] = np.nan
            cells = numbers.view(np.uint64)
        keys = (keys ^ cells) * np.uint64(0x9E3779B97F4A7C15)
        keys ^= keys >> np.uint64(29)
    return keys.view(np.int64)
