"""An export reads the original rows in any form, and tells other rows apart."""

from __future__ import annotations

import gzip
import json
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

from promise.data.split import Split
from promise.discovery.export import ExportPlan, export, run_isolated, verify
from promise.kernels.parsing import parse_columns
from promise.kernels.reading import read_chunks

Build = Callable[..., Any]
N_ROWS = 240


@pytest.mark.parametrize(
    "kind",
    [
        "parquet",
        *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("jsonl", "csv.gz", "year=2024")),
    ],
)
def test_the_same_rows_in_another_format_give_the_same_score(
    blend: tuple[ExportPlan, Path], tmp_path: Path, kind: str, readable: Build
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


@pytest.mark.slow
@pytest.mark.parametrize("written", ["cp1252", "utf-8", "utf-8-sig"])
def test_later_files_may_be_utf8_though_the_first_was_not(
    blend: tuple[ExportPlan, Path], tmp_path: Path, written: str
) -> None:
    plan, _ = blend
    text = Path(plan.reader["paths"][0]).read_text(encoding="utf-8")
    path = tmp_path / "later.csv"
    path.write_bytes(text.encode(written))
    reader = {**plan.reader, "encoding": "cp1252"}
    folder = export(replace(plan, reader=reader), tmp_path / "export")
    found = verify(folder, data=path, expected_score=plan.score)
    assert found.ok, found.sentence


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_model_of_every_row_trains_on_all_but_the_holdout(
    blend: tuple[ExportPlan, Path], tmp_path: Path, readable: Build, run_lines: Build
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


@pytest.mark.slow
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
    blend: tuple[ExportPlan, Path],
    tmp_path: Path,
    rule: dict[str, Any],
    readable: Build,
    run_lines: Build,
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
