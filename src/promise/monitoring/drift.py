"""What machines counted in frozen bins, hour by hour, summed for a verdict on drift."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from promise.metrics.drift import add_counts
from promise.records.evidence import Observed
from promise.state.moments import from_text


def summed_counts(seen: Iterable[Observed], since: datetime | None = None) -> dict[str, Any]:
    """Sum counts per frozen bin by feature, of periods that began at or after a moment.

    Examples
    --------
    >>> at = datetime.fromisoformat("2026-01-01T12:30:00+00:00")
    >>> counts = {"bins": [3, 1], "unseen": 0, "missing": 0}
    >>> payload = {"feature": "age", "begun": "2026-01-01T12:00:00+00:00", "counts": counts}
    >>> seen = [Observed("psi", at, payload)]
    >>> summed_counts(seen)["age"]["bins"], summed_counts(seen, since=at)
    ([3, 1], {})
    """
    found: dict[str, Any] = {}
    for observed in seen:
        begun = observed.payload.get("begun")
        if since is not None and (from_text(begun) if begun else observed.at) < since:
            continue
        feature, counts = observed.payload["feature"], observed.payload["counts"]
        found[feature] = add_counts(found[feature], counts) if feature in found else counts
    return found
