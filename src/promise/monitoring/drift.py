"""How far a version's inputs and answers have moved since training, feature by feature."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from promise.metrics.drift import SCORE, Drift, add_counts, drift_of
from promise.promises.judge import judge_psi
from promise.promises.spec import Promise
from promise.promises.verdict import Verdict
from promise.records.evidence import EvidenceStore, Observed
from promise.state.moments import from_text

PROMISED = Promise("drift", "psi", at_most=0.1)
"""What drift is held against where nothing was declared."""


@dataclass(frozen=True)
class FeatureDrift:
    """One feature's drift.

    Parameters
    ----------
    feature
        Its name; `score` for the model's own output, `score[i]` for the i-th class.
    psi, null_mean
        The raw index and what chance alone makes of it; None before any row was seen.
    rows
        New rows that were counted.
    """

    feature: str
    psi: float | None
    null_mean: float | None
    rows: int
    verdict: Verdict

    def __str__(self) -> str:
        if self.psi is None or self.null_mean is None:
            return f"{self.feature}: no rows yet"
        words = {"BROKEN": "drifted", "KEPT": "as in training", "UNKNOWN": "too few rows to say"}
        return (
            f"{self.feature}: {words[self.verdict.status]} (psi {self.psi:.3f}, by chance alone "
            f"{self.null_mean:.3f}, {self.rows:,} rows)"
        )


@dataclass(frozen=True)
class DriftReport:
    """The drift of every input and of the score of one version, the largest first."""

    model: str
    version: int
    features: tuple[FeatureDrift, ...]

    @property
    def drifted(self) -> tuple[FeatureDrift, ...]:
        """Those whose drift is beyond chance and beyond what was promised."""
        return tuple(f for f in self.features if f.verdict.status == "BROKEN")

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary."""
        features = [{**vars(f), "verdict": f.verdict.to_json()} for f in self.features]
        return {"model": self.model, "version": self.version, "features": features}


def counted_since(
    evidence: EvidenceStore, model: str, version: int, since: datetime | None = None
) -> dict[str, Any]:
    """Return the counts per frozen bin of each feature, over all machines and periods."""
    return summed_counts(evidence.observed(model, version, "psi", since), since)


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


def drift_report(
    evidence: EvidenceStore,
    model: str,
    version: int,
    reference: Mapping[str, Any],
    *,
    since: datetime | None = None,
    promise: Promise = PROMISED,
) -> DriftReport:
    """Report the drift of every feature with frozen bins, as raw PSI beside its null mean.

    Parameters
    ----------
    reference
        The version's `reference.json`.
    since
        Only periods (hours, cut where a stage began) that began at or after this moment.
    promise
        A promise on `psi`: its bound and key are used.
    """
    counts = counted_since(evidence, model, version, since)
    entries = _entries(reference, counts)
    judged = []
    for name, entry, counted in entries:
        drift = None if counted is None else drift_of(entry, counted)
        verdict = Verdict(promise.key, promise.that, "UNKNOWN", promise.bound)
        if counted is not None:
            verdict = judge_psi(promise, entry, counted, features=len(entries))
        judged.append(_feature(name, drift, verdict))
    judged.sort(key=lambda f: (-(f.psi if f.psi is not None else -1.0), f.feature))
    return DriftReport(model, version, tuple(judged))


def _feature(name: str, drift: Drift | None, verdict: Verdict) -> FeatureDrift:
    if drift is None:
        return FeatureDrift(name, None, None, 0, verdict)
    return FeatureDrift(name, drift.psi, drift.null_mean, drift.n_new, verdict)


def _entries(
    reference: Mapping[str, Any], counts: Mapping[str, Any]
) -> list[tuple[str, dict[str, Any], dict[str, Any] | None]]:
    """Return (name, frozen bins, counts) of each input, and of the score or each class's share."""
    found = []
    for feature, entry in reference.items():
        name = "score" if feature == SCORE else feature
        counted = counts.get(feature)
        if isinstance(entry, list):
            parts = [None] * len(entry) if counted is None else counted
            pairs = zip(entry, parts, strict=True)
            found += [(f"{name}[{i}]", one, part) for i, (one, part) in enumerate(pairs)]
        else:
            found.append((name, entry, counted))
    return found
