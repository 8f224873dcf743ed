"""Which evidence a promise is judged on, by what it measures."""

from __future__ import annotations

from promise.promises.measures import Kind, measure_named
from promise.promises.spec import ModelFile, Promise

__all__ = ["Kind", "evidence_of", "latency_targets"]


def evidence_of(promise: Promise) -> Kind:
    """Return what a promise is judged on.

    Examples
    --------
    >>> evidence_of(Promise("speed", "latency_p99", at_most=12.0))
    'latency'
    """
    return measure_named(promise.that).kind


def latency_targets(declared: ModelFile) -> tuple[float, ...]:
    """Return the latency bounds of a declaration in milliseconds, which are counted exactly."""
    found = {p.bound for p in declared.promises if evidence_of(p) == "latency"}
    return tuple(sorted(found))
