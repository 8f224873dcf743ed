"""Sources of every kind give the same rows, again and again, and know their size."""

import gzip

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from promise.data.infer import infer_schema, read_columns
from promise.data.source import open_source
from promise.data.synthetic import known_table


def total(source, column):
    columns, _ = read_columns(source, infer_schema(source).only((column,)))
    return float(np.nansum(columns[column]))


@pytest.fixture
def table():
    return known_table(500)


@pytest.mark.slow
def test_every_kind_of_source_gives_the_same_rows(tmp_path, table):
    pa_csv.write_csv(table, tmp_path / "x.csv")
    (tmp_path / "x.csv.gz").write_bytes(gzip.compress((tmp_path / "x.csv").read_bytes()))
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=100)
    frame = table.to_pandas()
    frame.to_json(
        tmp_path / "x.jsonl", orient="records", lines=True, double_precision=15, date_format="iso"
    )
    given = [*(str(tmp_path / n) for n in ("x.csv", "x.csv.gz", "x.parquet", "x.jsonl"))]
    given += [table, frame, pl.from_arrow(table), pl.from_arrow(table).lazy()]
    for data in given:
        source = open_source(data)
        assert source.columns == tuple(table.column_names)
        assert (source.size().rows, source.size().exact) == (500, True)
        types = [f.type for f in infer_schema(source)]
        assert types == ["number", "number", "category", "number", "date", "number"]
        for _ in range(2):  # re-iterable
            assert total(source, "target") == pytest.approx(np.sum(table["target"].to_numpy()))


def test_rows_are_found_by_their_numbers(tmp_path, table):
    pa_csv.write_csv(table, tmp_path / "x.csv")
    source = open_source(tmp_path / "x.csv")
    wanted = np.array([0, 17, 499])
    columns, rows = read_columns(source, infer_schema(source), wanted)
    np.testing.assert_array_equal(rows, wanted)
    np.testing.assert_array_equal(columns["age"], table["age"].to_numpy()[wanted])
    columns, rows = read_columns(source, infer_schema(source), limit=3)
    assert (columns.n_rows, rows.tolist()) == (3, [0, 1, 2])


def test_a_glob_and_a_folder_read_as_one_source(tmp_path, table):
    for year in (2023, 2024):
        folder = tmp_path / "parquet" / f"year={year}"
        folder.mkdir(parents=True)
        pq.write_table(table, folder / "part.parquet")
    source = open_source(tmp_path / "parquet")
    assert source.size().rows == 1000
    columns, _ = read_columns(source, infer_schema(source))
    assert columns["year"].tolist() == [2023] * 500 + [2024] * 500
    for name in ("a.csv", "b.csv"):
        pa_csv.write_csv(table, tmp_path / name)
    source = open_source(str(tmp_path / "*.csv"))
    assert [first for first, _ in source.batches(["age"], 300)] == [0, 300, 500, 800]


@pytest.mark.slow
def test_a_large_file_is_estimated_and_sampled_throughout(tmp_path, monkeypatch):
    path = tmp_path / "x.csv"
    lines = (f"{i},{'x' * (i % 50)}\n" for i in range(60_000))
    path.write_text("row,text\n" + "".join(lines))
    monkeypatch.setattr("promise.data.files.COUNT_BYTES", 1000)
    source = open_source(path)
    assert not source.size().exact
    assert source.size().rows == pytest.approx(60_000, rel=0.05)
    sample = source.sample(2000)
    assert sample.num_rows == pytest.approx(2000, abs=100)
    assert max(map(int, sample["row"].to_pylist())) > 50_000
    assert sum(t.num_rows for _, t in source.batches()) == 60_000
    assert (source.size().rows, source.size().exact) == (60_000, True)


def test_the_fingerprint_follows_the_content_only(tmp_path, table):
    first, second = tmp_path / "one", tmp_path / "two"
    for folder in (first, second):
        folder.mkdir()
        pa_csv.write_csv(table, folder / "x.csv")
    before = open_source(first / "x.csv").fingerprint()
    assert open_source(second / "x.csv").fingerprint() == before
    pa_csv.write_csv(table.slice(1), second / "x.csv")
    assert open_source(second / "x.csv").fingerprint() != before
    assert open_source(table).fingerprint() == open_source(table.to_pandas()).fingerprint()


def test_bad_rows_are_counted_once_however_often_they_are_read(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("a,b\n1,2\n3\n4,5\n6,7,8\n")
    source = open_source(path, on_bad_rows="skip")
    for _ in range(3):
        assert sum(t.num_rows for _, t in source.batches()) == 2
    assert source.bad_rows.count == 2
    assert source.bad_rows.examples[0][0] == 3
    assert "1 cell, expected 2" in source.bad_rows.examples[0][1]


def test_pandas_columns_of_mixed_types_become_text():
    frame = pd.DataFrame({"a": [1, "x", None], "b": [1.5, None, 2.5]}, index=[5, 6, 7])
    columns, _ = read_columns(open_source(frame), infer_schema(open_source(frame)))
    assert columns["a"].tolist() == ["1", "x", None]
    np.testing.assert_array_equal(columns["b"], [1.5, np.nan, 2.5])


@pytest.mark.slow
def test_memory_is_bounded_by_the_chunk(tmp_path):
    pq.write_table(pa.table({"a": np.arange(3_000_000)}), tmp_path / "x.parquet")
    source = open_source(tmp_path / "x.parquet")
    before = pa.total_allocated_bytes()
    peak = max(pa.total_allocated_bytes() - before for _ in source.batches(chunk_rows=1000))
    assert peak < 8_000_000  # the column has 24 MB


@pytest.mark.slow
def test_ten_thousand_columns(tmp_path):
    names = [f"column_number_{i}" for i in range(10_000)]
    cells = ",".join(["1"] * 10_000)
    (tmp_path / "wide.csv").write_text(",".join(names) + ("\n" + cells) * 20 + "\n")
    source = open_source(tmp_path / "wide.csv")
    assert len(source.columns) == 10_000
    assert source.size().rows == 20
    assert next(source.batches(["column_number_9999"]))[1].num_rows == 20


@pytest.mark.parametrize(
    ("text", "delimiter", "header", "names"),
    [
        ("a,b\n1,2\n", ",", True, ("a", "b")),
        ("when;price\n2024-01-02;1,5\n2024-01-03;2,5\n", ";", True, ("when", "price")),
        ("1,5;2,5\n3,5;4,5\n2,0;1,0\n", ";", False, ("column_0", "column_1")),
        ("a\tb c\n1\tx, y\n2\tz, w\n", "\t", True, ("a", "b c")),
        ("a|b\n1|2\n", "|", True, ("a", "b")),
        ("1 2 3\n4 5 6\n", " ", False, ("column_0", "column_1", "column_2")),
        ("p,x\np,y\ne,x\ne,x\n", ",", False, ("column_0", "column_1")),
        (',x\n0,"a, b"\n1,"c\nd"\n', ",", True, ("column_0", "x")),
        ("text\nhello there, you\nshort one\n", ",", True, ("text",)),
        ("\n\na,b\n1,2\n", ",", True, ("a", "b")),
    ],
)
def test_dialects(tmp_path, text, delimiter, header, names):
    (tmp_path / "x.csv").write_text(text)
    source = open_source(tmp_path / "x.csv", on_bad_rows="skip")
    found = source.reader
    assert (found["delimiter"], found["header"], source.columns) == (delimiter, header, names)


def test_what_is_given_wins(tmp_path):
    (tmp_path / "x.csv").write_bytes("1;é\n2;ü\n".encode("latin-1"))
    source = open_source(tmp_path / "x.csv", header=True, delimiter=";", encoding="latin-1")
    assert source.columns == ("1", "é")
    assert open_source(tmp_path / "x.csv").reader["encoding"] == "cp1252"


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
@pytest.mark.parametrize("order", [("cp1252", "utf-8"), ("utf-8-sig", "cp1252")])
def test_each_file_of_a_folder_is_read_in_its_own_encoding(tmp_path, order, ending):
    text = {"csv": "größe;x\né;1\n", "jsonl": '{"größe": "é", "x": 1}\n'}[ending]
    for number, encoding in enumerate(order):
        (tmp_path / f"{number}.{ending}").write_bytes(text.encode(encoding))
    source = open_source(tmp_path)
    found = [cell for _, table in source.batches() for cell in table["größe"].to_pylist()]
    assert (found, source.reader["encoding"], len(source.cautions())) == (["é"] * 2, "cp1252", 1)


@pytest.mark.slow
def test_mixed_types_over_chunks_and_files_are_sampled_as_text(tmp_path):
    lines = [f'{{"a": {i}}}\n' for i in range(66_000)] + ['{"a": "none yet"}\n']
    (tmp_path / "x.jsonl").write_text("".join(lines))
    source = open_source(tmp_path / "x.jsonl")
    assert source.sample(70_000)["a"].to_pylist()[-2:] == ["65999", "none yet"]
    assert infer_schema(source)["a"].type == "number"
    for name, cells in (("a", [1, 2]), ("b", ["x", "y"])):
        (tmp_path / "parts").mkdir(exist_ok=True)
        pq.write_table(pa.table({"a": cells}), tmp_path / "parts" / f"{name}.parquet")
    source = open_source(tmp_path / "parts")
    columns, _ = read_columns(source, infer_schema(source))
    assert columns["a"].tolist() == ["1", "2", "x", "y"]


def test_large_parquet_is_typed_as_small(tmp_path, monkeypatch):
    days = pa.array(["2024-01-02", "2024-01-03", "2024-01-04"]).dictionary_encode()
    table = pa.table({"day": days, "n": [1, 2, 3], "when": pa.array([1, 2, 3], pa.duration("s"))})
    for year in (2023, 2024):
        folder = tmp_path / f"year={year}"
        folder.mkdir()
        with pq.ParquetWriter(folder / "part.parquet", table.schema) as writer:
            for part in (table.slice(0, 0), table.slice(0, 2), table.slice(2)):
                writer.write_table(part)
    small = infer_schema(open_source(tmp_path))
    monkeypatch.setattr("promise.data.files.COUNT_BYTES", 10)
    source = open_source(tmp_path)
    large = infer_schema(source, sample_rows=5)
    assert large == small
    assert [(field.name, field.type) for field in large] == [
        ("day", "date"), ("n", "number"), ("when", "number"), ("year", "number"),
    ]  # fmt: skip


def test_frames_without_names_and_with_durations():
    frame = pd.DataFrame(np.arange(6.0).reshape(3, 2))
    source = open_source(frame)
    assert source.columns == ("0", "1")
    assert source.sample(3)["1"].to_pylist() == [1.0, 3.0, 5.0]
    assert [part["0"].to_pylist() for _, part in source.batches(["0"], 2)] == [[0.0, 2.0], [4.0]]
    frame = pd.DataFrame({"wait": pd.to_timedelta([90, None, 30], unit="s")})
    for data in (frame, pl.from_pandas(frame), pa.table(frame)):
        source = open_source(data)
        assert infer_schema(source)["wait"].type == "number"
        columns, _ = read_columns(source, infer_schema(source))
        np.testing.assert_array_equal(columns["wait"], [90.0, np.nan, 30.0])


def test_large_partitioned_csv_is_sampled_with_its_folders(tmp_path, monkeypatch):
    for year in (2023, 2024):
        (tmp_path / f"year={year}").mkdir()
        lines = "".join(f"{i},{year}\n" for i in range(30_000))
        (tmp_path / f"year={year}" / "x.csv").write_text("row,same\n" + lines)
    monkeypatch.setattr("promise.data.files.COUNT_BYTES", 1000)
    sample = open_source(tmp_path).sample(2000)
    assert sample["year"].to_pylist() == sample["same"].to_pylist()
    assert set(sample["year"].to_pylist()) == {"2023", "2024"}


def test_stray_zero_bytes_do_not_make_a_file_utf_16(tmp_path):
    path = tmp_path / "zero.csv"
    path.write_bytes(b"a,b\n" + b"".join(b"%d,x\x00y\n" % i for i in range(50)))
    ((_, table),) = open_source(path).batches()
    assert table.num_rows == 50
    for mark, encoding in (("", "utf-16-le"), ("", "utf-16-be"), ("\ufeff", "utf-16-le")):
        path.write_bytes((mark + "a,b\n" + "1,\u4e2d\n" * 50).encode(encoding))
        ((_, table),) = open_source(path).batches()
        assert table.to_pylist() == [{"a": "1", "b": "\u4e2d"}] * 50


def test_a_large_wide_file_gives_every_row_to_the_sample_once(tmp_path, monkeypatch):
    monkeypatch.setattr("promise.data.files.COUNT_BYTES", 1)
    path = tmp_path / "wide.csv"
    cells = "," + ",".join("0" * 50 for _ in range(300))
    path.write_text("id" + "".join(f",c{i}" for i in range(300)) + "\n")
    with path.open("a") as file:
        file.writelines(f"{i}{cells}\n" for i in range(200))
    assert open_source(path).sample(1000).column("id").to_pylist() == [str(i) for i in range(200)]
    few = open_source(path).sample(20).column("id").to_pylist()
    assert len(set(few)) == len(few) == pytest.approx(20, abs=10)
