"""Verdicts as people read them: promise, measured, interval, verdict."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from io import StringIO

from rich.console import Console
from rich.table import Table

from promise.promises.measures import amount
from promise.promises.spec import ModelFile, Promise
from promise.promises.verdict import Verdict
from promise.rollout.measures import evidence_of

_STYLES = {"KEPT": "green", "BROKEN": "red", "UNKNOWN": "yellow"}


def verdict_table(
    declared: ModelFile, verdicts: Iterable[Verdict], blocking: Sequence[str] = ()
) -> Table:
    """Return one row for each verdict; what blocks is marked, and what is no promise comes last."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("promise", "asked", "measured", "interval", "seen", "verdict", ""):
        table.add_column(heading, justify="right" if heading == "seen" else "left")
    promises = {p.key: p for p in declared.promises}
    shown = set()
    for verdict in verdicts:
        promise = promises.get(verdict.promise)
        shown.add(verdict.promise)
        mark = "blocks" if verdict.promise in blocking else "warns" if verdict.warns else ""
        table.add_row(
            verdict.promise,
            verdict.that if promise is None else asked(promise),
            measured(promise, verdict.measured),
            interval(promise, verdict),
            f"{verdict.n:,}",
            f"[{_STYLES[verdict.status]}]{verdict.status}[/]",
            " ".join(part for part in (mark, _said(verdict)) if part),
        )
    for what in blocking:
        if what not in shown:
            table.add_row(what, "", "", "", "", "[red]BROKEN[/]", "blocks")
    return table


def table_text(
    declared: ModelFile, verdicts: Iterable[Verdict], blocking: Sequence[str] = ()
) -> str:
    """Return the table as plain text, for errors and logs."""
    written = StringIO()
    console = Console(file=written, width=140, no_color=True, highlight=False)
    console.print(verdict_table(declared, verdicts, blocking))
    return "\n".join(line.rstrip() for line in written.getvalue().splitlines())


def asked(promise: Promise) -> str:
    """Return what a promise asks, with its unit.

    Examples
    --------
    >>> asked(Promise("speed", "latency_p99", at_most=12.0))
    'latency_p99 ≤ 12 ms'
    >>> asked(Promise("quality", "accuracy", at_least=0.8))
    'accuracy ≥ 0.8'
    >>> asked(Promise("errors", "request_errors", at_most=0.01))
    'request_errors ≤ 1 %'
    """
    sign = "≤" if promise.at_most is not None else "≥"
    of = f" of {promise.of}" if promise.of else ""
    return f"{promise.that}{of} {sign} {amount(promise.that, promise.bound)}"


def measured(promise: Promise | None, value: float | None) -> str:
    """Return a measured value with its unit; latencies are the share that took longer.

    Examples
    --------
    >>> measured(Promise("speed", "latency_p99", at_most=12.0), 0.0042)
    '0.42 % slower'
    >>> measured(None, 0.912345), measured(None, None)
    ('0.9123', '–')
    """
    if value is None:
        return "–"
    if promise is None:
        return f"{value:.4g}"
    if evidence_of(promise) == "latency":
        return f"{value * 100:.3g} % slower"
    return amount(promise.that, value)


def interval(promise: Promise | None, verdict: Verdict) -> str:
    """Return the interval of a verdict, or a dash."""
    if verdict.low is None and verdict.high is None:
        return "–"
    low, high = (
        measured(promise, end).removesuffix(" slower") for end in (verdict.low, verdict.high)
    )
    return f"{low} … {high}"


def _said(verdict: Verdict) -> str:
    if verdict.status == "UNKNOWN" and verdict.needed:
        return f"needs about {verdict.needed:,} more"
    return verdict.reason if verdict.status != "KEPT" else ""
