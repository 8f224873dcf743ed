"""README and model card: what the export is, how to run it, and how far to trust it."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from typing import Any

from promise.discovery.export.literals import assignment
from promise.discovery.export.plan import ExportPlan, defined
from promise.discovery.export.prose import UNDEFINED, interval, question, winner
from promise.discovery.export.templates import render, template
from promise.discovery.export.values import example_path
from promise.discovery.export.views import views_of

FILES = {
    "features.py": "reads files into typed columns, and columns into matrices",
    "best_model.py": "loads the model and answers",
    "predict.py": "answers a file of any size",
    "evaluate.py": "scores the model on the sealed holdout",
    "train.py": "trains it again, in memory or in passes over more than memory holds",
    "serve.py": "answers over HTTP, standard library only",
    "score.py": "scoring script for Azure ML",
    "tests/test_parity.py": "holds the model to the answers it gave when it was exported",
    "schema.json": "columns, types, classes",
    "manifest.json": "digests of all files, versions, lineage",
    "artifacts/": "the fitted model, the holdout's row numbers, golden rows",
    "requirements.lock": "the exact versions it was made and proven with",
}


def slug(name: str) -> str:
    """Return a name that containers, packages and clouds accept.

    Examples
    --------
    >>> slug("Bank Marketing, y")
    'bank-marketing-y'
    """
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "model"


def readme(plan: ExportPlan, files: Collection[str]) -> str:
    """Write README.md for the files that the export holds."""
    row = _example_row(plan)
    return render(
        template("README.md"),
        {
            **_shared(plan),
            "slug": slug(plan.name),
            "lead": f"A model of {question(plan)}, and the code that trains, judges and runs it.",
            "data_example": example_path(plan),
            "score": _digits(plan.score),
            "example_row": assignment("row", row),
            "example_json": json.dumps(row, ensure_ascii=False).replace("'", "'\\''"),
            "file_table": "\n".join(_file_lines(files)),
        },
        (),
    )


def _file_lines(files: Collection[str]) -> list[str]:
    listed = [f"| `{name}` | {what} |" for name, what in FILES.items()]
    other = sorted(f for f in files if f.endswith(".py") and f not in FILES)
    if other:
        names = ", ".join(f"`{name}`" for name in other)
        listed.append(f"| {names} | the functions behind them, by what they do |")
    return listed


def model_card(plan: ExportPlan) -> str:
    """Write MODEL_CARD.md."""
    card = render(
        template("MODEL_CARD.md"),
        {
            **_shared(plan),
            "created": plan.created,
            "version": plan.version,
            "seed": str(plan.seed),
            "winner_sentence": f"{_capital(winner(plan))}.",
            "members_table": _members(plan),
            "decision": _decision(plan),
            "fingerprint": plan.data_fingerprint,
            "group": f"Rows that share `{plan.group}` stay together.\n" if plan.group else "",
            "validation": _number(plan.validation_score),
            "leaderboard": _leaderboard(plan.leaderboard, plan.metric),
            "importance": _importance(plan.importance),
            "findings": _findings(plan.findings),
            "limits": _limits(plan),
            "notes": "\n".join(f"\n## {title}\n{text}" for title, text in plan.notes.items()),
        },
        (),
    )
    return re.sub(r"\n{3,}", "\n\n", card)


def _shared(plan: ExportPlan) -> dict[str, str]:
    return {
        "name": plan.name,
        "question": question(plan),
        "winner": winner(plan),
        "metric": plan.metric,
        "holdout_rows": f"{len(plan.holdout_rows):,}",
        "score_interval": interval(plan),
        "baseline": _number(plan.baseline_score),
        "split": plan.split_sentence.rstrip("."),
        "rows_used": f"{plan.rows_used:,}",
        "n_source_rows": f"{plan.n_source_rows:,}",
        "train_rows": f"{plan.n_train_rows:,}",
        "source": f"`{plan.source_name}`",
    }


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _number(value: float | None) -> str:
    score = defined(value)
    return UNDEFINED if score is None else f"{score:.4g}"


def _digits(value: float | None) -> str:
    score = defined(value)
    return UNDEFINED if score is None else repr(score)


def _example_row(plan: ExportPlan) -> dict[str, Any]:
    """Return the first golden row's first few inputs, as JSON values."""
    names = [str(f["name"]) for f in plan.inputs][:4]
    known = set(plan.golden.column_names)
    present = [name for name in names if name in known]
    if not plan.golden.num_rows:
        return {}
    row = plan.golden.select(present).slice(0, 1).to_pylist()[0]
    return {
        k: v if isinstance(v, str | int | float | bool | None) else str(v) for k, v in row.items()
    }


def _members(plan: ExportPlan) -> str:
    views, which = views_of(plan.members)
    lines = ["| family | share | columns | rounds | parameters |", "|---|---|---|---|---|"]
    for member, view in zip(plan.members, which, strict=True):
        params = ", ".join(f"{k}={v}" for k, v in member.params.items() if v is not None)
        rounds = "–" if member.rounds is None else str(member.rounds)
        columns = len(views[view].names)
        lines.append(f"| {member.family} | {member.weight:.3g} | {columns} | {rounds} | {params} |")
    return "\n".join(lines)


def _decision(plan: ExportPlan) -> str:
    said = []
    if plan.temperature is not None and plan.classes:
        said.append(f"Probabilities are tempered by {plan.temperature:.4g}.")
    if plan.multipliers is not None:
        said.append(
            "The class decided is the one whose probability times its multiplier is largest "
            f"({', '.join(f'{m:.3g}' for m in plan.multipliers[:10])})."
        )
    return " ".join(said)


def _leaderboard(board: Mapping[str, Any], metric: str) -> str:
    models = list(board.get("models") or [])[:12]
    if not models:
        return ""
    lines = [f"| model | family | {metric} | status |", "|---|---|---|---|"]
    for m in models:
        shown = "–" if defined(m.get("score")) is None else _number(m["score"])
        lines.append(f"| {m.get('name')} | {m.get('family')} | {shown} | {m.get('status', '')} |")
    return "\n".join(lines)


def _importance(rows: tuple[Mapping[str, Any], ...]) -> str:
    if not rows:
        return "Not measured."
    lines = ["| input | loss when shuffled | 95 % interval |", "|---|---|---|"]
    for row in rows[:15]:
        mean, low, high = (_number(row.get(k)) for k in ("mean", "low", "high"))
        lines.append(f"| {row.get('feature')} | {mean} | {low} to {high} |")
    return "\n".join(lines)


def _findings(findings: tuple[Mapping[str, Any], ...]) -> str:
    if not findings:
        return "Nothing that the checks look for."
    lines = []
    for finding in findings[:20]:
        text = finding.get("message") or finding.get("title") or finding.get("evidence") or ""
        named = finding.get("columns") or finding.get("column") or ""
        column = ", ".join(map(str, named)) if isinstance(named, list | tuple) else str(named)
        where = f" (`{column}`)" if column else ""
        lines.append(f"- {finding.get('severity', 'note')}: {text}{where}")
    return "\n".join(lines)


def _limits(plan: ExportPlan) -> str:
    lines = []
    if plan.temperature is not None and plan.classes:
        lines.append("- Probabilities are calibrated on validation rows of this split only.")
    if plan.rows_used < plan.n_source_rows:
        lines.append(
            f"- A sample stood for the whole: {plan.rows_used:,} of {plan.n_source_rows:,} rows. "
            "`train.py --engine chunked --rows rest` learns from the others too."
        )
    if any(not member.refitted for member in plan.members):
        lines.append(
            "- Time ran out before it was fitted on all training rows; `train.py --engine memory` "
            "does that and gives another, likely better, model."
        )
    return "\n".join(lines)
