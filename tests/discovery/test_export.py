"""Exports: run without Promise, give the same digits, and read like code."""

from __future__ import annotations

import ast
import gzip
import importlib
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from promise.data.answer import Class, Number
from promise.data.split import Split
from promise.discovery.export import ExportPlan, Member, Order, export, run_isolated, verify
from promise.discovery.export.code import code_files, function_modules
from promise.discovery.export.package import pyproject
from promise.discovery.export.prose import interval
from promise.errors import ArtifactError, DataError
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
    age = extra.get("age", "age")  # the first column's name
    path.write_text(path.read_text(encoding="utf-8").replace("age", age, 1), encoding="utf-8")
    reader = {"format": "csv", "paths": [str(path)], "delimiter": ",", "quote": '"',
              "encoding": "utf-8", "compression": None, "header": True,
              "names": [age, "city", "day", "note", "y"], "on_bad_rows": "fail"}  # fmt: skip
    schema = tuple({**f, "name": age} if f["name"] == "age" else f for f in schema_of(kind))
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
        fields = [f for f in schema if f["role"] == "input"]
        state = fit_encoding(learn, fields, y[train], len(classes), train, view, seed=5)
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


def run_all(folder: Path, *commands: list[object]) -> str:
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
    ({"xgboost": 0.5, "lightgbm": 0.3, "linear": 0.2}, "number", {}),
]  # fmt: skip
BLEND = {"decision_tree": 0.6, "linear": 0.4}


@pytest.fixture(scope="module")
def blend(tmp_path_factory: pytest.TempPathFactory) -> tuple[ExportPlan, Path]:
    """Export a blend of two families, tempered and with multipliers."""
    folder = tmp_path_factory.mktemp("blend")
    plan = make_plan(folder, BLEND, "class", temperature=1.3, multipliers=(1.0, 1.4))
    return plan, export(plan, folder / "export")


def readable(folder: Path) -> None:
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


@pytest.mark.slow
@pytest.mark.parametrize(("families", "kind", "extra"), CASES, ids=str)
def test_every_family_runs_without_promise_and_trains_again_to_the_same_model(
    tmp_path: Path, families: dict[str, float], kind: str, extra: dict[str, Any]
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


def test_a_blend_gives_the_leaderboards_digits_without_promise(
    blend: tuple[ExportPlan, Path],
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


@pytest.mark.parametrize("kind", ["parquet", "jsonl", "csv.gz", "year=2024"])
def test_the_same_rows_in_another_format_give_the_same_score(
    blend: tuple[ExportPlan, Path], tmp_path: Path, kind: str
) -> None:
    plan, _ = blend
    text = pa_csv.ConvertOptions(column_types=dict.fromkeys(plan.golden.column_names, pa.string()))
    table = pa_csv.read_csv(Path(plan.reader["paths"][0]), convert_options=text)
    reader = dict(plan.reader)
    if kind == "parquet":
        pq.write_table(table, path := tmp_path / "rows.parquet")
    elif kind == "jsonl":
        path = tmp_path / "rows.jsonl"
        path.write_text("\n".join(json.dumps(row) for row in table.to_pylist()))
        reader = {"format": "jsonl", "paths": [str(path)], "names": table.column_names}
    elif kind == "csv.gz":
        with gzip.open(path := tmp_path / "rows.csv.gz", "wb") as file:
            pa_csv.write_csv(table, file)
    else:
        (tmp_path / kind).mkdir()
        path = tmp_path / kind / "part.csv"
        pa_csv.write_csv(table, path)
        names = [*table.column_names, "year"]
        reader |= {"paths": [str(path)], "constants": [{"year": "2024"}], "names": names}
    folder = export(replace(plan, reader=reader), tmp_path / "export")
    found = verify(folder, data=path, expected_score=plan.score)
    assert found.ok, found.sentence
    readable(folder)


def test_many_classes_and_columns_are_read_from_the_schema(
    blend: tuple[ExportPlan, Path], tmp_path: Path
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


def test_another_score_is_not_verified(blend: tuple[ExportPlan, Path]) -> None:
    _, folder = blend
    found = verify(folder, data=folder.parent / "orders.csv", expected_score=0.123)
    assert not found.ok
    assert "NOT verified" in found.sentence


@pytest.mark.parametrize("what", ["reordered", "another", "shorter"])
def test_a_changed_file_is_told_in_words(
    blend: tuple[ExportPlan, Path], tmp_path: Path, what: str
) -> None:
    _, folder = blend
    table = pa_csv.read_csv(folder.parent / "orders.csv")
    if what == "reordered":
        table = table.take(np.roll(np.arange(N_ROWS), 4))
    if what == "another":
        table = table.set_column(0, "age", pa.array(["1"] * N_ROWS))
    if what == "shorter":
        table = table.slice(0, 50)
    pa_csv.write_csv(table, tmp_path / "changed.csv")
    arguments = ["--data", str(tmp_path / "changed.csv")]
    done = run_isolated(folder, ["evaluate.py"], arguments, sys.executable, 120)
    assert done.returncode == 1
    said = {"reordered": "in another order", "another": "another file", "shorter": "data end"}
    assert said[what] in done.stderr
    assert "Traceback" not in done.stderr


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


def test_only_an_export_is_replaced(blend: tuple[ExportPlan, Path], tmp_path: Path) -> None:
    plan, folder = blend
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(ArtifactError, match="no export"):
        export(plan, tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").exists()
    assert export(plan, folder) == folder
    assert not list(folder.parent.glob(".*part*"))


def test_the_manifest_knows_every_file(blend: tuple[ExportPlan, Path]) -> None:
    _, folder = blend
    manifest = json.loads((folder / "manifest.json").read_text())
    files = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    files = {name for name in files if "__pycache__" not in name}
    assert files - {"manifest.json"} == set(manifest["files"])
    assert manifest["lineage"]["holdout_rows"] == N_ROWS // 4


def test_a_failing_export_leaves_nothing(
    blend: tuple[ExportPlan, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, _ = blend

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("promise.discovery.export.write_artifacts", full)
    with pytest.raises(DataError, match="disk is full"):
        export(plan, tmp_path / "export")
    assert list(tmp_path.iterdir()) == []


def test_a_score_that_is_undefined_is_said_to_be(
    blend: tuple[ExportPlan, Path], tmp_path: Path
) -> None:
    plan, _ = blend
    only = np.flatnonzero(plan.holdout["y"] == "no")  # one class: no curve to measure below
    few = replace(
        plan, metric="roc_auc", score=float("nan"), ci=(None, None), baseline_score=None,
        validation_score=float("nan"), holdout_rows=plan.holdout_rows[only],
        holdout={name: values[only] for name, values in plan.holdout.items()},
        leaderboard={"models": [{"name": "a", "family": "linear", "score": float("nan")}]},
        importance=({"feature": "age", "mean": None, "low": None, "high": None},),
    )  # fmt: skip
    folder = export(few, tmp_path / "export")
    data = tmp_path / "orders.csv"
    data.write_bytes(Path(plan.reader["paths"][0]).read_bytes())
    found = verify(folder, data=data, expected_score=None)
    assert (found.ok, found.score) == (True, None), found.sentence
    assert "undefined" in found.sentence
    assert verify(folder, data=data, expected_score=float("nan")).ok
    assert not verify(folder, data=data, expected_score=0.5).ok
    card = (folder / "MODEL_CARD.md").read_text()
    assert "**undefined**" in card
    assert "nan" not in card
    assert json.loads((folder / "manifest.json").read_text())["score"] is None
    done = run_isolated(folder, ["evaluate.py"], ["--data", str(data)], sys.executable, 120)
    assert "holdout rows: undefined" in done.stdout, done.stderr
    readable(folder)
    halfway = replace(plan, ci=(0.5, float("nan")))
    assert "(95 % interval undefined)" in interval(halfway)


def test_a_folder_whose_name_has_a_colon_is_verified(
    blend: tuple[ExportPlan, Path], tmp_path: Path
) -> None:
    plan, _ = blend
    folder = export(plan, tmp_path / "run 10:30" / "export")
    assert verify(folder, expected_score=plan.score).ok


def test_strange_column_names_stay_out_of_the_code(
    blend: tuple[ExportPlan, Path], tmp_path: Path
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


@pytest.mark.parametrize("way", ["list", "folder", "pattern"])
def test_several_files_are_read_in_the_order_of_the_original(
    blend: tuple[ExportPlan, Path], tmp_path: Path, way: str
) -> None:
    plan, folder = blend
    head, *rows = Path(plan.reader["paths"][0]).read_text().splitlines()
    home = tmp_path / "parts"
    (home / "a").mkdir(parents=True)
    (home / ".hidden").mkdir()
    cuts = {"B.csv": rows[:50], "a-1.csv": rows[50:90], "a/z.csv": rows[90:200]}
    for name, part in (cuts | {"a1.csv": rows[200:], ".hidden/x.csv": ["no"]}).items():
        (home / name).write_text("\n".join([head, *part]))
    (home / "_SUCCESS").touch()
    flat = "*.csv" if way == "pattern" else ""
    if way == "pattern":
        (home / "a/z.csv").rename(home / "a-2.csv")
    data: Any = str(home / flat)
    if way == "list":
        data = [str(home / name) for name in sorted(cuts)] + [str(home / "a1.csv")]
    found = verify(folder, data=data, expected_score=plan.score)
    assert found.ok, found.sentence


def test_a_model_of_every_row_trains_on_all_but_the_holdout(
    blend: tuple[ExportPlan, Path], tmp_path: Path
) -> None:
    plan, _ = blend
    folder = export(replace(plan, train_rows=np.zeros(0, dtype=np.int64)), tmp_path / "export")
    readable(folder)
    code = "from train import passes\nrows = [r for *_, part in passes(sys.argv[1:], 'train')() "
    lines = run_lines(
        folder, f"import json, sys\n{code}for r in part.tolist()]\nprint(json.dumps(rows))", plan
    )
    assert json.loads(lines) == plan.train_rows.tolist()
    assert f"{len(plan.train_rows):,} rows to learn from" in (folder / "MODEL_CARD.md").read_text()


def run_lines(folder: Path, code: str, plan: ExportPlan) -> str:
    """Run code against the export's modules, without Promise, with the data as its argument."""
    script = folder.parent / "lines.py"
    script.write_text(code, encoding="utf-8")
    done = run_isolated(folder, [str(script)], [plan.reader["paths"][0]], sys.executable, 120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "rule",
    [
        {"kind": "temporal", "column": "day", "cutoff": "2025-06-01", "gap_s": 864000.0},
        {"kind": "grouped", "column": "age", "seed": 7, "fraction": 0.3},
        {"kind": "grouped", "column": "city", "seed": 7, "fraction": 0.5},
    ],
    ids=str,
)
def test_the_rest_holds_no_row_that_the_split_would_have_sealed(
    blend: tuple[ExportPlan, Path], tmp_path: Path, rule: dict[str, Any]
) -> None:
    plan, _ = blend
    split = Split.from_json({"fraction": 0.2, "seed": 7} | rule)
    reader = dict(plan.reader)
    table = pa.concat_tables(t for _, t in read_chunks(reader))
    values = parse_columns(table, list(plan.schema))[str(split.column)]
    side = split.holdout(np.arange(N_ROWS), time=values, group=values)
    assert set(side.tolist()) >= {0, 1}
    # a sample held few of the rows, so only some sealed ones have their number written down
    sampled = np.flatnonzero(side == 1)[:5]
    few = replace(
        plan, split=split.to_json(), holdout=None, holdout_rows=sampled,
        train_rows=np.flatnonzero(side == 0)[:20],
    )  # fmt: skip
    folder = export(few, tmp_path / "export")
    readable(folder)
    code = "from train import passes\nrows = [r for *_, part in passes(sys.argv[1:], 'rest')() "
    found = run_lines(
        folder, f"import json, sys\n{code}for r in part.tolist()]\nprint(json.dumps(rows))", few
    )
    assert json.loads(found) == np.flatnonzero(side == 0).tolist()


def test_an_input_may_be_called_order(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, {"decision_tree": 1.0}, "class", age="order")
    folder = export(plan, tmp_path / "export")
    found = verify(folder, data=tmp_path / "orders.csv", expected_score=plan.score)
    assert found.ok, found.sentence


@pytest.mark.slow
def test_an_input_of_an_ordered_model_may_be_called_order(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    plan = make_plan(tmp_path, {"lstm": 1.0}, "class", age="order")
    folder, data = export(plan, tmp_path / "export"), tmp_path / "orders.csv"
    found = verify(folder, data=data, expected_score=plan.score)
    assert found.ok, found.sentence
    printed = run_all(folder, ["train.py", "--data", data, "--out", tmp_path / "a", "--json"])
    assert json.loads(printed.splitlines()[-1])["max_difference"] == 0
