"""What cannot be read is refused in one clear sentence that names the way out."""

import gzip

import numpy as np
import pandas as pd
import pytest

from promise.data.infer import infer_schema, read_columns
from promise.data.schema import Field
from promise.data.source import open_source
from promise.data.target import check_target
from promise.errors import ConfigError, DataError

FILES = [
    ("empty.csv", b"", r"empty\.csv is empty"),
    ("blank.csv", b"\n \n", r"blank\.csv is empty"),
    ("header.csv", b"a,b\n", "has a header but no rows"),
    ("twice.csv", b"a,b,a\n1,2,3\n", r"'a' stands for the columns at positions 1, 3; rename"),
    ("ragged.csv", b"a,b\n1,2\n3\n", r"row 3 .* has 1 cell, expected 2; .*--on-bad-rows skip"),
    ("torn.csv.gz", gzip.compress(b"a,b\n" + b"1,2\n" * 999)[:-9], r"torn\.csv\.gz"),
    ("broken.parquet", b"PAR1 and no more", r"broken\.parquet is a damaged Parquet file"),
    ("no.parquet", b"a,b\n1,2\n", "is no Parquet file"),
    ("array.json", b'[{"a": 1}]', "is one JSON array; write one object per line"),
    ("lines.jsonl", b'{"a": 1}\n{"a"\n', "line 2 is not JSON"),
    ("book.xlsx", b"PK\x03\x04rest", "an Excel workbook"),
    ("picture.csv", bytes(range(256)) * 20, "bytes that are no text"),
    ("quote.csv", b"a,b\n" + b'1,"x' + b"y" * 9_000_000, "never closed"),
]


@pytest.mark.parametrize(("name", "content", "message"), FILES, ids=[f[0] for f in FILES])
def test_bad_files(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)

    def read():
        for _ in open_source(tmp_path / name).batches():
            pass

    with pytest.raises(DataError, match=message) as caught:
        read()
    assert "\n" not in str(caught.value)
    assert not str(caught.value).endswith("..")


def test_a_file_that_is_not_there_names_its_neighbours(tmp_path):
    (tmp_path / "flights.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match=r"no file .*did you mean 'flights\.csv'"):
        open_source(tmp_path / "flihgts.csv")
    for name in ("year.csv", "old.csv"):
        (tmp_path / name).write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match=r"known: flights\.csv, old\.csv, year\.csv"):
        open_source(tmp_path / "q")
    with pytest.raises(DataError, match="no file matches"):
        open_source(str(tmp_path / "*.parquet"))


def test_wrong_encodings_name_the_byte_and_the_right_one(tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes("a,b\n1,é\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"0xe9 in line 2 .*offset 6.*encoding='cp1252'"):
        open_source(path, encoding="utf-8")
    with pytest.raises(ConfigError, match="encoding 'utf-99' is unknown"):
        open_source(path, encoding="utf-99")


def test_a_wrong_byte_deep_in_a_file_is_found(tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes(b"a,b\n" + b"1,2\n" * 600_000 + "3,é\n".encode("latin-1"))
    source = open_source(path, encoding="utf-8")
    with pytest.raises(DataError, match=r"0xe9 in line 600,002 .*2400006.*set encoding=cp1252"):
        sum(table.num_rows for _, table in source.batches())
    assert open_source(path).reader["encoding"] == "cp1252"


def test_a_guessed_encoding_is_told_with_the_line_of_the_first_byte_that_is_not_utf8(tmp_path):
    text = "a,b\n" + "1,x\n" * 3 + "2,Zoë\n"
    path = tmp_path / "x.csv"
    for encoding, said in [("cp1252", "0xeb in line 5"), ("utf-8", None), ("utf-16", None)]:
        path.write_bytes(text.encode(encoding))
        cautions = open_source(path).cautions()
        assert [said in c and "--set encoding=" in c for c in cautions] == ([True] if said else [])
    path.write_bytes(text.encode("cp1252"))
    assert open_source(path, encoding="cp1252").cautions() == ()
    (tmp_path / "y.csv").write_bytes(b"a,b\n1,x\n")  # the first file alone shows it
    assert "line 5 (offset 20)" in open_source(str(tmp_path / "*.csv")).cautions()[0]


def test_a_likely_encoding_takes_the_place_of_a_guess_alone(tmp_path):
    path = tmp_path / "x.csv"
    for encoding, read_as in [("cp1251", "cp1251"), ("utf-8", "utf-8")]:
        path.write_bytes("a,b\n1,Москва\n".encode(encoding))
        source = open_source(path, likely_encoding="cp1251")
        assert (source.reader["encoding"], source.cautions()) == (read_as, ())
        assert next(source.batches())[1]["b"].to_pylist() == ["Москва"]


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_wrong_byte_in_lines_of_json_or_behind_compression_is_named(tmp_path, pack):
    path = tmp_path / "x.jsonl"
    path.write_bytes(pack(b'{"a": 1}\n' * 200_000 + '{"a": "é"}\n'.encode("latin-1")))
    source = open_source(path, encoding="utf-8")
    with pytest.raises(DataError, match=r"0xe9 in line 200,001 .*set encoding=cp1252") as caught:
        sum(table.num_rows for _, table in source.batches())
    assert "\n" not in str(caught.value)


def test_files_that_differ_do_not_mix(tmp_path):
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    (tmp_path / "y.csv").write_text("a,c\n1,2\n")
    with pytest.raises(DataError, match=r"y\.csv lacks the column 'b'"):
        open_source(str(tmp_path / "*.csv"))
    (tmp_path / "y.csv").write_text("b,a\n1,2\n")
    with pytest.raises(DataError, match="in another order"):
        open_source(str(tmp_path / "*.csv"))


def test_frames():
    with pytest.raises(DataError, match="'a' stands for the columns at positions 1, 2"):
        open_source(pd.DataFrame([[1, 2]], columns=["a", "a"]))
    with pytest.raises(DataError, match="has no rows"):
        open_source(pd.DataFrame({"a": []}))
    with pytest.raises(DataError, match=r"the builtins\.int cannot be read as data"):
        open_source(3)
    with pytest.raises(DataError, match="no column 'agee'; did you mean 'age'"):
        list(open_source(pd.DataFrame({"age": [1]})).batches(["agee"]))


def test_one_row_can_be_read():
    source = open_source(pd.DataFrame({"age": [41]}))
    columns, _ = read_columns(source, infer_schema(source))
    assert columns["age"].tolist() == [41.0]


def test_targets_that_cannot_be_learned():
    field = Field("price", "number")
    for values, message in [
        ([np.nan, np.inf], "missing in all 2 rows"),
        ([1.0, np.nan], "only one row has the target 'price'"),
        ([2.0, 2.0, np.nan], "is 2 in all 2 rows"),
    ]:
        with pytest.raises(DataError, match=message):
            check_target(np.array(values), field)
    with pytest.raises(DataError, match="is 'yes' in all 2 rows"):
        check_target(np.array(["yes", "yes"], dtype=object), Field("y", "category"))
    with pytest.raises(DataError, match="holds dates"):
        check_target(np.array(["2024-01-01"], dtype="M8[us]"), Field("d", "date"))
    values = np.array([1.0, np.nan, 2.0, np.inf])
    assert check_target(values, field) == 2
