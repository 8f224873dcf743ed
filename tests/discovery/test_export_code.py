"""The code of an export stays readable whatever the table is called."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from promise.data.answer import Class
from promise.discovery.export import ExportPlan
from promise.discovery.export.code import code_files
from promise.discovery.export.package import pyproject

Build = Callable[..., Any]


@pytest.mark.slow
def test_many_classes_and_columns_are_read_from_the_schema(
    blend: tuple[ExportPlan, Path], tmp_path: Path, readable: Build
) -> None:
    plan, _ = blend
    more = tuple({"name": f'x "{i}"', "type": "number", "role": "input"} for i in range(50))
    answer = Class(tuple(f"class {i}" for i in range(150)))
    wide = replace(plan, answer=answer, schema=(*plan.schema, *more), multipliers=None)
    files = {**code_files(wide), "pyproject.toml": pyproject(wide, {}, [])}
    (tmp_path / "tests").mkdir()
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    readable(tmp_path)
    assert "schema.json" in files["features.py"]
    assert "top_{place + 1}_class" in files["best_model.py"]


@pytest.mark.slow
def test_strange_column_names_stay_out_of_the_code(
    blend: tuple[ExportPlan, Path], tmp_path: Path, readable: Build
) -> None:
    plan, _ = blend
    odd = 'we\\Nird """x'
    fields = tuple({**f, "name": odd} if f["name"] in ("y", "age") else f for f in plan.schema)
    rule = {"kind": "grouped", "column": odd, "seed": 7, "fraction": 0.25}
    told = replace(
        plan, target=odd, schema=fields, group=odd, split=rule, holdout=None, source_name=odd,
        split_sentence=f"all rows of a random 25 % of the values of `{odd}`.",
        reader={**plan.reader, "paths": [f"/data/{odd}\n.csv"]},
    )  # fmt: skip
    files = {**code_files(told), "pyproject.toml": pyproject(told, {}, [])}
    (tmp_path / "tests").mkdir()
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    readable(tmp_path)
    assert "we/Nird" in files["evaluate.py"]
