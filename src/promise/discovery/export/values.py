"""What the code templates are filled in with: constants, calls and sentences."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from promise.discovery.export.literals import WIDTH, assignment
from promise.discovery.export.plan import ExportPlan, defined
from promise.discovery.export.prose import prose, wrapped
from promise.discovery.export.views import views_of
from promise.kernels.chunked_fit import substitute
from promise.kernels.reading_input import is_utf8
from promise.models.base import ORDER

MANY_CLASSES = 100
MANY_FIELDS = 40
DIGEST_COLUMNS = 5


def values_of(
    plan: ExportPlan, modules: Mapping[str, str], sources: Mapping[str, str]
) -> dict[str, str]:
    """Return what each `@@name@@` of the code templates stands for."""
    views, which = views_of(plan.members)
    calls = [predict_call(plan, i, which[i]) for i in range(len(plan.members))]
    one = f"    total = {calls[0]}"
    return {
        **prose(plan),
        "constants": constants(plan),
        "data_example": example_path(plan),
        "weights": assignment("WEIGHTS", tuple(m.weight for m in plan.members)),
        "temperature": assignment("TEMPERATURE", plan.temperature),
        "multipliers": assignment("MULTIPLIERS", list(plan.multipliers or ())),
        "n_views": str(len(views)),
        "family": plan.members[0].family,
        "load_members": "\n".join(
            f'            load_{m.family}(path / "model-{i}"),' for i, m in enumerate(plan.members)
        ),
        "predict_members": "\n".join(f"        {call}," for call in calls)
        if len(calls) > 1
        else one,
        "formats": "CSV, Parquet and JSON Lines" if reads_jsonl(plan) else "CSV and Parquet",
        "metric": plan.metric,
        "score": assignment("SCORE", defined(plan.score), "float | None"),
        "digest": assignment("DIGEST", digest_columns(plan), None if plan.holdout else "list[str]"),
        "holdout_rows": f"{len(plan.holdout_rows):,}",
        "n_classes": str(len(plan.classes)),
        "views": assignment(
            "VIEWS", [{"seed": v.seed, "plan": dict(v.plan)} for v in views], "list[dict[str, Any]]"
        ),
        "members": assignment("MEMBERS", members(plan, which), "list[dict[str, Any]]"),
        "fit_members": by_family(plan, lambda f: fit_call(plan, f)),
        "fit_chunked": by_family(plan, lambda f: chunked_call(plan, f, modules, sources)),
        "save_members": by_family(plan, lambda f: f"save_{f}(fitted, folder)", returns=False),
        "substitutes": substitutes(plan),
        "split_rule": assignment("SPLIT", split_rule(plan), "dict[str, Any]"),
    }


def members(plan: ExportPlan, which: list[int]) -> list[dict[str, Any]]:
    """Return what `train.py` knows of each member."""
    return [
        {"family": m.family, "view": v, "seed": m.seed, "threads": m.threads}
        | {"params": dict(m.params)}
        for m, v in zip(plan.members, which, strict=True)
    ]


def constants(plan: ExportPlan) -> str:
    """Write what `features.py` knows about the table."""
    fields = fields_of(plan)
    lines = [
        "# How the original file was written.",
        assignment("READER", reader_of(plan), "dict[str, Any]"),
        assignment("TARGET", plan.target),
    ]
    if folders := folder_names(plan):
        lines += ["# Columns that folder names carry.", assignment("FOLDERS", folders)]
    if len(plan.classes) > MANY_CLASSES or len(fields) > MANY_FIELDS:
        lines.append('SCHEMA = json.loads((HERE / "schema.json").read_text(encoding="utf-8"))')
    if len(plan.classes) > MANY_CLASSES:
        lines.append('CLASSES: list[str] = SCHEMA["answer"]["classes"]')
    elif plan.classes:
        lines.append(assignment("CLASSES", list(plan.classes)))
    if len(fields) > MANY_FIELDS:
        lines.append('FIELDS: list[dict[str, Any]] = SCHEMA["fields"]')
    else:
        lines.append(assignment("FIELDS", fields, "list[dict[str, Any]]"))
    roles = '("input", "protected", "time")' if reads_the_time(plan) else '("input", "protected")'
    lines.append(f'INPUTS = [field for field in FIELDS if field["role"] in {roles}]')
    if "lstm" not in plan.families or plan.order is None:
        return "\n".join([*lines, "# The columns that an answer needs.", "REQUEST = INPUTS"])
    lines.append("# What puts the rows in order.")
    lines += [assignment("TIME", plan.order.time), assignment("ENTITY", plan.order.entity)]
    lines += ["# Under no name that a column can have.", assignment("ORDER", ORDER)]
    lines += ['ORDERED = [f for f in FIELDS if f["name"] in (TIME, ENTITY) and f not in INPUTS]']
    return "\n".join([*lines, "# The columns that an answer needs.", "REQUEST = INPUTS + ORDERED"])


def reads_the_time(plan: ExportPlan) -> bool:
    """Say whether what orders the rows is read for its calendar besides."""
    plans = [view.plan for view in views_of(plan.members)[0]]
    return plan.order is not None and any(plan.order.time in p.get("calendar", ()) for p in plans)


def reader_of(plan: ExportPlan) -> dict[str, Any]:
    """Return how the original file is read, without where it lies."""
    reader = {"header": True, **(plan.reader or {"format": "csv"})}
    if not is_utf8(reader.get("encoding") or "utf-8"):
        reader["utf8_first"] = True  # of later files, nobody said what they are written in
    if reader["format"] != "csv":
        kept = ("format", "header", "on_bad_rows", "encoding", "utf8_first")
        return {k: reader[k] for k in kept if k in reader}
    return {k: v for k, v in reader.items() if k not in ("paths", "constants", "compression")}


def folder_names(plan: ExportPlan) -> list[str]:
    """Return the columns that the names of the original's folders carry."""
    return list(next(iter((plan.reader or {}).get("constants") or []), {}))


def reads_jsonl(plan: ExportPlan) -> bool:
    """Say whether the original is JSON Lines."""
    return (plan.reader or {}).get("format") == "jsonl"


def fields_of(plan: ExportPlan) -> list[dict[str, Any]]:
    """Return the schema's fields, without the settings that they leave at their defaults."""
    defaults: dict[str, Any] = {"unit": None, "format": None, "nulls": [], "decimal": "."}
    found = []
    for field in plan.schema:
        full = {"role": "input", **field}
        full["nulls"] = list(full.get("nulls") or [])
        kept = {k: v for k, v in full.items() if k not in defaults or v != defaults[k]}
        found.append({key: kept.pop(key) for key in ("name", "type", "role")} | kept)
    return found


def digest_columns(plan: ExportPlan) -> list[str]:
    """Choose the columns whose cells tell rows apart: the label and the most distinct inputs."""
    if plan.holdout is None:
        return []
    holdout = plan.holdout
    names = [str(f["name"]) for f in plan.inputs if f["name"] in holdout][:200]
    counts = {name: len(set(holdout[name].tolist())) for name in names}
    best = sorted(counts, key=lambda name: -counts[name])[: DIGEST_COLUMNS - 1]
    return [plan.target, *(name for name in names if name in best)]


def split_rule(plan: ExportPlan) -> dict[str, Any]:
    """Return what the exported `split_side` reads of the split's rule."""
    kept = ["kind", "column", "seed", "fraction"]
    if plan.split is not None and plan.split["kind"] == "temporal":
        kept = ["kind", "column", "cutoff", "gap_s"]
    return {key: plan.split[key] for key in kept} if plan.split is not None else {}


def example_path(plan: ExportPlan) -> str:
    """Return the original file's name as a command line would give it."""
    paths = (plan.reader or {}).get("paths") or ["data.csv"]
    name = Path(str(paths[0])).name
    if not re.fullmatch(r"[\w.,+=@% -]+", name):
        return "data.csv"  # it also stands in docstrings, where quotes and backslashes mean more
    return f'"{name}"' if " " in name else name


def by_family(plan: ExportPlan, call: Callable[[str], str], *, returns: bool = True) -> str:
    """Write the call for the member's family, behind a condition where there are several."""
    indent, subject = ("    ", "member") if returns else ("        ", "MEMBERS[number]")
    word = "return " if returns else ""
    families = list(plan.families)
    if len(families) == 1:
        return _indented(word + call(families[0]), indent)
    lines = []
    for place, family in enumerate(families):
        last = place == len(families) - 1
        if last and returns:
            lines.append(_indented(word + call(family), indent))
            continue
        verb = "else:" if last else f"{'elif' if place and not returns else 'if'} "
        condition = "" if last else f'{subject}["family"] == "{family}":'
        lines.append(f"{indent}{verb}{condition}")
        lines.append(_indented(word + call(family), indent + "    "))
    return "\n".join(lines)


def _indented(call: str, indent: str) -> str:
    """Indent a call; its arguments get a line of their own where it would be too long."""
    if len(indent) + len(call) <= WIDTH:
        return indent + call
    head, _, arguments = call.partition("(")
    return f"{indent}{head}(\n{indent}    {arguments[:-1]}\n{indent})"


def predict_call(plan: ExportPlan, number: int, view: int) -> str:
    """Write the prediction of one member."""
    family = plan.members[number].family
    given = f"members[{number}], matrices[{view}]"
    if family == "lstm" and plan.order is not None:
        return f"with_past({given}, columns[ORDER], tails, {number})"
    return f"predict_{family}({given})"


def fit_call(plan: ExportPlan, family: str) -> str:
    """Write the fit of one member in memory."""
    ordered = family == "lstm" and plan.order is not None
    order = ", order=columns[ORDER]" if ordered else ""
    return f"fit_{family}(x, y, N_CLASSES, params, categorical=codes{order}, **terms)"


def chunked_call(
    plan: ExportPlan, family: str, modules: Mapping[str, str], sources: Mapping[str, str]
) -> str:
    """Write the fit of one member over chunks."""
    if family == "lstm" and plan.order is None:
        return "sampled(fit_lstm, chunks, params, codes, terms)"
    name = f"fit_{family}_chunked"
    tree = ast.parse(sources[modules[name]])
    function = next(n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == name)
    takes = {a.arg for a in function.args.kwonlyargs}
    codes = ", categorical=codes" if "categorical" in takes else ""
    terms = "**terms" if "threads" in takes else 'seed=member["seed"]'
    return f"{name}(chunks, N_CLASSES, params{codes}, {terms})"


def substitutes(plan: ExportPlan) -> str:
    """Say how the chunked engine learns each family, and what it does not do."""
    return "\n".join(
        wrapped(f"Chunked, {family}: {substitute(family)[1]}") for family in plan.families
    )
