"""The first design's monitor: what extraction costs and whether the answers have moved."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from promise.engine.memory import pss_mb
from promise.errors import DataError
from promise.metrics.drift import drift_of, rows_for_psi

_BOUND, _ALPHA = 0.1, 0.01


@dataclass
class ProductionMonitor:
    """Counts what is extracted and answered, and reports on it.

    Parameters
    ----------
    reference
        How many training articles each class had; what predicted classes are held against.

    Examples
    --------
    >>> monitor = ProductionMonitor({"sport": 500, "money": 500})
    >>> monitor.track_extraction(200, 0.5, classes=["sport"] * 180 + ["money"] * 20)
    >>> told = monitor.report()
    >>> told["articles"], told["extraction_ms"], round(told["drift"]["psi"], 1)
    (200, 2.5, 0.9)
    >>> told["drift"]["drifted"]
    True
    """

    reference: Mapping[str, int] = field(default_factory=dict)
    _articles: int = 0
    _seconds: float = 0.0
    _slowest_s: float = 0.0
    _cache: dict[str, Any] = field(default_factory=dict)
    _classes: Counter[str] = field(default_factory=Counter)

    def track_extraction(
        self,
        n_articles: int,
        seconds: float,
        *,
        cache: Mapping[str, Any] | None = None,
        classes: Sequence[str] = (),
    ) -> None:
        """Count one batch.

        Parameters
        ----------
        cache
            What `AdaptiveFeatureExtractor.get_cache_stats` said after it.
        classes
            The classes that were predicted.

        Raises
        ------
        DataError
            For a negative number or time.
        """
        if n_articles < 0 or seconds < 0:
            raise DataError(
                f"{n_articles} articles in {seconds} seconds cannot be; neither is below zero."
            )
        self._articles += n_articles
        self._seconds += seconds
        if n_articles:
            self._slowest_s = max(self._slowest_s, seconds / n_articles)
        if cache is not None:
            self._cache = dict(cache)
        self._classes.update(map(str, classes))

    def report(self) -> dict[str, Any]:
        """Return what was counted, JSON-ready.

        `articles`, mean and slowest batch's `extraction_ms` an article, `articles_per_s`, the
        cache's last figures, this process's `memory_mb`, and `drift` of the predicted classes.
        """
        return {
            "articles": self._articles,
            "extraction_ms": 1000 * self._seconds / max(1, self._articles),
            "slowest_ms": 1000 * self._slowest_s,
            "articles_per_s": self._articles / self._seconds if self._seconds else 0.0,
            "cache": self._cache,
            "memory_mb": pss_mb(os.getpid()),
            "predicted": dict(self._classes),
            "drift": self._drift(),
        }

    def _drift(self) -> dict[str, Any] | None:
        """Return the stability index of the predicted classes; None before it can be told.

        `drifted` is None while chance alone might break the bound.
        """
        known = sum(self.reference.values())
        entry = {"kind": "category", "counts": self.reference, "rows": known, "known": known}
        new = sum(n for name, n in self._classes.items() if name not in self.reference)
        bins = [self._classes[name] for name in self.reference]
        found = drift_of(entry, {"bins": bins, "unseen": new, "missing": 0}) if known else None
        if found is None:
            return None
        needed = rows_for_psi(
            _BOUND, _ALPHA, n_bins=found.n_bins, n_reference=float(found.n_reference)
        )
        told = needed is not None and found.n_new >= needed
        drifted = found.psi > _BOUND if told else None
        return {"psi": found.psi, "rows": found.n_new, "rows_needed": needed, "drifted": drifted}
