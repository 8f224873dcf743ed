"""What a name's decisions did to its users: review load, declines, and money as labels tell it."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from promise.data.answer import Decision
from promise.data.columns import FloatArray
from promise.data.schema import Schema
from promise.errors import DataError
from promise.metrics.costs import APPROVE, DECLINE, REVIEW, Costs, Outcome, outcome
from promise.pipeline.artifact import read_manifest
from promise.pipeline.decision import Cheapest, DecisionPolicy
from promise.pipeline.policy import PREDICTION
from promise.pipeline.request import request_from_rows
from promise.pipeline.task import Task
from promise.records.given import truth_code
from promise.records.labels import Labels
from promise.records.reading import parse_line
from promise.records.segments import read_lines, segments
from promise.registry.versions import Version
from promise.state.moments import to_text

DAYS = 30.0
"""So far back decisions are counted: frauds become known late, and prices change."""
MOST = 50_000
"""So many of the newest decisions are counted."""

_DAY_S = 86_400.0
_WORTH = {
    "caught": "caught",
    "declined_good": "declined_good",
    "review_reduction": "review_reduction",
    "cost": "cost",
    "cost_without_model": "cost_of_approving_all",
    "saved": "saved",
}
"""What is told of the known ones, as `promise train` names it, to its field."""


@dataclass(frozen=True)
class Decided:
    """What users were answered, and what it did where the truth is known.

    Parameters
    ----------
    since, until
        When the first and the last of them were decided.
    counts
        How many were approved, reviewed and declined.
    without_model
        How many of them no version decided: the heuristic stood in.
    cut
        Whether there were more than are counted.
    frauds
        Known ones.
    known
        What the decisions with a label cost; None where no label is known.
    machines
        How many machines wrote the log that was read.
    elsewhere
        Whether other machines may have answered, whose log is not read here.
    """

    since: datetime
    until: datetime
    counts: tuple[int, int, int]
    without_model: int
    cut: bool
    frauds: int
    known: Outcome | None
    machines: int = 1
    elsewhere: bool = False

    @property
    def n_rows(self) -> int:
        """How many decisions are counted."""
        return sum(self.counts)

    @property
    def days(self) -> float:
        """How many days they span, at least one."""
        return max(1.0, (self.until - self.since).total_seconds() / _DAY_S)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary; money and shares are None where no label tells them."""
        n, known = self.n_rows, self.known
        return {
            "since": to_text(self.since),
            "until": to_text(self.until),
            "decisions": n,
            "cut": self.cut,
            "machines": self.machines,
            "elsewhere": self.elsewhere,
            "without_model": self.without_model,
            "approve_rate": self.counts[APPROVE] / n,
            "review_rate": self.counts[REVIEW] / n,
            "decline_rate": self.counts[DECLINE] / n,
            "reviews_per_day": self.counts[REVIEW] / self.days,
            "labelled": 0 if known is None else known.rows,
            "frauds": self.frauds,
            **{told: _finite(getattr(known, name, None)) for told, name in _WORTH.items()},
        }

    def sentences(self) -> tuple[str, ...]:
        """Say it in words: what was decided, and what it was worth."""
        n, most = self.n_rows, "the newest " if self.cut else ""
        whose = "this machine's log"
        if self.machines > 1:
            whose = f"the log of {self.machines} machines"
        lines = [
            f"{most}{n:,} decisions in {whose} since {self.since:%Y-%m-%d %H:%M} UTC: "
            f"{self.counts[REVIEW] / n:.2%} to review ({self.counts[REVIEW] / self.days:,.1f} a "
            f"day), {self.counts[DECLINE] / n:.2%} declined"
        ]
        if self.elsewhere:
            lines.append(
                "what other machines decided is in their own logs: run this there, or let all "
                "write into one folder (PROMISE_RECORDS)"
            )
        if self.without_model:
            lines.append(f"{self.without_model:,} of them were decided without a model")
        known = self.known
        if known is None:
            lines.append("no label of them is known yet, so nothing tells what they saved")
            return tuple(lines)
        lines.append(
            f"{known.rows:,} of them have a label ({self.frauds:,} frauds): saved "
            f"{known.saved:,.2f} against approving everything ({known.cost:,.2f} instead of "
            f"{known.cost_of_approving_all:,.2f})"
        )
        if not math.isnan(known.review_reduction):
            lines.append(
                f"{known.caught:.1%} of the known frauds were caught, with "
                f"{known.review_reduction:.1%} fewer reviews than without a model"
            )
        return tuple(lines)


def decided(
    folder: Path,
    version: Version,
    labels: Labels,
    *,
    now: datetime,
    most: int = MOST,
    days: float = DAYS,
) -> Decided | None:
    """Count what a name decided lately; None where its answers are no decisions, or there is none.

    Every answer that a user got counts, of whichever version, once for each event; money is
    counted by the costs of the given version's policy.

    Parameters
    ----------
    folder
        Of the prediction log: this machine's, or one that several write into.
    version
        The live one.
    """
    manifest = read_manifest(version.folder)
    task = Task.from_json(manifest["task"])
    if not isinstance(task.answer, Decision):
        return None
    since_s = (now - timedelta(days=days)).timestamp()
    lines, cut = _newest(folder, version.name, since_s, most)
    codes = {name: code for code, name in enumerate(task.answer.actions)}
    events = _events([line for line in lines if _action(line) in codes], task)
    if not events:
        return None
    rows = [answers[-1] for answers in events]
    actions = np.array([codes[_action(line)] for line in rows])
    y = _truth(events, task.answer, labels, now)
    moments = [float(line["at"]) for line in rows]
    machines = _machines(folder, version.name)
    counts = np.bincount(actions, minlength=len(codes))
    made = Decided(
        since=datetime.fromtimestamp(min(moments), UTC),
        until=datetime.fromtimestamp(max(moments), UTC),
        counts=(int(counts[APPROVE]), int(counts[REVIEW]), int(counts[DECLINE])),
        without_model=sum(line.get("source") == "heuristic" for line in rows),
        cut=cut,
        frauds=int((y == 1).sum()),
        known=None,
        machines=machines,
        elsewhere=machines == 1 and not labels.database.url.startswith("sqlite"),
    )
    known = np.flatnonzero(~np.isnan(y))
    if not len(known):
        return made
    policy = _policy(version.folder, manifest)
    money = _money([rows[place]["row"] for place in known], task.request, policy)
    costs = policy.rule.costs if isinstance(policy.rule, Cheapest) else Costs()
    return replace(made, known=outcome(actions[known], y[known], money, costs, made.days))


def _machines(folder: Path, model: str) -> int:
    """Return how many machines wrote a model's log."""
    return max(1, len({name.slot.partition(".")[0] for name, _ in segments(folder, model)}))


def _newest(
    folder: Path, model: str, since_s: float, most: int
) -> tuple[list[dict[str, Any]], bool]:
    """Return the newest lines that users were answered with, and whether older ones are left."""
    lines: list[dict[str, Any]] = []
    for name, path in reversed(segments(folder, model)):
        if len(lines) >= most:
            return _cut(lines, most), True
        written_s = path.stat().st_mtime if path.exists() else 0.0
        if max(written_s, name.start_ms / 1e3) >= since_s:
            lines += _answers(path, since_s, most)
    return _cut(lines, most), len(lines) > most


def _answers(path: Path, since_s: float, most: int) -> Iterator[dict[str, Any]]:
    # beside each line may stand a shadow's; one more tells that there were more
    for line in deque(read_lines(path, 0, limit=1 << 62), maxlen=2 * most + 2):
        parsed = parse_line(line.data)
        if parsed is not None and parsed.get("arm") != "shadow" and parsed["at"] >= since_s:
            yield parsed


def _cut(lines: list[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    lines.sort(key=lambda line: (line["at"], line["id"]))
    return lines[-most:]


def _events(lines: list[dict[str, Any]], task: Task) -> list[list[dict[str, Any]]]:
    """Return the answers of each event: a client that did not hear one asked again."""
    field = task.request.find("id")
    found: dict[Any, list[dict[str, Any]]] = {}
    for line in lines:
        own = None if field is None else line["row"].get(field.name)
        found.setdefault((line["id"],) if own is None else own, []).append(line)
    return list(found.values())


def _truth(
    events: list[list[dict[str, Any]]], answer: Decision, labels: Labels, now: datetime
) -> FloatArray:
    """Return 1 for fraud, 0 for none, NaN where no answer of the event has a label."""
    found = labels.newest([line["id"] for lines in events for line in lines], as_of=now)
    truth = np.full(len(events), math.nan)
    codes: dict[str, int | None] = {}  # labels have few values
    for place, lines in enumerate(events):
        for line in lines:
            label = found.get(line["id"])
            if label is None:
                continue
            key = repr(label.value)
            if key not in codes:
                codes[key] = truth_code(label.value, answer)
            code = codes[key]
            if code is not None:
                truth[place] = code
    return truth


def _action(line: dict[str, Any]) -> Any:
    answer = line.get("answer")
    return answer.get(PREDICTION) if isinstance(answer, dict) else None


def _policy(folder: Path, manifest: dict[str, Any]) -> DecisionPolicy:
    """Read what decides, without loading any model; another kind of policy tells no costs."""
    if manifest["stages"].get("decide", {}).get("kind") != DecisionPolicy.kind:
        return DecisionPolicy()
    return DecisionPolicy.load(folder / "weights" / "decide")


def _money(rows: list[dict[str, Any]], request: Schema, policy: DecisionPolicy) -> FloatArray:
    """Return the amounts at stake; a missing one counts as the mean of the others."""
    if not policy.amount or policy.amount not in request:
        return np.zeros(len(rows))
    field = request[policy.amount]
    found = np.array([_amount(row.get(field.name), Schema((field,))) for row in rows])
    known = np.isfinite(found)
    return np.where(known, found, found[known].mean() if known.any() else 0.0)


def _amount(value: Any, schema: Schema) -> float:
    if isinstance(value, int | float):
        return float(value)
    try:
        return float(request_from_rows([{schema.names[0]: value}], schema)[schema.names[0]][0])
    except (DataError, ValueError, TypeError):
        return math.nan


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value
