"""Files come as the rows they hold, in chunks, numbered over all paths."""

import bz2
import csv
import gzip
import io
import json
import lzma
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from promise.data.source import open_source
from promise.kernels.reading import files_of, read_chunks
from promise.kernels.reading_input import LOOK_BYTES

CELL = st.text(st.characters(codec="utf-8", exclude_characters="\x00\r"), max_size=8)


def reader(path, names, **details):
    return {"format": "csv", "paths": [str(path)], "names": names, "header": True, **details}


def rows_of(description, columns=None, **options):
    return [
        tuple(row.values())
        for _, table in read_chunks(description, columns, **options)
        for row in table.to_pylist()
    ]


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None
)
@given(st.lists(st.tuples(CELL.filter(bool), CELL), min_size=1, max_size=9), st.integers(1, 4))
def test_csv_cells_come_as_they_were_written(tmp_path, rows, chunk_rows):
    path = tmp_path / "x.csv"
    text = io.StringIO()
    csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows([("a", "b"), *rows])
    path.write_bytes(text.getvalue().encode())
    assert rows_of(reader(path, ["a", "b"]), chunk_rows=chunk_rows) == rows


def test_chunks_are_exact_and_numbered_over_paths(tmp_path):
    for name, n in (("x.csv", 5), ("y.csv", 3)):
        (tmp_path / name).write_text("a,b\n" + "".join(f"{i},{name}\n" for i in range(n)))
    both = {**reader("", ["a", "b"]), "paths": [str(tmp_path / "x.csv"), str(tmp_path / "y.csv")]}
    chunks = [(first, table["b"].to_pylist()) for first, table in read_chunks(both, ["b"], 2)]
    assert [first for first, _ in chunks] == [0, 2, 4, 5, 7]
    assert [len(cells) for _, cells in chunks] == [2, 2, 1, 2, 1]
    assert chunks[-1][1] == ["y.csv"]


@pytest.mark.parametrize(
    ("compression", "pack"),
    [
        ("gzip", lambda raw: gzip.compress(raw[:6]) + gzip.compress(raw[6:])),
        ("bz2", bz2.compress),
        ("xz", lzma.compress),
        ("zstd", lambda raw: pa.compress(raw, codec="zstd", asbytes=True)),
    ],
)
def test_compressed_files(tmp_path, compression, pack):
    (tmp_path / "x").write_bytes(pack(b"a,b\n1,2\n3,\n"))
    found = rows_of(reader(tmp_path / "x", ["a", "b"], compression=compression))
    assert found == [("1", "2"), ("3", "")]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252", "latin-1"])
def test_encodings(tmp_path, encoding):
    (tmp_path / "x").write_bytes("a;b\né;ü\n".encode(encoding))
    found = rows_of(reader(tmp_path / "x", ["a", "b"], encoding=encoding, delimiter=";"))
    assert found == [("é", "ü")]


@pytest.mark.parametrize(
    ("written", "read"), [("utf-8", "é"), ("utf-8-sig", "é"), ("cp1252", "é"), ("cp1251", "й")]
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress])
def test_a_file_that_is_utf8_is_read_so_whatever_the_others_are_in(tmp_path, written, read, pack):
    told = {"encoding": "cp1252" if written != "cp1251" else "cp1251", "utf8_first": True}
    squeezed = {bytes: None, gzip.compress: "gzip", lzma.compress: "xz"}[pack]
    (tmp_path / "x").write_bytes(pack(f"a,b\n{read},1\n".encode(written)))
    assert rows_of(reader(tmp_path / "x", ["a", "b"], compression=squeezed, **told)) == [
        (read, "1")
    ]


def test_one_byte_at_the_end_that_is_not_utf8_decides(tmp_path):
    written = "a,b\né,1\n".encode() + b"x,2\n" * (LOOK_BYTES // 4) + b"\xe9,3"
    (tmp_path / "x").write_bytes(written)
    told = {"encoding": "cp1252", "utf8_first": True}
    found = rows_of(reader(tmp_path / "x", ["a", "b"], **told))
    assert (found[0][0], found[-1][0]) == ("Ã©", "é")


def test_ascii_alone_does_not_speak_against_the_encoding_told(tmp_path):
    (tmp_path / "x").write_bytes("a,b\n日本,1\n".encode("iso2022_jp"))
    found = rows_of(reader(tmp_path / "x", ["a", "b"], encoding="iso2022_jp", utf8_first=True))
    assert found == [("日本", "1")]


def test_a_file_cut_short_in_its_compression_is_named(tmp_path):
    (tmp_path / "x").write_bytes(gzip.compress(b"a,b\n1,2\n" * 9_000)[:60])
    told = {"encoding": "cp1252", "utf8_first": True, "compression": "gzip"}
    with pytest.raises(ValueError, match=r"^\S*/x: "):
        rows_of(reader(tmp_path / "x", ["a", "b"], **told))


def test_ragged_rows_fail_or_are_left_out(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("a,b\n1,2\n3\n4,5,6\n7,8\n")
    with pytest.raises(ValueError, match=r"x\.csv: row 3 .* has 1 cell, expected 2"):
        rows_of(reader(path, ["a", "b"]))
    heard = []
    kept = rows_of(
        reader(path, ["a", "b"], on_bad_rows="skip"), on_bad=lambda *args: heard.append(args[1])
    )
    assert (kept, heard) == ([("1", "2"), ("7", "8")], [3, 4])


def test_parquet_nested_values_and_dictionaries(tmp_path):
    path = tmp_path / "x.parquet"
    words = pa.array(["x", None, "x"]).dictionary_encode()
    table = pa.table({"a": [1, 2, 3], "b": [[1], None, [2, 3]], "c": words})
    pq.write_table(table, path, row_group_size=2)
    found = rows_of({"format": "parquet", "paths": [str(path)], "names": ["a", "b", "c"]})
    assert found == [(1, "[1]", "x"), (2, None, None), (3, "[2, 3]", "x")]


def test_json_lines(tmp_path):
    path = tmp_path / "x.jsonl"
    rows = [{"a": 1, "b": {"c": [2]}}, {"a": None}, {"a": "x", "b": True}]
    path.write_text("\n".join(map(json.dumps, rows)) + "\n\n[1]\n")
    description = {"format": "jsonl", "paths": [str(path)], "names": ["a", "b"]}
    with pytest.raises(ValueError, match="line 5 is list, expected an object"):
        rows_of(description)
    kept = rows_of({**description, "on_bad_rows": "skip"})
    assert kept == [("1", '{"c": [2]}'), (None, None), ("x", "true")]


def test_columns_told_by_a_folders_name_are_not_looked_for_in_the_file(tmp_path: Path) -> None:
    for year in (2024, 2025):
        folder = tmp_path / f"year={year}"
        folder.mkdir()
        (folder / "part.csv").write_text("a,b\n1,x\n2,y\n")
    source = open_source(str(tmp_path))
    rows = [row for _, table in source.batches() for row in table.to_pylist()]
    assert rows[-1] == {"a": "2", "b": "y", "year": "2025"}


def test_a_column_keeps_one_type_or_becomes_text(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    rows = [{"a": 1, "b": None}, {"a": 2, "b": 1}, {"a": "x", "b": 2.5}, {"a": 4, "b": 3}]
    path.write_text("\n".join(map(json.dumps, rows)) + "\n")
    description = {"format": "jsonl", "paths": [str(path)], "names": ["a", "b"]}
    chunks = [table for _, table in read_chunks(description, chunk_rows=1)]
    assert [str(chunk.schema.field("a").type) for chunk in chunks] == 2 * ["int64"] + 2 * ["string"]
    assert [str(c.schema.field("b").type) for c in chunks] == ["null", "int64", "double", "double"]
    assert [chunk["a"][0].as_py() for chunk in chunks] == [1, 2, "x", "4"]


def test_parquet_files_of_different_types(tmp_path: Path) -> None:
    nan = float("nan")
    for name, cells in (("a", pa.array(["x", "2"])), ("b", [3, 4]), ("c", [5.0, nan])):
        pq.write_table(pa.table({"a": cells}), tmp_path / f"{name}.parquet")
    paths = files_of(str(tmp_path))
    found = rows_of({"format": "parquet", "paths": paths, "names": ["a"]})
    assert [cell for (cell,) in found] == ["x", "2", "3", "4", "5", None]


def test_files_of_a_folder_and_a_glob(tmp_path: Path) -> None:
    shown = ["a-b/x.csv", "a/x.csv.gz", "a/year=2024/x.csv", "part-10.csv", "part-2.csv"]
    other = ["_SUCCESS", "_temporary/0.csv", ".hidden.csv", "notes.md", "a/._x.csv", "_x.csv"]
    for name in [*shown, *other]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("a\n1\n")
    assert files_of(str(tmp_path)) == [str(tmp_path / name) for name in shown]
    assert files_of(str(tmp_path / "*.csv")) == [str(tmp_path / name) for name in shown[-2:]]
    assert files_of(str(tmp_path / "_x*")) == [str(tmp_path / "_x.csv")]
    assert files_of(str(tmp_path / "a" / "x.csv.gz")) == [str(tmp_path / shown[1])]
    assert files_of(str(tmp_path / "nothing")) == []
