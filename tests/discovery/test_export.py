"""Exports: run without Promise, give the same digits, and train again to the same model."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from promise.discovery.export import ExportPlan, export, verify

Build = Callable[..., Any]

CASES = [
    ({"baseline": 1.0}, "class", {}),
    ({"linear": 1.0}, "number", {}),
    ({"decision_tree": 1.0}, "classes", {"temperature": 1.3}),
    ({"random_forest": 1.0}, "class", {}),
    ({"xgboost": 1.0}, "number", {}),
    ({"lightgbm": 1.0}, "classes", {"view": {"text": "svd"}}),
    ({"mlp": 1.0}, "class", {}),
    ({"lstm": 1.0}, "class", {}),
    ({"lightgbm": 0.6, "lstm": 0.4}, "number", {}),
    ({"lightgbm": 1.0}, "number", {"view": {"calendar": ["day"]}}),
    ({"lstm": 1.0}, "class", {"view": {"calendar": ["day"]}, "roles": {"day": "time"}}),
    ({"xgboost": 0.5, "lightgbm": 0.3, "linear": 0.2}, "number", {}),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("families", "kind", "extra"), CASES, ids=str)
def test_every_family_runs_without_promise_and_trains_again_to_the_same_model(
    tmp_path: Path,
    families: dict[str, float],
    kind: str,
    extra: dict[str, Any],
    make_plan: Build,
    run_all: Build,
    readable: Build,
) -> None:
    if "lstm" in families:
        pytest.importorskip("torch")
    plan = make_plan(tmp_path, families, kind, **extra)
    folder, data = export(plan, tmp_path / "export"), tmp_path / "orders.csv"
    found = verify(folder, data=data, expected_score=plan.score)
    assert (found.ok, found.max_difference, found.score) == (True, 0, plan.score), found.sentence
    readable(folder)

    at = ["--data", data]
    chunked = ["--engine", "chunked", "--rows", "rest", "--out", tmp_path / "b", "--json"]
    printed = run_all(
        folder,
        ["train.py", *at, "--out", tmp_path / "a", "--json"],
        ["train.py", *at, *chunked],
        ["predict.py", *at, "--out", tmp_path / "whole.parquet"],
        ["predict.py", *at, "--out", tmp_path / "p.parquet", "--chunk-rows", 7],
    )
    memory, streamed = (json.loads(line) for line in printed.splitlines() if line[0] == "{")
    assert (memory["max_difference"], memory["score"]) == (0, plan.score)
    assert streamed["score"] > plan.score - 0.25  # the same rows, learned in another way
    assert pq.read_table(tmp_path / "p.parquet").equals(pq.read_table(tmp_path / "whole.parquet"))


@pytest.mark.slow
def test_a_blend_gives_the_leaderboards_digits_without_promise(
    blend: tuple[ExportPlan, Path], readable: Build
) -> None:
    plan, folder = blend
    found = verify(folder, data=folder.parent / "orders.csv", expected_score=plan.score)
    assert found.ok, found.sentence
    assert found.score == plan.score
    assert "same digits" in found.sentence
    readable(folder)
    assert {p.name for p in folder.iterdir()} >= {
        "README.md", "MODEL_CARD.md", "pyproject.toml", "requirements.lock", "manifest.json",
        "schema.json", "features.py", "best_model.py", "train.py", "evaluate.py", "predict.py",
        "Dockerfile", "artifacts", "tests",
    }  # fmt: skip
    lock = (folder / "requirements.lock").read_text()
    assert "scikit-learn==" in lock
    assert "lightgbm" not in lock
    assert "torch" not in lock


@pytest.mark.slow
def test_another_score_is_not_verified(blend: tuple[ExportPlan, Path]) -> None:
    _, folder = blend
    found = verify(folder, data=folder.parent / "orders.csv", expected_score=0.123)
    assert not found.ok
    assert "NOT verified" in found.sentence


@pytest.mark.slow
def test_serve_answers_json_and_csv(blend: tuple[ExportPlan, Path]) -> None:
    plan, folder = blend
    code = (
        "import sys, json, threading, urllib.request as u\n"
        f"sys.path.insert(0, {str(folder)!r})\n"
        "import serve\n"
        "s = serve.server('127.0.0.1', 0)\n"
        "threading.Thread(target=s.serve_forever, daemon=True).start()\n"
        "at = f'http://127.0.0.1:{s.server_port}'\n"
        "def post(body, kind):\n"
        "    r = u.Request(at + '/invocations', body.encode(), {'Content-Type': kind})\n"
        "    return json.load(u.urlopen(r))['predictions']\n"
        "print(u.urlopen(at + '/ping').status)\n"
        "row = {'age': 44, 'city': 'Rome', 'day': '2025-03-04', 'note': None}\n"
        "print(json.dumps(post(json.dumps({'instances': [row, {}]}), 'application/json')))\n"
        "print(json.dumps(post('age,city,day\\n44,Rome,2025-03-04\\n', 'text/csv')))\n"
        "try:\n"
        "    post(json.dumps({'aeg': 1}), 'application/json')\n"
        "except u.HTTPError as e:\n"
        "    print(e.code, e.read().decode())\n"
        "import score\n"
        "score.init()\n"
        "print(json.dumps(score.run(json.dumps({'rows': [row]}))))\n"
    )
    command = [sys.executable, "-I", "-c", code.replace("u.HTTPError", "Exception")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    ping, answered, from_csv, refused, azure = done.stdout.splitlines()
    assert ping == "200"
    first, empty = json.loads(answered)
    assert first == json.loads(from_csv)[0] == json.loads(azure)[0]
    assert set(first) == {"prediction", "probability_no", "probability_yes"}
    assert first["probability_no"] + first["probability_yes"] == pytest.approx(1)
    assert empty["prediction"] in plan.classes
    assert refused.startswith("400")
    assert "'aeg' is no input" in refused


@pytest.mark.slow
def test_a_folder_whose_name_has_a_colon_is_verified(
    blend: tuple[ExportPlan, Path], tmp_path: Path
) -> None:
    plan, _ = blend
    folder = export(plan, tmp_path / "run 10:30" / "export")
    assert verify(folder, expected_score=plan.score).ok


@pytest.mark.slow
def test_an_input_may_be_called_order(tmp_path: Path, make_plan: Build) -> None:
    plan = make_plan(tmp_path, {"decision_tree": 1.0}, "class", age="order")
    folder = export(plan, tmp_path / "export")
    found = verify(folder, data=tmp_path / "orders.csv", expected_score=plan.score)
    assert found.ok, found.sentence


@pytest.mark.slow
def test_an_input_of_an_ordered_model_may_be_called_order(
    tmp_path: Path, make_plan: Build, run_all: Build
) -> None:
    pytest.importorskip("torch")
    plan = make_plan(tmp_path, {"lstm": 1.0}, "class", age="order")
    folder, data = export(plan, tmp_path / "export"), tmp_path / "orders.csv"
    found = verify(folder, data=data, expected_score=plan.score)
    assert found.ok, found.sentence
    printed = run_all(folder, ["train.py", "--data", data, "--out", tmp_path / "a", "--json"])
    assert json.loads(printed.splitlines()[-1])["max_difference"] == 0


@pytest.mark.slow
def test_the_time_column_is_read_for_its_calendar_alone(
    tmp_path: Path, make_plan: Build, run_all: Build, readable: Build
) -> None:
    view = {"calendar": ["day"]}
    plan = make_plan(tmp_path, {"decision_tree": 1.0}, "number", view=view)
    folder, data = export(plan, tmp_path / "export"), tmp_path / "orders.csv"
    found = verify(folder, data=data, expected_score=plan.score)
    assert (found.ok, found.max_difference) == (True, 0), found.sentence
    readable(folder)
    code = "".join(path.read_text(encoding="utf-8") for path in folder.glob("*.py"))
    assert "def calendar_terms(" in code
    printed = run_all(folder, ["train.py", "--data", data, "--out", tmp_path / "a", "--json"])
    assert json.loads(printed.splitlines()[-1])["max_difference"] == 0


@pytest.mark.slow
def test_an_export_without_a_calendar_has_no_code_for_one(blend: tuple[ExportPlan, Path]) -> None:
    _, folder = blend
    code = "".join(path.read_text(encoding="utf-8") for path in folder.glob("*.py"))
    assert "calendar_terms" not in code
