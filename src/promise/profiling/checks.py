"""All checks of a table and of its split, in the order a careful reader would want them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

import numpy as np

from promise.data.answer import Answer, Class
from promise.data.columns import Array, Columns, IntArray
from promise.data.schema import Schema
from promise.data.target import check_target, label_answer, labelled
from promise.kernels.parsing import label_codes
from promise.profiling.drift import difference, find_drift, find_overlap, find_shared_groups
from promise.profiling.findings import (
    DROPPED,
    Finding,
    by_severity,
    drop,
    schema_with_findings,
)
from promise.profiling.leaks import (
    find_copies,
    find_later_times,
    find_missing_patterns,
    find_parts,
    find_strong,
)
from promise.profiling.profile import Profile
from promise.profiling.quality import (
    find_codes,
    find_empty,
    find_identifiers,
    find_kept_null_words,
    find_label_faults,
    find_mixed,
    find_null_words,
    find_outliers,
    find_repeats,
    find_texts,
)
from promise.profiling.signals import Rows, choose_rows, lone_scores
from promise.profiling.written import find_grouped_digits, find_mixed_dates

__all__ = ["Finding", "check_profile", "check_split", "check_table", "schema_with_findings"]

_LOOKED_AT = 20_000
_LEARNED_FROM = 8_000
_MOST_COLUMNS = 1_000


def check_table(
    profile: Profile,
    schema: Schema,
    columns: Columns,
    y: Array,
    answer: Answer,
    *,
    rows: IntArray,
    target: str,
    time: str | None = None,
    seed: int = 7,
) -> list[Finding]:
    """Name what would make a score lie, and what is worth knowing before one trusts it.

    Parameters
    ----------
    columns, y
        Typed training rows and their labels (float64, or class codes), at least the inputs.
    rows
        Their row numbers in the source.
    time
        The column that says when a row happened, if known.

    Returns
    -------
    Findings, the gravest first. The same data give the same findings.
    """
    inputs = tuple(f.name for f in schema.inputs if f.name != target and f.name in columns)
    time = time if time in columns else None
    columns = columns.only(dict.fromkeys((*inputs, *((time,) if time else ()))))
    plain = [
        *_plain_findings(profile, columns, inputs),
        *_written(profile, schema, tuple(dict.fromkeys((*columns.arrays, target)))),
    ]
    useless = _named(f for f in plain if f.check in DROPPED)
    live = tuple(n for n in inputs if n not in useless)
    live = _closest(profile, live)
    columns = columns.only(dict.fromkeys((*live, *((time,) if time else ()))))
    looked = choose_rows(columns, y, answer, rows, limit=_LOOKED_AT, seed=seed)
    few = choose_rows(columns, y, answer, rows, limit=_LEARNED_FROM, seed=seed)
    leaks = list(_leaks(profile, looked, few, live, target, time))
    label = list(find_label_faults(y, answer, target))
    dates = tuple(n for n in live if columns[n].dtype.kind == "M")
    watched = few.columns.only(dict.fromkeys((*live, *((time,) if time else ()))))
    drift = find_drift(watched, few.y, few.rows, target=target, time=time, dates=dates, seed=seed)
    return by_severity(_once([*leaks, *plain, *label, *drift]))


def check_profile(
    profile: Profile,
    schema: Schema,
    *,
    target: str | None = None,
    time: str | None = None,
    seed: int = 7,
) -> list[Finding]:
    """Run the checks on the profile's own sample, without reading the source again.

    Raises
    ------
    DataError
        When the target is missing throughout, or has one value only.
    """
    sample = profile.sample
    if target is None:
        inputs = tuple(f.name for f in schema.inputs)
        plain = [*_plain_findings(profile, sample, inputs), *_written(profile, schema, inputs)]
        return by_severity(_once(plain))
    check_target(sample[target], schema[target])
    kept = labelled(sample[target])
    values = sample[target][kept]
    answer = label_answer(values, schema[target])
    y = label_codes(values, list(answer.classes)) if isinstance(answer, Class) else values
    return check_table(
        profile,
        schema,
        sample.take(kept),
        y,
        answer,
        rows=profile.sample_rows[kept],
        target=target,
        time=time,
        seed=seed,
    )


def check_split(
    columns: Columns,
    y: Array,
    train: Array,
    holdout: Array,
    schema: Schema | None = None,
    *,
    rows: IntArray | None = None,
    target: str = "target",
    time: str | None = None,
    group: str | None = None,
    seed: int = 7,
) -> list[Finding]:
    """Name what the holdout shares with training, and how the two differ.

    Parameters
    ----------
    columns, y, rows
        Typed columns, labels and row numbers (default: their positions).
    train, holdout
        Positions of the two parts, or masks.
    schema
        Says which columns are inputs and which play the roles `label`, `time` and `group`, where
        these are not given.
    group
        Column whose groups must not stand on both sides.
    """
    train, holdout = (np.flatnonzero(p) if p.dtype == bool else p for p in (train, holdout))
    rows = np.arange(len(y), dtype=np.int64) if rows is None else rows
    inputs = tuple(columns)
    if schema is not None:
        inputs = tuple(f.name for f in schema.inputs if f.name in columns)
        target = _role(schema, "label") or target
        time, group = time or _role(schema, "time"), group or _role(schema, "group")
    inputs = tuple(n for n in inputs if n not in (target, time, group))
    findings = list(find_overlap(columns.only(inputs), train, holdout))
    if group is not None and group in columns:
        findings += find_shared_groups(columns[group], group, train, holdout)
    if min(len(train), len(holdout)) < 100 or not inputs:
        return by_severity(findings)
    half = _LEARNED_FROM // 2
    at = np.concatenate([_spread(train, half), _spread(holdout, half)])
    later = np.arange(len(at)) >= min(len(train), half)
    watched = {n: columns[n][at] for n in inputs if columns[n].dtype.kind != "M"}
    found = difference(Columns({**watched, target: y[at]}), later, rows[at], seed=seed)
    much = [(n, v) for n, v in found.psi if v >= 0.1]
    if found.surely > 0.6 and much:
        listed = ", ".join(f"{n!r} {v:.2f}" for n, v in much[:5])
        findings.append(
            Finding(
                "split_drift",
                "warning" if found.surely > 0.7 else "note",
                tuple(n for n, _ in much[:5]),
                "training and holdout differ: a small model tells them apart with AUC "
                f"{found.auc:.2f}; PSI {listed}.",
                drop(n for n, _ in much[:5] if n != target),
            )
        )
    return by_severity(findings)


def _closest(profile: Profile, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the columns worth a close look: in very wide tables those nearest to the target."""
    if len(names) <= _MOST_COLUMNS:
        return names
    strength = {c.name: abs(c.correlation or 0.0) for c in profile.columns}
    kept = set(sorted(names, key=lambda n: -strength.get(n, 0.0))[:_MOST_COLUMNS])
    return tuple(n for n in names if n in kept)


def _plain_findings(
    profile: Profile, columns: Columns, inputs: tuple[str, ...]
) -> Iterator[Finding]:
    """Yield what needs no label."""
    empty = list(find_empty(profile, inputs))
    keys = list(find_identifiers(profile, inputs))
    yield from empty
    yield from keys
    useless = _named(f for f in (*empty, *keys) if f.check in DROPPED)
    live = _closest(profile, tuple(n for n in inputs if n not in useless))
    yield from find_repeats(profile)
    yield from find_null_words(profile, inputs)
    yield from find_kept_null_words(profile, inputs)
    yield from find_codes(profile, columns, live)
    yield from find_mixed(profile, columns, live)
    yield from find_outliers(profile, columns, live)
    yield from find_texts(profile, live)


def _written(profile: Profile, schema: Schema, names: tuple[str, ...]) -> Iterator[Finding]:
    """Yield what can be read in more than one way."""
    yield from find_grouped_digits(profile.sample, schema, names)
    yield from find_mixed_dates(schema, names)


def _leaks(
    profile: Profile,
    looked: Rows,
    few: Rows,
    live: tuple[str, ...],
    target: str,
    time: str | None,
) -> Iterator[Finding]:
    """Yield the findings about columns that hold the answer.

    What one search has named is left out of the next, lest one leak hide another.
    """
    if looked.too_few:
        return
    copies = list(find_copies(looked.only(live), looked.labels))
    yield from copies
    live = tuple(n for n in live if n not in _named(copies))
    parts = list(find_parts(looked.only((*live, *((time,) if time else ()))), time))
    yield from parts
    yield from find_later_times(looked.columns, time, live)
    yield from find_missing_patterns(looked.only(live), profile.sample, target)
    live = tuple(n for n in live if n not in _named(parts))
    if live and not few.too_few:
        chosen = few.only(live)
        yield from find_strong(chosen, lone_scores(chosen), target)


def _role(schema: Schema, role: Literal["label", "time", "group"]) -> str | None:
    field = schema.find(role)
    return None if field is None else field.name


def _spread(at: IntArray, limit: int) -> IntArray:
    """Return at most `limit` positions, evenly spread."""
    if len(at) <= limit:
        return at
    return at[np.linspace(0, len(at) - 1, limit).astype(np.int64)]


def _named(findings: Iterable[Finding]) -> set[str]:
    return {name for finding in findings for name in finding.columns}


def _once(findings: list[Finding]) -> list[Finding]:
    """Keep one finding per check and column group, joining the evidence of several."""
    kept: dict[tuple[str, tuple[str, ...]], Finding] = {}
    for finding in findings:
        key = finding.check, finding.columns
        if finding.check == "null_token":
            key = finding.check + finding.evidence, finding.columns
        before = kept.get(key)
        if before is None:
            kept[key] = finding
        else:
            gravest = by_severity([before, finding])[0]
            kept[key] = Finding(
                finding.check,
                gravest.severity,
                finding.columns,
                f"{before.evidence} {finding.evidence}",
                before.fix,
                before.suspicious or finding.suspicious,
            )
    return list(kept.values())
