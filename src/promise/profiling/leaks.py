"""Columns that hold the answer: copies, parts, and what is known only after the event."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from promise.data.columns import Array, Columns, FloatArray
from promise.profiling.association import as_numbers, codes, is_missing
from promise.profiling.findings import Finding, drop
from promise.profiling.names import names_aftermath, names_plan
from promise.profiling.signals import Joint, Rows, joint_scores, lone_score, skill, tree_score

TOO_GOOD = 0.99
_ALIKE = 0.999
_STRONG = 0.3
_MAX_PARTS = 8
_MAX_TERMS = 60
_FITTED = 0.98


def find_copies(data: Rows, y: Array) -> Iterator[Finding]:
    """Find columns that are the target under another name: equal, scaled or recoded."""
    for name in data.columns:
        kind = (_recoding if data.n_classes else _number_copy)(data.columns[name], y)
        if kind:
            yield Finding(
                "target_copy",
                "error",
                (name,),
                f"{name!r} is the target under another name: {kind}.",
                drop([name]),
                suspicious=True,
            )


def _number_copy(values: Array, y: Array) -> str | None:
    if values.dtype.kind == "O":
        return None
    x = as_numbers(values)
    known = ~np.isnan(x)
    if known.sum() < 20 or known.mean() < 0.5 or len(np.unique(x[known])) < 3:
        return None
    x, y = x[known], y[known]
    same = float(np.mean(np.isclose(x, y, rtol=1e-9, atol=0)))
    if same >= _ALIKE:
        return f"{same:.1%} of {len(x):,} values are equal"
    r = float(np.corrcoef(x, y)[0, 1])
    # what a change of unit leaves: rounding of the last digits only
    return f"a change of unit (r = {r:.6f})" if abs(r) > 1 - 1e-9 else None


def _recoding(values: Array, y: Array) -> str | None:
    """Say whether values and classes stand one to one."""
    known = ~is_missing(values)
    if known.sum() < 20 or known.mean() < 0.5:
        return None
    if values.dtype.kind != "O" and len(np.unique(values[known])) > 1000:
        return None
    a, b = codes(values[known]), np.unique(y[known], return_inverse=True)[1]
    k = int(b.max()) + 1
    if k < 2 or int(a.max()) + 1 != k or len(a) < 10 * k:
        return None
    table = np.bincount(a * k + b, minlength=k * k).reshape(k, k)
    hit = float(table.max(axis=1).sum()) / len(a)
    one_to_one = len(set(table.argmax(axis=1).tolist())) == k
    if not one_to_one or hit < _ALIKE:
        return None
    return f"{hit:.1%} of {len(a):,} values stand one to one"


def find_parts(data: Rows, time: str | None = None) -> Iterator[Finding]:
    """Find a few numbers or dates whose sum, difference or product is the target.

    Of two dates only the later one is to blame; `time`, when the row happened, never is.
    """
    if data.n_classes or len(data.y) < 60:
        return
    named = {n: v for n, v in data.columns.arrays.items() if v.dtype.kind in "fM"}
    for logs, how in ((False, "weighted sum or difference"), (True, "product or ratio")):
        found = _identity(named, data.y, logs=logs)
        if found is None:
            continue
        parts, share = found
        dates = sorted(
            (n for n in parts if named[n].dtype.kind == "M"), key=lambda n: _middle(named[n])
        )
        names = tuple(n for n in parts if n not in dates[: len(dates) // 2] and n != time)
        listed = " and ".join([", ".join(map(repr, parts[:-1])), repr(parts[-1])])
        yield Finding(
            "target_parts",
            "error",
            names,
            f"the target is a {how} of {listed}: it fits {share:.1%} of {len(data.y):,} rows to "
            "within a thousandth of the target's spread.",
            drop(names),
            suspicious=True,
        )
        return


def _middle(dates: Array) -> float:
    return float(np.nanmedian(as_numbers(dates)))


def _identity(
    named: dict[str, Array], y: FloatArray, *, logs: bool
) -> tuple[tuple[str, ...], float] | None:
    """Return the few columns of which the target is a linear function on nearly all rows."""
    if logs and y.min() <= 0:
        return None
    target = np.log(y) if logs else y
    terms = _terms(named, target, logs=logs)
    if not terms:
        return None
    matrix = np.column_stack([values for _, values in terms])
    known = ~np.isnan(matrix).any(axis=1)
    if known.sum() < max(60, 0.5 * len(y)):
        return None
    matrix, target = matrix[known], target[known] - target[known].mean()
    matrix = matrix - matrix.mean(axis=0)
    spread = matrix.std(axis=0)
    if target.std() == 0 or not (spread > 0).any():
        return None
    names = [parts for (parts, _), varies in zip(terms, spread > 0, strict=True) if varies]
    return _sparse_fit(matrix[:, spread > 0] / spread[spread > 0], target / target.std(), names)


def _terms(
    named: dict[str, Array], y: FloatArray, *, logs: bool
) -> list[tuple[tuple[str, ...], FloatArray]]:
    """Return candidate terms with the columns they are made of: numbers, and spans of dates."""
    dates = [n for n, v in named.items() if v.dtype.kind == "M"]
    terms: list[tuple[tuple[str, ...], FloatArray]] = []
    for name, values in named.items():
        x = as_numbers(values)
        if np.isnan(x).mean() > 0.2 or (logs and not np.nanmin(x) > 0):
            continue
        if name not in dates:
            terms.append(((name,), np.log(x) if logs else x))
    if not logs:
        # two dates are too alike for least squares to find their difference by itself
        for at, first in enumerate(dates[:6]):
            for second in dates[at + 1 : 6]:
                terms.append(
                    ((first, second), as_numbers(named[first]) - as_numbers(named[second]))
                )
    if len(terms) > _MAX_TERMS:
        pulls = [_pull(x, y) for _, x in terms]
        terms = [terms[at] for at in np.sort(np.argsort(pulls)[-_MAX_TERMS:])]
    return terms


def _pull(x: FloatArray, y: FloatArray) -> float:
    """Return the absolute correlation; rows without a value count as average ones."""
    gaps = np.nan_to_num(x - np.nanmean(x))
    scale = float(gaps.std() * y.std())
    return abs(float(np.mean(gaps * (y - y.mean())))) / scale if scale > 0 else 0.0


def _sparse_fit(
    x: FloatArray, y: FloatArray, names: list[tuple[str, ...]]
) -> tuple[tuple[str, ...], float] | None:
    """Fit all terms, keep those that matter, and say so only if few of them fit nearly all rows."""
    weights, share = _robust_fit(x, y)
    if share < _FITTED:
        return None
    chosen = [int(at) for at in np.argsort(-np.abs(weights)) if abs(weights[at]) > 1e-3]
    for at in reversed(chosen.copy()):
        others = [c for c in chosen if c != at]
        if others and _robust_fit(x[:, others], y)[1] >= _FITTED:
            chosen = others
    parts = {part: None for at in sorted(chosen) for part in names[at]}
    if not 2 <= len(parts) <= _MAX_PARTS or len(y) < 20 * len(parts):
        return None
    return tuple(parts), _robust_fit(x[:, chosen], y)[1]


def _robust_fit(x: FloatArray, y: FloatArray) -> tuple[FloatArray, float]:
    """Return the weights of a fit to the best-fitting rows, and the share of rows that it hits.

    A few concentration steps of least trimmed squares (Rousseeuw and Van Driessen, 2006): single
    wrong rows do not hide an identity that the others keep.
    """
    x = np.column_stack([x, np.ones(len(x))])
    kept = np.arange(len(y))
    for _ in range(4):
        weights = np.linalg.lstsq(x[kept], y[kept], rcond=None)[0]
        left = np.abs(y - x @ weights)
        kept = np.argsort(left, kind="stable")[: max(2 * x.shape[1], int(0.8 * len(y)))]
    return weights[:-1], float(np.mean(left < 1e-3))


def find_strong(data: Rows, lone: dict[str, float], target: str) -> Iterator[Finding]:
    """Find single columns that tell too much, and those whose names say: only after the event."""
    top = {n: max(s, tree_score(data, data.columns[n])) if _worth_a_tree(data, n, s) else s
           for n, s in lone.items()}  # fmt: skip
    for name, value in top.items():
        if value > TOO_GOOD:
            yield Finding(
                "single_feature_too_good",
                "error",
                (name,),
                f"{name!r} alone reaches {data.measure} {value:.4f} (cross-validated).",
                drop([name]),
                suspicious=True,
            )
    # columns named already leave the joint score: beside one that tells all, none would be missed
    ranked = sorted((n for n in top if top[n] <= TOO_GOOD), key=lambda n: -top[n])
    if not ranked:
        return
    fresh = {n: top[n] for n in ranked}
    hinted = [n for n in ranked if names_aftermath(n, target)]
    joint = joint_scores(data.only(ranked), fresh, tuple(hinted[:6]))
    for name in ranked:
        evidence = _aftermath_evidence(data, name, fresh, joint, hinted)
        if evidence:
            yield Finding(
                "known_after_event", "warning", (name,), evidence, drop([name]), suspicious=True
            )
        elif _dominates(data, name, ranked, fresh, joint):
            yield Finding(
                "dominant_feature",
                "warning",
                (name,),
                f"{name!r} alone reaches {data.measure} {top[name]:.3f} of the {joint.score:.3f} "
                f"that all columns reach; without it {joint.without[name]:.3f}. Make sure that "
                "its value is known when the prediction is made.",
                drop([name]),
            )


def _worth_a_tree(data: Rows, name: str, value: float) -> bool:
    numeric = data.columns[name].dtype.kind != "O"
    return numeric and skill(value, data.measure) > 0.8 and value <= TOO_GOOD


def _aftermath_evidence(
    data: Rows, name: str, lone: dict[str, float], joint: Joint, hinted: list[str]
) -> str | None:
    """Return the sentence if a hinting name and a strong signal come together."""
    if name not in hinted or name not in joint.without:
        return None
    alone, together = skill(lone[name], data.measure), skill(joint.score, data.measure)
    lost = together - skill(joint.without[name], data.measure)
    best = max(skill(value, data.measure) for value in lone.values())
    leads = alone >= _STRONG and alone >= 0.9 * best
    if not (leads or (lost >= 0.1 and lost >= 0.15 * together)):
        return None
    return (
        f"{name!r} has a name of something known only once the event is over, and a strong signal: "
        f"{data.measure} {lone[name]:.3f} alone; all columns {joint.score:.3f}, without it "
        f"{joint.without[name]:.3f}."
    )


def _dominates(
    data: Rows, name: str, ranked: list[str], lone: dict[str, float], joint: Joint
) -> bool:
    if name != ranked[0] or len(ranked) < 3 or name not in joint.without:
        return False
    first, second = (skill(lone[n], data.measure) for n in ranked[:2])
    together = skill(joint.score, data.measure)
    rest = skill(joint.without[name], data.measure)
    return first > 0.5 and first > 0.8 * together and first > 2 * second and rest < 0.5 * together


def find_missing_patterns(data: Rows, sample: Columns, target: str) -> Iterator[Finding]:
    """Find columns that are empty just where the label is, or whose gaps tell the label."""
    names = tuple(data.columns)
    for name in names:
        gaps = is_missing(data.columns[name]).astype(np.float64)
        if min(gaps.sum(), len(gaps) - gaps.sum()) < 10:
            continue
        value = lone_score(data, gaps)
        if skill(value, data.measure) > 0.9:
            yield Finding(
                "known_after_event",
                "warning",
                (name,),
                f"whether {name!r} is missing tells the label: {data.measure} {value:.3f} from "
                "that alone.",
                drop([name]),
                suspicious=True,
            )
    if target not in sample:
        return
    unlabelled = is_missing(sample[target])
    if min(unlabelled.sum(), (~unlabelled).sum()) < 30:
        return
    together = {}
    for name in names:
        gaps = is_missing(sample[name])
        inside, outside = float(gaps[unlabelled].mean()), float(gaps[~unlabelled].mean())
        if inside >= 0.8 and outside <= 0.02:
            together[name] = inside
    # rows that are empty throughout say nothing about any one column
    if len(together) > 0.6 * len(names):
        return
    for name, inside in together.items():
        yield Finding(
            "known_after_event",
            "warning",
            (name,),
            f"{name!r} is missing in {inside:.0%} of the {int(unlabelled.sum()):,} sampled rows "
            "without a label and hardly elsewhere: it seems to be recorded together with the "
            "label.",
            drop([name]),
            suspicious=True,
        )


def find_later_times(
    columns: Columns, time: str | None, names: tuple[str, ...]
) -> Iterator[Finding]:
    """Find dates that lie after the row's own time, or, if that is unknown, after another date."""
    dates = [n for n in names if columns[n].dtype.kind == "M"]
    known = time is not None and time in columns and columns[time].dtype.kind == "M"
    starts = [time] if known and time is not None else dates
    for name in dates:
        for start in starts:
            if start == name or names_plan(name):
                continue
            gap = (columns[name] - columns[start]) / np.timedelta64(1, "s")
            gap = gap[~np.isnan(gap)]
            if len(gap) < 20 or np.mean(gap >= 0) < 0.98 or np.mean(gap > 0) < 0.5:
                continue
            late = known or names_aftermath(name)
            yield Finding(
                "known_after_event",
                "warning" if late else "note",
                (name,),
                f"{name!r} lies after {start!r} in {np.mean(gap > 0):.1%} of the rows (median "
                f"{_span(float(np.median(gap)))} later): it is not known at that time.",
                drop([name]),
                suspicious=late,
            )
            break


def _span(seconds: float) -> str:
    for size, unit in ((86_400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} seconds"
