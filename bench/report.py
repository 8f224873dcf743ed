"""The numbers of `bench tables` as Markdown: scores, wins and losses, overshoot, memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

Record = dict[str, Any]
Scores = dict[str, dict[str, Record]]  # table, system

TIE = 0.002
OURS = "promise"
_SHOWN = {"promise": "Promise", "flaml": "FLAML", "autogluon": "AutoGluon"}
_RESAMPLES = 2000


def markdown(records: Sequence[Record]) -> str:
    """Return the report of all budgets and seeds in the records."""
    parts = []
    for key in sorted({(r["budget_s"], r["seed"]) for r in records}):
        chosen = [r for r in records if (r["budget_s"], r["seed"]) == key]
        parts += [f"### {key[0]:g} s each, seed {key[1]}", *_quality(chosen), *budget_lines(chosen)]
    return "\n".join(parts) if parts else "no results yet"


def normalised(row: dict[str, Record], systems: Iterable[str]) -> dict[str, float]:
    """Place each score between the trivial baseline (0) and the best system (1) of its table.

    A failed system gets what the baseline gets. Where no system beats the baseline all get 0.

    Examples
    --------
    >>> row = {"a": {"score": 0.9, "baseline": 0.5}, "b": {"score": 0.7, "baseline": 0.5}}
    >>> {name: round(value, 3) for name, value in normalised(row, ["a", "b"]).items()}
    {'a': 1.0, 'b': 0.5}
    """
    scores = {name: row[name]["score"] for name in systems}
    baseline = next(iter(row.values()))["baseline"]
    best = max((s for s in scores.values() if s is not None), default=baseline)
    if best <= baseline:
        return dict.fromkeys(scores, 0.0)
    return {
        name: 0.0 if s is None else max(0.0, (s - baseline) / (best - baseline))
        for name, s in scores.items()
    }


def compared(ours: float | None, theirs: float | None) -> str:
    """Say whether we win, tie or lose; a failure loses, two failures tie.

    Examples
    --------
    >>> compared(0.9, 0.895), compared(0.9, 0.901), compared(None, 0.1)
    ('win', 'tie', 'loss')
    """
    if ours is None or theirs is None:
        return "tie" if ours == theirs else ("win" if theirs is None else "loss")
    if abs(ours - theirs) <= TIE:
        return "tie"
    return "win" if ours > theirs else "loss"


def _quality(records: Sequence[Record]) -> list[str]:
    """Compare on the tables where every system has run, so that all means are of the same."""
    by_table: Scores = {}
    for r in records:
        by_table.setdefault(r["table"], {})[r["system"]] = r
    systems = [name for name in _SHOWN if any(name in row for row in by_table.values())]
    whole = {t: row for t, row in by_table.items() if all(name in row for name in systems)}
    lines = [
        "",
        f"{len(whole)} tables on which all of {', '.join(_SHOWN[s] for s in systems)} have run"
        + (f"; {len(by_table) - len(whole)} unfinished" if len(by_table) > len(whole) else "")
        + ". Versions: "
        + ", ".join(f"{_SHOWN[s]} {_latest(records, s)['version']}" for s in systems)
        + f". Machine: {records[-1]['machine']}.",
        "",
    ]
    if whole:
        lines += [*_summary(whole, systems), "", *_rows(whole, systems), "", *_losses(whole)]
    return lines


def _summary(whole: Scores, systems: list[str]) -> list[str]:
    places = {t: normalised(row, systems) for t, row in whole.items()}
    lines = [
        "| system | mean normalised score | Promise minus it (95 % interval) "
        "| Promise wins / ties / losses | win or tie | failed |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name in systems:
        values = np.array([place[name] for place in places.values()])
        failed = sum(row[name]["score"] is None for row in whole.values())
        cells = [_SHOWN[name], f"{values.mean():.3f}", "", "", "", str(failed)]
        if name != OURS and OURS in systems:
            gaps = np.array([place[OURS] for place in places.values()]) - values
            low, high = _interval(gaps)
            ends = [compared(r[OURS]["score"], r[name]["score"]) for r in whole.values()]
            counts = [ends.count(end) for end in ("win", "tie", "loss")]
            cells[2] = f"{gaps.mean():+.3f} ({low:+.3f} to {high:+.3f})"
            cells[3] = " / ".join(map(str, counts))
            cells[4] = f"{(counts[0] + counts[1]) / len(ends):.0%}"
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _rows(whole: Scores, systems: list[str]) -> list[str]:
    names = " | ".join(_SHOWN[s] for s in systems)
    lines = [
        f"| table | metric | rows learned / scored | trivial | {names} | best of Promise |",
        "| --- " * (5 + len(systems)) + "|",
    ]
    for table in sorted(whole):
        row = whole[table]
        first = row[systems[0]]
        scores = [row[s]["score"] for s in systems if row[s]["score"] is not None]
        top = max(scores, default=0.0)
        cells = [
            table,
            "R²" if first["metric"] == "r2" else str(first["metric"]),
            f"{first['train_rows']:,} / {first['test_rows']:,}",
            f"{first['baseline']:.4f}",
            *(_score(row[s], top) for s in systems),
            str(row.get(OURS, {}).get("best", "")),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _score(record: Record, top: float) -> str:
    if record["score"] is None:
        return "failed"
    low, high = record["ci"]
    shown = f"{record['score']:.4f}"
    shown = f"**{shown}**" if top - record["score"] <= TIE else shown
    return f"{shown} ({low:.3f}–{high:.3f})"


def _losses(whole: Scores) -> list[str]:
    """Name where we lose, largest first, and every failure with its reason."""
    lines = []
    for peer, shown in _SHOWN.items():
        if peer == OURS:
            continue
        lost = [
            (row[peer]["score"] - row[OURS]["score"], t)
            for t, row in whole.items()
            if {peer, OURS} <= set(row)
            and None not in (row[peer]["score"], row[OURS]["score"])
            and compared(row[OURS]["score"], row[peer]["score"]) == "loss"
        ]
        if lost:
            named = ", ".join(f"{t} (by {gap:.4f})" for gap, t in sorted(lost, reverse=True))
            lines += [f"Where Promise loses to {shown}: {named}.", ""]
    for table, row in whole.items():
        for name, record in row.items():
            if record["score"] is None:
                lines += [f"{_SHOWN[name]} failed on {table}: {record['error']}", ""]
    return lines


def budget_lines(records: Sequence[Record]) -> list[str]:
    """Tell how far runs went past their budget, and how near the memory estimates were."""
    lines = [
        "| system | runs | over the budget: median, worst | runs over by more than 5 % "
        "| peak memory: median, worst |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, shown in _SHOWN.items():
        done = [r for r in records if r["system"] == name and r["score"] is not None]
        if not done:
            continue
        over = np.array([r["wall_s"] / r["budget_s"] - 1 for r in done])
        peak = np.array([r["peak_mb"] for r in done])
        lines.append(
            f"| {shown} | {len(done)} | {np.median(over):+.1%}, {over.max():+.1%} "
            f"| {np.sum(over > 0.05)} | {np.median(peak):,.0f} MiB, {peak.max():,.0f} MiB |"
        )
    told = [r for r in records if r.get("estimate_mb")]
    if told:
        ratio = np.array([r["peak_mb"] / r["estimate_mb"] for r in told])
        near = np.abs(ratio - 1) <= 0.25
        low, middle, high = np.quantile(ratio, (0.05, 0.5, 0.95))
        lines += [
            "",
            f"Promise's peak memory lay within ±25 % of its estimate in {near.mean():.0%} of "
            f"{len(told)} runs; peak ÷ estimate: median {middle:.2f}, 5 % to 95 % of runs "
            f"{low:.2f} to {high:.2f}.",
        ]
        far = sorted(
            (f"{r['table']} ({r['peak_mb']:,.0f} of {r['estimate_mb']:,.0f} MiB)")
            for r, is_near in zip(told, near, strict=True)
            if not is_near
        )
        lines += ["", f"Outside: {', '.join(far)}."] if far else []
    return [*lines, ""]


def _latest(records: Sequence[Record], system: str) -> Record:
    return next(r for r in reversed(records) if r["system"] == system)


def _interval(values: Any) -> tuple[float, float]:
    """Return a 95 % interval of a mean, by bootstrap over tables."""
    rng = np.random.default_rng(7)
    means = values[rng.integers(0, len(values), (_RESAMPLES, len(values)))].mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)
