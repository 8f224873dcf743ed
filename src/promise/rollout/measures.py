"""Which evidence a promise is judged on, by what it measures."""

from __future__ import annotations

from promise.promises.measures import Kind, measure_named
from promise.promises.spec import Promise

__all__ = ["Kind", "evidence_of"]


def evidence_of(promise: Promise) -> Kind:
    """Return what a promise is judged on.

    Examples
    --------
    >>> evidence_of(Promise("speed", "latency_p99", at_most=12.0))
    'latency'
    """
    return measure_named(promise.that).kind
