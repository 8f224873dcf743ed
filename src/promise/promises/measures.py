"""What can be promised: each measure with its unit, its legal bound and its defaults."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from promise.data.answer import Class, Decision, Number
from promise.errors import ConfigError, near
from promise.metrics.fairness import MEASURES as FAIRNESS
from promise.metrics.pointwise import METRICS, metric_named
from promise.promises import units
from promise.promises.spec import STAGES, Action, Due, Promise

Kind = Literal["errors", "latency", "throughput", "memory", "psi", "metric", "fairness"]
Side = Literal["at_most", "at_least"]

_LATENCY = re.compile(r"latency_p([0-9]{1,2}(?:\.[0-9]+)?)")
_ABOVE_ONE = ("log_loss", "rmse", "mae", "mape", "rmsle", "median_absolute_error", "brier")
_BELOW_ZERO = ("r2", "matthews")


@dataclass(frozen=True)
class Measure:
    """Something that a promise can be about.

    Parameters
    ----------
    name
        Its canonical name.
    side
        Which bound it can have: `at_most` where less is better.
    units
        Unit to factor, for bounds written with one.
    low, high
        Between these the bound must lie, both excluded.
    due
        The stage in which it is due when nothing is said.
    judged_in
        The stages that have evidence of it.
    on_break
        What follows a break when nothing is said.
    """

    name: str
    kind: Kind
    side: Side
    units: Mapping[str, float]
    low: float
    high: float
    due: Due
    judged_in: tuple[Due, ...] = STAGES
    on_break: tuple[Action, ...] = ("alert",)

    @property
    def of(self) -> Literal["required", "allowed", "refused"]:
        """Whether a promise about it names a column."""
        return {"fairness": "required", "psi": "allowed"}.get(self.kind, "refused")  # type: ignore[return-value]


_FIXED = (
    Measure(
        "request_errors", "errors", "at_most", units.SHARE, 0, 1, "canary", STAGES, ("rollback",)
    ),
    Measure("throughput", "throughput", "at_least", units.RATE, 0, math.inf, "gate", ("gate",)),
    Measure("memory", "memory", "at_most", units.MEMORY_MIB, 0, math.inf, "gate"),
    Measure("psi", "psi", "at_most", units.PLAIN, 0, math.inf, "live", ("canary", "live")),
)  # fmt: skip
_BY_NAME = {measure.name: measure for measure in _FIXED}

KNOWN = (
    *_BY_NAME,
    *(f"latency_p{q}" for q in (50, 90, 95, 99)),
    *(metric.name for metric in METRICS),
    *FAIRNESS,
)
"""Names to choose from; `latency_p` takes any percentile."""


def measure_named(name: str) -> Measure:
    """Return the measure of this name; scikit-learn's names of metrics are understood too.

    Raises
    ------
    ConfigError
        When nothing of this name can be promised; near matches are named.

    Examples
    --------
    >>> measure_named("latency_p99").units["s"], measure_named("auc").name
    (1000.0, 'roc_auc')
    >>> measure_named("accuracy").side, measure_named("rmse").side
    ('at_least', 'at_most')
    """
    if name in _BY_NAME:
        return _BY_NAME[name]
    if percentile(name) is not None:
        return Measure(
            name, "latency", "at_most", units.LATENCY_MS, 0, math.inf, "canary", STAGES,
            ("rollback",),
        )  # fmt: skip
    if name in FAIRNESS:
        side: Side = "at_least" if name.endswith("_ratio") else "at_most"
        return Measure(name, "fairness", side, units.PLAIN, 0, 1, "gate")
    for answer in (Class(("no", "yes")), Number(), Decision()):
        try:
            metric = metric_named(name, answer)
        except ConfigError:
            continue
        low = -math.inf if metric.name in _BELOW_ZERO else 0.0
        high = math.inf if metric.name in _ABOVE_ONE else 1.0
        side = "at_least" if metric.greater_is_better else "at_most"
        return Measure(metric.name, "metric", side, units.PLAIN, low, high, "gate")
    raise ConfigError(f"nothing called {name!r} can be promised; {near(name, KNOWN)}")


def percentile(name: str) -> float | None:
    """Return the percentile of a latency measure, None for another measure.

    Examples
    --------
    >>> percentile("latency_p99.9"), percentile("memory")
    (99.9, None)
    """
    found = _LATENCY.fullmatch(name)
    value = float(found[1]) if found else 0.0
    return value if value > 0 else None


def tolerated_share(that: str, bound: float) -> float | None:
    """Return the share of requests that may be bad; None for what is no share.

    Examples
    --------
    >>> tolerated_share("request_errors", 0.01), tolerated_share("latency_p95", 12.0)
    (0.01, 0.05)
    """
    if that == "request_errors":
        return bound
    at = percentile(that)
    return None if at is None else round(1 - at / 100, 10)


def latency_targets(promises: Iterable[Promise]) -> tuple[float, ...]:
    """Return the latencies in milliseconds that are to be counted exactly: bounds and warnings.

    Examples
    --------
    >>> speed = Promise("speed", "latency_p99", at_most=12.0, warn=8.0)
    >>> latency_targets([speed, Promise("errors", "request_errors", at_most=0.01)])
    (8.0, 12.0)
    """
    latencies = [each for each in promises if percentile(each.that) is not None]
    found = {each.bound for each in latencies}
    return tuple(sorted(found | {each.warn for each in latencies if each.warn is not None}))


def amount(that: str, value: float) -> str:
    """Return a bound or a value with its unit, for sentences.

    Examples
    --------
    >>> amount("latency_p99", 12.0), amount("memory", 8192.0), amount("request_errors", 0.0053)
    ('12 ms', '8,192 MiB', '0.53 %')
    """
    kind = measure_named(that).kind
    match kind:
        case "errors":
            return f"{100 * value:.3g} %"
        case "latency":
            return f"{value:.6g} ms"
        case "memory":
            return f"{value:,.0f} MiB"
        case "throughput":
            return f"{value:,.0f} requests/s"
        case _:
            return f"{value:.4g}"
