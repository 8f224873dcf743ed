"""The Python files of an export: templates filled in for one table and one winner."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from promise.discovery.export.assemble import Part, assemble
from promise.discovery.export.kernels import Library, Name, kernel_sources
from promise.discovery.export.plan import ExportPlan
from promise.discovery.export.templates import render, template
from promise.discovery.export.values import (
    MANY_CLASSES,
    chunked_call,
    folder_names,
    reads_jsonl,
    values_of,
)
from promise.discovery.export.views import views_of
from promise.errors import ArtifactError

MODEL_KERNELS = {"boosting", "dense", "model_files", "tree_arrays", "calibrating"}
PARTS = ("features", "best_model", "predict", "evaluate", "train", "serve", "score")


def code_files(plan: ExportPlan) -> dict[str, str]:
    """Return file name to source text of every module of the export."""
    files = assemble(_parts(plan), _library(plan))
    flags = _flags(plan)
    files["tests/test_parity.py"] = render(template("test_parity.py"), {}, flags)
    return files


def _library(plan: ExportPlan) -> Library:
    families = {function_modules()[f"predict_{family}"] for family in plan.families}
    themes = dict.fromkeys(families | MODEL_KERNELS, "models")
    themes |= {name: "encoding" for name in _sources() if name.startswith("encoding")}
    themes |= {name: "chunked" for name in _sources() if name.startswith("chunked")}
    return Library(_sources(), _live(plan), {**themes, "sealed": "rows"})


@cache
def _sources() -> dict[str, str]:
    """Return the kernels and the export's own stand-alone functions, by module name."""
    path = Path(__file__).with_name("sealed.py")
    return {**kernel_sources(), "sealed": path.read_text(encoding="utf-8")}


@cache
def function_modules() -> dict[str, str]:
    """Return where each function lives that a template may name: its name to its module."""
    return modules_of(_sources())


def modules_of(sources: Mapping[str, str]) -> dict[str, str]:
    """Return public function name to the one module that defines it.

    Raises
    ------
    ArtifactError
        When two modules define the same name: a template could not say which it means.

    Examples
    --------
    >>> modules_of({"maths": "def double(x):\\n    return 2 * x\\n"})
    {'double': 'maths'}
    """
    found: dict[str, str] = {}
    for module, text in sources.items():
        for node in ast.parse(text).body:
            if not isinstance(node, ast.FunctionDef) or node.name.startswith("_"):
                continue
            other = found.setdefault(node.name, module)
            if other != module:
                raise ArtifactError(
                    f"kernels {other!r} and {module!r} both define {node.name!r}, and an export "
                    "names functions without their module; rename one of them."
                )
    return found


def _live(plan: ExportPlan) -> dict[Name, frozenset[str]]:
    """Return the words on which dispatching kernel functions branch in this export."""
    plans = [view.plan for view in views_of(plan.members)[0]]
    types = {str(f["type"]) for f in plan.schema}
    numbers = {str(p["numbers"]) for p in plans}
    numbers |= {"quantile", "standard"} if "both" in numbers else set()
    texts = {"svd"} if "text" in types and any(p["text"] == "svd" for p in plans) else set()
    calendars = {"calendar"} if any(p.get("calendar") for p in plans) else set()
    formats = {"csv", "parquet", str((plan.reader or {}).get("format", "csv"))}
    bases = {str(m.params.get("basis", "none")) for m in plan.members if m.family == "linear"}
    live = {
        Name("scores", "score"): {plan.metric},
        Name("reading", "read_chunks"): formats,
        Name("parsing", "parse_column"): types,
        Name("encoding", "encode_rows"): _part_kinds(types, plans),
        Name("encoding", "fit_columns"): texts | calendars,
        Name("encoding_numbers", "encode_numbers"): numbers,
        Name("encoding_numbers", "fit_number"): numbers,
        Name("encoding_categories", "category_ways"): {str(p["categories"]) for p in plans},
        Name("linear", "expand"): bases,
        Name("linear", "expanded_size"): bases,
        Name("linear", "start_linear"): bases,
    }
    return {name: frozenset(words) for name, words in live.items()}


def _part_kinds(types: set[str], plans: Sequence[Mapping[str, Any]]) -> set[str]:
    """Return which parts a matrix can have, whatever rows the model is trained on again."""
    kinds = {"numbers"} if types & {"number", "boolean", "date"} else set()
    if "category" in types or any(p["crosses"] for p in plans):
        kinds.add("category")
    if "text" in types and any(p["text"] == "svd" for p in plans):
        kinds.add("text")
    return kinds


def _parts(plan: ExportPlan) -> list[Part]:
    known = function_modules()
    values, flags = values_of(plan, known, _sources()), _flags(plan)
    return [Part(name, render(template(f"{name}.py"), values, flags), known) for name in PARTS]


def _chunked(plan: ExportPlan, family: str) -> str:
    return chunked_call(plan, family, function_modules(), _sources())


def _flags(plan: ExportPlan) -> frozenset[str]:
    views, _ = views_of(plan.members)
    flags = {
        "classes": bool(plan.classes),
        "many_classes": len(plan.classes) > MANY_CLASSES,
        "blend": len(plan.members) > 1,
        "shared_views": len(views) < len(plan.members),
        "temperature": plan.temperature is not None and bool(plan.classes),
        "multipliers": plan.multipliers is not None and bool(plan.classes),
        "ordered": "lstm" in plan.families and plan.order is not None,
        "partitions": bool(folder_names(plan)),
        "every_row": len(plan.train_rows) == 0,
        "ruled": plan.split is not None,
        "jsonl": reads_jsonl(plan),
        "refitted": all(member.refitted for member in plan.members),
        "sampled": "lstm" in plan.families and plan.order is None,
        "chunked_terms": any("terms" in _chunked(plan, f) for f in plan.families),
        "chunked_codes": any("codes" in _chunked(plan, f) for f in plan.families),
    }
    return frozenset(name for name, is_set in flags.items() if is_set)
