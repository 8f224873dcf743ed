"""Data are opened again as a version read them, and others beside them alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from promise.data.lineage import open_again, open_beside
from promise.data.source import Source
from promise.errors import DataError

TEXT = "town,x\nМосква,1\n"


def towns(source: Source) -> list[Any]:
    return [town for _, table in source.batches() for town in table["town"].to_pylist()]


def told(encoding: str) -> dict[str, Any]:
    return {"reader": {"format": "csv", "encoding": encoding}}


@pytest.mark.parametrize("lineages", [("cp1251",), ("utf-8", "cp1251"), ("cp1251", "utf-8")])
def test_other_data_are_read_in_the_encoding_of_the_versions(
    tmp_path: Path, lineages: tuple[str, ...]
) -> None:
    path = tmp_path / "x.csv"
    for written in ("cp1251", "utf-8"):
        path.write_bytes(TEXT.encode(written))
        assert towns(open_beside(path, *map(told, lineages))) == ["Москва"]


def test_other_data_of_versions_that_tell_nothing_are_guessed(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes("town,x\nMünchen,1\n".encode("cp1252"))
    source = open_beside(path, {}, told("utf-8"), {"reader": None})
    assert (towns(source), len(source.cautions())) == (["München"], 1)


def test_a_versions_own_data_are_read_as_they_were_then(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(f"{TEXT}row that is cut\n".encode("cp1251"))
    order = {"data": str(path), "reading": {"encoding": "cp1251"}}
    again = open_again({"order": order, "reader": {"on_bad_rows": "skip"}, "source": "gone.csv"})
    assert towns(again) == ["Москва"]


def test_a_lineage_without_a_source_is_told() -> None:
    with pytest.raises(DataError, match="does not tell its source"):
        open_again({})


def test_data_is_read_again_as_it_was_said(tmp_path: Path) -> None:
    path = tmp_path / "people.txt"
    path.write_text("age;target\n1,5;yes\n", encoding="utf-8")
    order = {"data": str(path), "reading": {"delimiter": ";", "decimal": ","}}
    source = open_again({"order": order})
    assert source.reader is not None
    assert source.reader["delimiter"] == ";"
