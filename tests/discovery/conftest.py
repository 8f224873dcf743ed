"""Builders of exports: tiny models on a tiny table, and what every export must hold."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest

from promise.data.answer import Class, Number
from promise.discovery.export import ExportPlan, Member, Order, export, run_isolated
from promise.discovery.export.code import function_modules
from promise.kernels.encoding import encode, encode_train, fit_encoding, save_encoding
from promise.kernels.parsing import label_codes, parse_columns
from promise.kernels.reading import read_chunks
from promise.kernels.scores import score
from promise.pipeline.request import row_order

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
    "mlp": {"width": 8, "depth": 1, "members": 2, "epochs": 3},
    "lstm": {"hidden": 8, "epochs": 2, "window": 4, "rounds": 2},
}
VIEWS = {"linear": LINEAR, "mlp": LINEAR, "lstm": LINEAR, "xgboost": TARGET_MEANS}
N_ROWS = 240
BLEND = {"decision_tree": 0.6, "linear": 0.4}


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


def build_plan(folder: Path, families: dict[str, float], kind: str, **extra: Any) -> ExportPlan:
    """Fit tiny members on a tiny table, and describe them as a discovery would."""
    path = folder / "orders.csv"
    write_csv(path, kind)
    age = extra.get("age", "age")  # the first column's name
    path.write_text(path.read_text(encoding="utf-8").replace("age", age, 1), encoding="utf-8")
    reader = {"format": "csv", "paths": [str(path)], "delimiter": ",", "quote": '"',
              "encoding": "utf-8", "compression": None, "header": True,
              "names": [age, "city", "day", "note", "y"], "on_bad_rows": "fail"}  # fmt: skip
    schema = tuple({**f, "name": age} if f["name"] == "age" else f for f in schema_of(kind))
    roles = extra.get("roles", {})
    schema = tuple({**f, "role": roles.get(f["name"], f["role"])} for f in schema)
    table = pa.concat_tables(t for _, t in read_chunks(reader))
    columns = parse_columns(table, list(schema))
    classes: tuple[str, ...] = ()
    y = columns["y"]
    if kind != "number":
        classes = tuple(sorted(set(y.tolist())))
        y = label_codes(y, list(classes))
    rows = np.arange(N_ROWS)
    holdout, train = rows[rows % 4 == 0], rows[rows % 4 != 0]
    ordered = "lstm" in families
    request = {name: columns[name] for name in (age, "city", "day", "note")}
    learn = {name: values[train] for name, values in request.items()}
    members, models = [], []
    for number, (family, weight) in enumerate(families.items()):
        views, fitted = folder / f"views-{number}", folder / f"fitted-{number}"
        views.mkdir()
        fitted.mkdir()
        view = {**VIEWS.get(family, PLAN), **extra.get("view", {})}
        state = fit_encoding(learn, list(schema), y[train], len(classes), train, view, seed=5)
        save_encoding(state, views)
        order = {"order": row_order(learn["day"], None)} if family == "lstm" else {}
        model = kernel(f"fit_{family}")(
            encode_train(learn, y[train], train, state), y[train], len(classes), PARAMS[family],
            categorical=tuple(state["categorical"]), seed=11, threads=1, **order,
        )  # fmt: skip
        kernel(f"save_{family}")(model, fitted)
        members.append(Member(family, PARAMS[family], 11, weight, views, fitted, rounds=12))
        models.append((family, weight, state, model))

    def output_of(rows: Any) -> Any:
        """Blend as Promise does, these rows alone."""
        part = {name: values[rows] for name, values in request.items()}
        total: Any = None
        for family, weight, state, model in models:
            order = {"order": row_order(part["day"], None)} if family == "lstm" else {}
            output = weight * kernel(f"predict_{family}")(model, encode(part, state), **order)
            total = output if total is None else total + output
        if extra.get("temperature"):
            total = kernel("apply_temperature")(total, extra["temperature"])
        return total

    multipliers = extra.get("multipliers")
    metric = "r2" if kind == "number" else "accuracy"
    weights = None if multipliers is None else np.asarray(multipliers)
    value = score(metric, y[holdout], output_of(holdout), weights)
    return ExportPlan(
        name="orders y", version="1", created="2026-01-01T00:00:00+00:00",
        answer=Class(classes) if classes else Number(), target="y", metric=metric, score=value,
        ci=(value - 0.05, value + 0.05), validation_score=value, baseline_score=0.5,
        rows_used=N_ROWS, split_sentence="a random 25 % of rows.", seed=7, reader=reader,
        schema=schema, members=tuple(members), train_rows=train, holdout_rows=holdout,
        n_source_rows=N_ROWS, data_fingerprint="abc", golden=table.slice(0, 20),
        golden_output=output_of(np.arange(20)), holdout={n: v[holdout] for n, v in columns.items()},
        order=Order("day") if ordered else None, temperature=extra.get("temperature"),
        multipliers=multipliers, source_name="orders.csv",
        findings=({"severity": "warning", "message": "it leaks", "columns": [age]},),
    )  # fmt: skip


def run_scripts(folder: Path, *commands: list[object]) -> str:
    """Run scripts of the export, one after the other in one interpreter without Promise."""
    lines = ["import runpy, sys"]
    for script, *arguments in commands:
        lines.append(f"sys.argv = {[str(script), *map(str, arguments)]!r}")
        lines.append(f"runpy.run_path({str(folder / str(script))!r}, run_name='__main__')")
    driver = folder.parent / "driver.py"
    driver.write_text("\n".join(lines), encoding="utf-8")
    done = run_isolated(folder, [str(driver)], [], sys.executable, 300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def check_readable(folder: Path) -> None:
    """Check that every module is short, formatted, free of findings and of Promise."""
    for path in folder.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert text.count("\n") < 400, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Import):
                assert not any(a.name.startswith("promise") for a in node.names)
            if isinstance(node, ast.ImportFrom):
                assert not (node.module or "").startswith("promise")
    for verb in (["check", "--no-cache"], ["format", "--no-cache", "--check", "--diff"]):
        command = [sys.executable, "-m", "ruff", *verb, str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


def run_code(folder: Path, code: str, plan: ExportPlan) -> str:
    """Run code against the export's modules, without Promise, with the data as its argument."""
    script = folder.parent / "lines.py"
    script.write_text(code, encoding="utf-8")
    done = run_isolated(folder, [str(script)], [plan.reader["paths"][0]], sys.executable, 120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def make_plan() -> Callable[..., Any]:
    """Fit tiny members on a tiny table: `make_plan(folder, families, kind)`."""
    return build_plan


@pytest.fixture(scope="session")
def run_all() -> Callable[..., Any]:
    """Run scripts of an export, one after the other, without Promise."""
    return run_scripts


@pytest.fixture(scope="session")
def readable() -> Callable[..., Any]:
    """Check that every module is short, formatted, free of findings and of Promise."""
    return check_readable


@pytest.fixture(scope="session")
def run_lines() -> Callable[..., Any]:
    """Run code against an export's modules, without Promise."""
    return run_code


@pytest.fixture(scope="package")
def blend(tmp_path_factory: pytest.TempPathFactory) -> tuple[ExportPlan, Path]:
    """Export a blend of two families, tempered and with multipliers."""
    folder = tmp_path_factory.mktemp("blend")
    plan = build_plan(folder, BLEND, "class", temperature=1.3, multipliers=(1.0, 1.4))
    return plan, export(plan, folder / "export")
