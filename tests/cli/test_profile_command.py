"""`promise profile` for people and for programs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from promise.cli.main import main


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rng = np.random.default_rng(7)
    age = rng.integers(18, 80, 400)
    lines = ["customer_id,age,city,price"]
    lines += [
        f"c{at:05d},{a},{c},{a * 2 + e:.3f}"
        for at, (a, c, e) in enumerate(
            zip(age, rng.choice(["Rome", "?"], 400), rng.normal(0, 30, 400), strict=True)
        )
    ]
    path = tmp_path / "table.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def run(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    printed = capsys.readouterr()
    return int(ended.value.code or 0), printed.out, printed.err


def test_json_is_one_object_with_columns_and_findings(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(["profile", str(table), "--target", "price", "--json"], capsys)
    found = json.loads(out)
    assert (code, found["n_rows"], found["n_columns"]) == (0, 400, 4)
    columns = {column["name"]: column for column in found["columns"]}
    assert columns["customer_id"]["guesses"] == ["identifier"]
    assert columns["city"]["null_tokens"].keys() == {"?"}
    assert columns["age"]["correlation_kind"] == "pearson"
    assert "identifier" in [finding["check"] for finding in found["findings"]]


def test_people_get_a_table_and_sentences(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(["profile", str(table)], capsys)
    assert code == 0
    assert "400 rows" in out
    assert "customer_id" in out
    assert "--column ignore=customer_id" in out


def test_names_and_values_are_no_markup(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "odd.csv"
    names = ("price[/m2]", "speed [km]", "[red]")
    rows = [f"{i},{i % 7},{'[/b]' if i % 3 else '[i]'}" for i in range(60)]
    path.write_text("\n".join([",".join(names), *rows]), encoding="utf-8")
    code, out, err = run(["profile", str(path), "--target", "price[/m2]"], capsys)
    assert code == 0, err
    assert all(name in out for name in names)


def test_an_unknown_target_is_one_clear_line(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(["profile", str(table), "--target", "prise"], capsys)
    assert (code, out) == (1, "")
    assert "did you mean 'price'?" in err


def test_reading_options_are_those_of_discover(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "table.csv"
    path.write_text("a|b\n1,5|x\n2,5|y\n", encoding="utf-16")
    options = ["--set", "encoding=utf-16", "--set", "delimiter=|", "--set", "decimal=,"]
    code, out, _ = run(["profile", str(path), *options, "--json"], capsys)
    assert code == 0
    assert [c["mean"] for c in json.loads(out)["columns"]] == [2.0, None]
    code, _, err = run(["profile", str(path), "--set", "decimals=,"], capsys)
    assert code == 1
    assert "did you mean 'decimal'" in err
