"""Exports: run without Promise, give the same digits, and read like code."""

from __future__ import annotations

import ast
import importlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from promise.data.answer import Class, Number
from promise.discovery.export import ExportPlan, Member, Order, export, run_isolated, verify
from promise.discovery.export.code import function_modules
from promise.errors import ArtifactError
from promise.kernels.encoding import encode, encode_train, fit_encoding, save_encoding
from promise.kernels.parsing import label_codes, parse_columns
from promise.kernels.reading import read_chunks
from promise.kernels.scores import score

PLAN = {
    "categories": "ordinal", "onehot_limit": 8, "numbers": "raw", "missing_indicators": False,
    "dates": True, "text": "none", "text_size": 4, "arithmetic": [], "crosses": [],
}  # fmt: skip
LINEAR = {**PLAN, "categories": "onehot", "numbers": "quantile", "missing_indicators": True}
TARGET_MEANS = {**PLAN, "categories": "target", "onehot_limit": 2}

PARAMS: dict[str, dict[str, Any]] = {
    "baseline": {},
    "linear": {"alpha": 1.0, "c": 0.3, "basis": "none"},
    "decision_tree": {"max_depth": 4, "min_leaf": 3},
    "random_forest": {"n_trees": 8, "min_leaf": 2, "max_depth": 6},
    "xgboost": {"rounds": 12, "max_depth": 3, "early_stopping": 0},
    "lightgbm": {"rounds": 12, "leaves": 7, "min_leaf": 5, "early_stopping": 0},
    "mlp": {"hidden": [8], "epochs": 3, "ensemble": 1},
    "lstm": {"hidden": 8, "epochs": 2, "window": 4},
}
VIEWS = {"linear": LINEAR, "mlp": LINEAR, "lstm": LINEAR, "xgboost": TARGET_MEANS}
N_ROWS = 240


def kernel(name: str) -> Callable[..., Any]:
    """Return a kernel function by its name, as an export finds it."""
    module = importlib.import_module(f"promise.kernels.{function_modules()[name]}")
    found: Callable[..., Any] = getattr(module, name)
    return found


def write_csv(path: Path, kind: str) -> None:
    """Write a mixed table whose target depends on a number, a category and a date."""
    rng = np.random.default_rng(3)
    age = rng.integers(18, 80, N_ROWS)
    city = rng.choice(["Rome", "Oslo", "São Paulo", ""], N_ROWS)
    day = np.datetime64("2025-01-01") + rng.integers(0, 300, N_ROWS)
    note = rng.choice(["late delivery of the parcel", "all fine, thanks", "broken box"], N_ROWS)
    value = 0.1 * age + (city == "Rome") * 2 + rng.normal(0, 0.5, N_ROWS)
    label = [f"{v:.3f}" for v in value]
    if kind == "class":
        label = list(np.where(value > np.quantile(value, 0.6), "yes", "no"))
    if kind == "classes":
        label = [f'c "{int(v) % 3}"' for v in value]
    ages = [str(a) if i % 11 else "?" for i, a in enumerate(age)]
    table = pa.table({"age": ages, "city": city, "day": day.astype(str), "note": note, "y": label})
    pa_csv.write_csv(table, path)


def schema_of(kind: str) -> tuple[dict[str, Any], ...]:
    label = "number" if kind == "number" else "category"
    kinds = {"age": "number", "city": "category", "day": "date", "note": "text", "y": label}
    nulls = {"age": ("?",)}
    return tuple(
        {"name": n, "type": t, "role": "label" if n == "y" else "input", "unit": None,
         "format": "iso" if t == "date" else None, "nulls": nulls.get(n, ()), "decimal": "."}
        for n, t in kinds.items()
    )  # fmt: skip


def make_plan(folder: Path, families: dict[str, float], kind: str, **extra: Any) -> ExportPlan:
    """Fit tiny members on a tiny table, and describe them as a discovery would."""
    path = folder / "orders.csv"
    write_csv(path, kind)
    reader = {"format": "csv", "paths": [str(path)], "delimiter": ",", "quote": '"',
              "encoding": "utf-8", "compression": None, "header": True,
              "names": ["age", "city", "day", "note", "y"], "on_bad_rows": "fail"}  # fmt: skip
    schema = schema_of(kind)
    table = pa.concat_tables(t for _, t in read_chunks(reader))
    columns = parse_columns(table, list(schema))
    classes: tuple[str, ...] = ()
    y = columns["y"]
    if kind != "number":
        classes = tuple(sorted(set(y.tolist())))
        y = label_codes(y, list(classes))
    rows = np.arange(N_ROWS)
    holdout, train = rows[rows % 4 == 0], rows[rows % 4 != 0]
    members, total = [], 0.0
    request = {name: columns[name] for name in ("age", "city", "day", "note")}
    learn = {name: values[train] for name, values in request.items()}
    for number, (family, weight) in enumerate(families.items()):
        views, fitted = folder / f"views-{number}", folder / f"fitted-{number}"
        views.mkdir()
        fitted.mkdir()
        view = {**VIEWS.get(family, PLAN), **extra.get("view", {})}
        fields = [f for f in schema if f["role"] == "input"]
        state = fit_encoding(learn, fields, y[train], len(classes), train, view, seed=5)
        save_encoding(state, views)
        more = {}
        if family == "lstm":
            order = np.column_stack([np.zeros(N_ROWS, int), np.argsort(np.argsort(learn["day"]))])
            more = {"order": order[: len(train)]}
        model = kernel(f"fit_{family}")(
            encode_train(learn, y[train], train, state), y[train], len(classes), PARAMS[family],
            categorical=tuple(state["categorical"]), seed=11, threads=1, **more,
        )  # fmt: skip
        kernel(f"save_{family}")(model, fitted)
        members.append(Member(family, PARAMS[family], 11, weight, views, fitted, rounds=12))
        output = weight * kernel(f"predict_{family}")(model, encode(request, state))
        total = output if number == 0 else total + output
    if extra.get("temperature"):
        total = kernel("apply_temperature")(total, extra["temperature"])
    multipliers = extra.get("multipliers")
    metric = "r2" if kind == "number" else "accuracy"
    weights = None if multipliers is None else np.asarray(multipliers)
    value = score(metric, y[holdout], total[holdout], weights)
    return ExportPlan(
        name="orders y", version="1", created="2026-01-01T00:00:00+00:00",
        answer=Class(classes) if classes else Number(), target="y", metric=metric, score=value,
        ci=(value - 0.05, value + 0.05), validation_score=value, baseline_score=0.5,
        rows_used=N_ROWS, split_sentence="a random 25 % of rows.", seed=7, reader=reader,
        schema=schema, members=tuple(members), train_rows=train, holdout_rows=holdout,
        n_source_rows=N_ROWS, data_fingerprint="abc", golden=table.slice(0, 20),
        golden_output=total[:20], holdout={n: v[holdout] for n, v in columns.items()},
        temperature=extra.get("temperature"), multipliers=multipliers, source_name="orders.csv",
        findings=({"severity": "warning", "message": "it leaks", "columns": ["age"]},),
    )  # fmt: skip


def run(folder: Path, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run_isolated(folder, script, list(arguments), sys.executable, 120)


def checked(folder: Path, script: str, *arguments: str) -> str:
    done = run(folder, script, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def available(family: str) -> bool:
    return f"fit_{family}" in function_modules()


CASES = [
    ({"baseline": 1.0}, "class", {}),
    ({"linear": 1.0}, "number", {}),
    ({"decision_tree": 1.0}, "classes", {}),
    ({"random_forest": 1.0}, "class", {}),
    ({"xgboost": 1.0}, "number", {}),
    ({"lightgbm": 1.0}, "classes", {"view": {"text": "svd"}}),
    ({"mlp": 1.0}, "class", {}),
    ({"lightgbm": 0.6, "linear": 0.4}, "class", {"temperature": 1.3, "multipliers": (1.0, 1.4)}),
    ({"xgboost": 0.5, "lightgbm": 0.3, "linear": 0.2}, "number", {}),
]


@pytest.mark.parametrize(("families", "kind", "extra"), CASES, ids=lambda v: "-".join(v))
def test_an_export_runs_without_promise_and_gives_the_same_digits(
    tmp_path: Path, families: dict[str, float], kind: str, extra: dict[str, Any]
) -> None:
    if not all(map(available, families)):
        pytest.skip("kernel not there yet")
    plan = make_plan(tmp_path, families, kind, **extra)
    folder = export(plan, tmp_path / "out" / "export")
    data = tmp_path / "orders.csv"

    found = verify(folder, data=data, expected_score=plan.score)
    assert found.ok, found.sentence
    assert found.max_difference == 0
    assert found.score == plan.score

    new = tmp_path / "rebuilt"
    text = checked(folder, "train.py", "--data", str(data), "--out", str(new), "--json")
    rebuilt = json.loads(text.splitlines()[-1])
    assert rebuilt["max_difference"] == 0
    assert rebuilt["score"] == plan.score

    for name in folder.rglob("*.py"):
        source = name.read_text(encoding="utf-8")
        assert source.count("\n") < 400, name
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Import):
                assert not any(a.name.startswith("promise") for a in node.names)
            if isinstance(node, ast.ImportFrom):
                assert not (node.module or "").startswith("promise")
    ruff = [sys.executable, "-m", "ruff"]
    for verb in (["check"], ["format", "--check", "--diff"]):
        done = subprocess.run(
            [*ruff, *verb, str(folder)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout
