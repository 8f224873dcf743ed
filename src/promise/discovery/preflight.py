"""What a discovery will need, told before anything is loaded: rows, memory, time, the way out."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from promise.data.answer import Answer, Class
from promise.data.rows import Size
from promise.data.schema import Schema
from promise.discovery.cautions import of_memory, of_time, size_told, span_told
from promise.discovery.costs import CHILD_MB, PARENT_MB, ZYGOTE_MB, Costs
from promise.engine.memory import available_mb
from promise.errors import MemoryRefused
from promise.selection.limits import FIT_SHARE

__all__ = ["CHILD_MB", "PARENT_MB", "ZYGOTE_MB", "Costs", "FamilyNeed", "Preflight", "preflight"]

How = Literal["in memory", "sampled", "streamed", "refused"]

MIN_ROWS = 1_000  # a discovery below this, though there are more rows, is no help to anyone
HEADROOM = 0.92  # how much of the bound a plan may use: the model is not exact
OF_MACHINE = 0.8  # how much of the free memory a run without --memory may use

_STREAMED = frozenset({"baseline", "linear", "xgboost", "lightgbm"})  # can train past memory
_MICROSECONDS = {  # per cell and output of one fit on one thread, with default parameters
    "baseline": 0.01,
    "linear": 0.5,
    "decision_tree": 2.0,
    "random_forest": 30.0,
    "xgboost": 18.0,
    "lightgbm": 18.0,
    "mlp": 20.0,
    "lstm": 150.0,
}
_COUNTING = {"decision_tree": 0.01, "random_forest": 0.0}  # what a class adds to such a fit
_GROWING = "random_forest"  # what a fit holds grows with its time, until the clock ends it
_GROWN = 0.65  # of its worst case, with time enough: few forests split every leaf to the end
_LEARNED = 0.8  # share of the rows used that fits learn from; the others are the sealed holdout
_RACING = 0.6  # share of the budget that the race has
_READ_MB_PER_S = 40.0
_FITS_PER_FAMILY = 8  # folds and configurations, without a clock


@dataclass(frozen=True)
class FamilyNeed:
    """What one fit of a family needs.

    Parameters
    ----------
    memory_mb
        One fit on the rows used, its matrix included.
    full_mb
        One fit on all rows of the source.
    fit_s
        One fit on the rows used, on one thread.
    how
        What becomes of all rows of the source: `in memory`, `sampled`, `streamed` where the
        family can train past memory, `refused` when not even the rows used fit.
    """

    name: str
    memory_mb: float
    full_mb: float
    fit_s: float
    how: How


@dataclass(frozen=True)
class Preflight:
    """Whether and how a discovery fits, with its reasons.

    Parameters
    ----------
    how
        `in memory`: all rows are used; `sampled`: fewer, as asked or for want of memory;
        `streamed`: sampled, and the whole source is larger than memory.
    rows_used
        How many rows are loaded and split.
    table_mb
        Typed columns of the rows used; `full_table_mb` of all rows.
    peak_mb
        Estimated peak of the sum of all processes' memory.
    at_once
        How many fits run at once within the bound.
    eta_s
        Estimated seconds in all; the budget where there is one.
    """

    how: How
    reason: str
    rows: int
    rows_exact: bool
    rows_used: int
    table_mb: float
    full_table_mb: float
    memory_mb: float
    peak_mb: float
    at_once: int
    eta_s: float
    families: tuple[FamilyNeed, ...]
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary."""
        return {**asdict(self), "describe": self.describe()}

    def describe(self) -> list[str]:
        """Return what a person wants to know before the run, in sentences."""
        about = "" if self.rows_exact else "about "
        lines = [
            f"The source has {about}{self.rows:,} rows, {size_told(self.full_table_mb)} once "
            f"typed; {self.rows_used:,} rows ({size_told(self.table_mb)}) are used: {self.reason}.",
            f"Estimated peak memory {size_told(self.peak_mb)} of {size_told(self.memory_mb)}, with "
            f"{self.at_once} fit{'s' if self.at_once > 1 else ''} at once; "
            f"estimated time {span_told(self.eta_s)}.",
        ]
        for need in self.families:
            lines.append(
                f"{need.name}: {size_told(need.memory_mb)} and {span_told(need.fit_s)} a fit; "
                f"all rows would take {size_told(need.full_mb)} ({need.how})."
            )
        return lines


def preflight(
    size: Size,
    schema: Schema,
    answer: Answer,
    *,
    families: Iterable[type[Any]],
    sample: int,
    memory_mb: float | None,
    threads: int,
    budget_s: float | None,
    pace: float = 1.0,
    forced: bool = False,
) -> Preflight:
    """Plan a discovery within a memory bound: fewer fits at once first, then fewer rows.

    Parameters
    ----------
    families
        Estimator types; one whose fit does not fit is left out of the plan and named. Those
        that need an order of rows count only where a column could give one.
    sample
        How many rows were asked for.
    memory_mb
        Bound on all processes together; None: what the machine can spare.
    pace
        Seconds on the wall for one second of computing: above 1 where others use the machine.
    forced
        Whether the families were named: then they race even where rows have no order.

    Raises
    ------
    MemoryRefused
        When not even the smallest useful sample fits; names the need and the way out.
    """
    kinds = _runnable(list(families), schema, answer, forced)
    costs = Costs.of(size, schema, answer)
    bound = OF_MACHINE * (available_mb() + PARENT_MB) if memory_mb is None else memory_mb
    room = HEADROOM * bound
    asked = min(sample, size.rows)
    floor = min(asked, MIN_ROWS)
    fitting = [f for f in kinds if costs.peak_mb([f], floor, 1) <= room]
    if not fitting:
        need = min((costs.peak_mb([f], floor, 1) for f in kinds), default=0.0) / HEADROOM
        raise MemoryRefused(
            f"even {floor:,} rows of {costs.columns:,} columns need about {size_told(need)} of "
            f"memory, and the bound is {size_told(bound)}; allow more with --memory "
            f"{max(0.5, need * 1.1 / 1024):.1f}GB, or leave columns out."
        )
    # A family that would shrink everyone's sample to less than half is left out instead.
    able = [f for f in fitting if costs.peak_mb([f], max(floor, asked // 2), 1) <= room] or fitting
    rows = _most_rows(costs, able, asked, floor, room)
    at_once = max(1, threads)
    while at_once > 1 and costs.peak_mb(able, rows, at_once) > room:
        at_once -= 1
    needs = tuple(_need(costs, f, rows, size.rows, room, able) for f in kinds)
    how, reason = _decision(costs, size, asked, rows, bound, room)
    left_out = [f.kind for f in kinds if f not in able]
    return Preflight(
        how=how,
        reason=reason,
        rows=size.rows,
        rows_exact=size.exact,
        rows_used=rows,
        table_mb=costs.table_mb(rows),
        full_table_mb=costs.table_mb(size.rows),
        memory_mb=bound,
        peak_mb=costs.expected_mb(_shares(able, needs, budget_s, pace), rows, at_once),
        at_once=at_once,
        eta_s=_eta_s(size, needs, at_once, budget_s),
        families=needs,
        warnings=(
            *of_memory(asked, rows, at_once, threads, left_out, bound),
            *of_time(
                {n.name: n.fit_s for n in needs if n.how != "refused"}, costs.classes, budget_s
            ),
        ),
    )


def _shares(
    families: list[type[Any]], needs: tuple[FamilyNeed, ...], budget_s: float | None, pace: float
) -> dict[type[Any], float]:
    """Return which share of its worst case each family's fit reaches in the time that it has."""
    shares = dict.fromkeys(families, 1.0)
    seconds = {need.name: need.fit_s for need in needs}
    for family in families:
        if family.kind == _GROWING:
            shares[family] = _GROWN
            if budget_s is not None:
                limit_s = FIT_SHARE * _RACING * budget_s / pace
                fit_s = max(1e-9, _LEARNED * seconds[family.kind])
                shares[family] *= min(1.0, limit_s / fit_s)
    return shares


def _runnable(
    families: list[type[Any]], schema: Schema, answer: Answer, forced: bool
) -> list[type[Any]]:
    """Leave out families that the race will skip: of too many classes, or of rows in no order."""
    classes = answer.n_classes if isinstance(answer, Class) else 0
    most = {f: getattr(f, "most_classes", math.inf) for f in families}
    families = [f for f in families if classes <= most[f]] or families
    if forced or any(field.type == "date" or field.role == "time" for field in schema.fields):
        return families
    return [f for f in families if not f.ordered] or families


def _most_rows(costs: Costs, families: list[type[Any]], asked: int, floor: int, room: float) -> int:
    """Return the most rows, up to those asked for, with which one fit at a time fits."""
    if costs.peak_mb(families, asked, 1) <= room:
        return asked
    low, high = floor, asked  # the need grows with the rows: bisect
    while high - low > max(1, low // 100):
        middle = (low + high) // 2
        if costs.peak_mb(families, middle, 1) <= room:
            low = middle
        else:
            high = middle
    return low


def _need(
    costs: Costs,
    family: type[Any],
    rows: int,
    all_rows: int,
    room: float,
    able: list[type[Any]],
) -> FamilyNeed:
    """Tell what one family needs, on the rows used and on all rows."""
    how: How
    if family not in able:
        how = "refused"
    elif costs.peak_mb([family], all_rows, 1) <= room:
        how = "in memory"
    else:
        how = "streamed" if family.kind in _STREAMED else "sampled"
    outputs = float(max(1, costs.classes if costs.classes > 2 else 1))
    if family.kind in _COUNTING:
        outputs = 1 + _COUNTING[family.kind] * outputs
    cost = _MICROSECONDS.get(family.kind, 20.0) * outputs
    return FamilyNeed(
        name=family.kind,
        memory_mb=costs.fit_mb(family, rows),
        full_mb=costs.fit_mb(family, all_rows),
        fit_s=cost * rows * costs.matrix_columns / 1e6,
        how=how,
    )


def _decision(
    costs: Costs, size: Size, asked: int, rows: int, bound: float, room: float
) -> tuple[How, str]:
    """Say how the rows are used, and why."""
    streamed = costs.reading_mb(size.rows) + ZYGOTE_MB > room
    how: How = "streamed" if streamed else "sampled"
    if rows < asked:
        return how, f"more do not fit into {size_told(bound)} (use --memory to allow more)"
    if rows < size.rows:
        also = "; the whole is larger than memory and is only streamed" if streamed else ""
        return how, f"a sample was asked for{also}"
    return "in memory", "all of them fit into memory"


def _eta_s(
    size: Size, needs: tuple[FamilyNeed, ...], at_once: int, budget_s: float | None
) -> float:
    """Estimate the seconds in all: the budget is spent where there is one."""
    reading = 3 * size.bytes / 2**20 / _READ_MB_PER_S  # label, profile and sample pass
    if budget_s is not None:
        return max(budget_s, reading)
    fits = sum(need.fit_s for need in needs if need.how != "refused")
    return 10.0 + reading + _FITS_PER_FAMILY * fits / at_once
