"""The whole story of a version on one page: its own card, promises, lifecycle and lineage."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from promise.promises.spec import Promise
from promise.registry.gates import Gated, Gates
from promise.registry.lifecycle import Transition
from promise.registry.registry import Registry
from promise.registry.revisions import Revision, Revisions
from promise.registry.verdicts import Judged, Verdicts
from promise.registry.versions import Version

_ARROWS = ("source", "fingerprint", "rows_used", "split", "seed")


@dataclass(frozen=True)
class Standing:
    """Everything the registry knows of a version beside its files.

    Parameters
    ----------
    role
        What it does now: `live`, `standby`, `shadow`, `canary`, `bake`, `experiment` or None.
    aliases
        Those that point at it.
    gate
        The last gate that the version came to; None where it came to none.
    history
        The links of the chain in which its role or state changed.
    """

    version: Version
    role: str | None
    aliases: tuple[str, ...]
    revision: Revision
    verdicts: tuple[Judged, ...]
    history: tuple[Transition, ...]
    gate: Gated | None = None

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary."""
        return {
            "role": self.role,
            "aliases": list(self.aliases),
            "promises": {
                "revision": self.revision.number,
                "declared": [promise.to_json() for promise in self.revision.declared.promises],
                "verdicts": [judged.to_json() for judged in self.verdicts],
            },
            "gate": None if self.gate is None else self.gate.to_json(),
            "history": [
                {key: link.to_json()[key] for key in ("seq", "at", "kind", "reason", "actor")}
                | {"role": link.route.role(self.version.number)}
                for link in self.history
            ],
        }


def standing(registry: Registry, version: Version) -> Standing:
    """Gather what is known of a version: where it serves, by which names, how it was judged."""
    lifecycle = registry.lifecycle
    names = registry.aliases.all(version.name)
    return Standing(
        version=version,
        role=lifecycle.route(version.name).role(version.number),
        aliases=tuple(sorted(a for a, number in names.items() if number == version.number)),
        revision=Revisions(registry.database, registry.clock).current(version.name),
        verdicts=tuple(
            Verdicts(registry.database, registry.clock).current(version.name, version.number)
        ),
        history=tuple(_about(version, lifecycle.history(version.name))),
        gate=Gates(registry.database, registry.clock).last(version.name, version.number),
    )


def card(found: Standing) -> str:
    """Return the model card, Markdown: what `card.md` says, and what happened since."""
    parts = [
        _own(found.version),
        "## Standing\n\n" + "\n".join(_standing(found)),
        f"## Promises (revision {found.revision.number})\n\n" + "\n".join(_promises(found)),
        "## Lineage\n\n" + "\n".join(_lineage(found.version)),
    ]
    if found.history:
        parts.append("## History\n\n" + "\n".join(_history(found)))
    return "\n\n".join(part.strip() for part in parts) + "\n"


def metrics_line(version: Version) -> str:
    """Say the score with its interval, rows, split and the trivial baseline beside it.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> from pathlib import Path
    >>> metrics = {"metric": "accuracy", "score": 0.8, "ci": [0.7, 0.9], "rows": 60,
    ...            "split": "random", "baseline": 0.5}
    >>> metrics_line(Version("churn", 1, datetime.now(UTC), "tabular", Path(), "", metrics, {}, {}))
    'accuracy 0.8000 (95 % interval 0.7000 to 0.9000) on 60 rows: random; baseline 0.5000'
    """
    known = version.metrics
    if known.get("score") is None:
        return "no score was kept"
    said = f"{known.get('metric', 'score')} {known['score']:.4f}"
    low, high = (known.get("ci") or [None, None])[:2]
    if low is not None and high is not None:
        said += f" (95 % interval {low:.4f} to {high:.4f})"
    if known.get("rows") is not None:
        said += f" on {known['rows']:,} rows"
    if known.get("split"):
        said += f": {known['split']}"
    if known.get("baseline") is not None:
        said += f"; baseline {known['baseline']:.4f}"
    return said


def _own(version: Version) -> str:
    path = version.folder / "card.md"
    if path.is_file():
        return path.read_text(encoding="utf-8")
    return f"# {version}\n\n{metrics_line(version)}"


def _standing(found: Standing) -> list[str]:
    version = found.version
    lines = [f"- state: {version.state}"]
    if version.archive_at is not None:
        day = version.archive_at.strftime("%Y-%m-%d")
        verb = "archived since" if version.state == "archived" else "to be archived on"
        lines.append(f"- {verb} {day}: {version.retired_because}")
    lines.append(f"- serves as: {found.role or 'nothing'}")
    lines.append(f"- score: {metrics_line(version)}")
    if found.gate is not None:
        lines.append(f"- last gate of {found.gate}")
    if found.aliases:
        lines.append(f"- aliases: {', '.join(found.aliases)}")
    lines += [f"- label {key}: {value}" for key, value in sorted(version.labels.items())]
    return lines


def _promises(found: Standing) -> Iterable[str]:
    by_key = {judged.verdict.promise: judged for judged in found.verdicts}
    for promise in found.revision.declared.promises:
        judged = by_key.get(promise.key)
        said = "not judged yet"
        if judged is not None:
            verdict = judged.verdict
            said = verdict.status
            if verdict.measured is not None:
                said += f", measured {verdict.measured:.4g} on {verdict.n:,}"
            said += f" ({judged.stage})"
        yield f"- {promise.key}: {promise_line(promise)}: {said}"


def promise_line(promise: Promise) -> str:
    """Say a promise in words.

    Examples
    --------
    >>> promise_line(Promise("speed", "latency_p99", at_most=12.0))
    'latency_p99 at most 12, due canary'
    """
    about = promise.that if promise.of is None else f"{promise.that} of {promise.of}"
    side = "at most" if promise.at_most is not None else "at least"
    return f"{about} {side} {promise.bound:g}, due {promise.due}"


def _lineage(version: Version) -> Iterable[str]:
    lineage = version.lineage
    for key in _ARROWS:
        if lineage.get(key) is not None:
            yield f"- {key.replace('_', ' ')}: {lineage[key]}"
    code = lineage.get("code") or {}
    if code:
        commit = f", commit {code['commit'][:12]}" if "commit" in code else ""
        yield f"- code: {code.get('version')}{commit}"
    if lineage.get("parents"):
        yield f"- made from: {', '.join(str(parent) for parent in lineage['parents'])}"
    for view, number in sorted(version.views.items()):
        yield f"- feature view {view}: {number}"
    if lineage.get("promise_revision") is not None:
        yield f"- promises when registered: revision {lineage['promise_revision']}"
    yield f"- manifest sha256: {version.digest}"


def _about(version: Version, chain: list[Transition]) -> Iterable[Transition]:
    """Keep the links in which this version's part changed."""
    before: str | None = None
    for link in chain:
        role = link.route.role(version.number)
        if role != before or link.evidence.get("version") == version.number:
            yield link
        before = role


def _history(found: Standing) -> Iterable[str]:
    for link in found.history:
        role = link.route.role(found.version.number) or "not loaded"
        moment = link.at.strftime("%Y-%m-%d %H:%M:%S")
        yield f"- {moment} {link.kind} by {link.actor}: {role}. {link.reason}".rstrip()
