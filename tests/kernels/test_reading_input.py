"""Bytes come decoded whatever a read brings, and a thread that reads ahead comes to rest."""

import io
import lzma
import subprocess
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promise.kernels.reading_input import EndableFile

LEAVES_EARLY = """
import ctypes, sys
from promise.kernels.reading import read_chunks

path, encoding, compression, kept = sys.argv[1:]
reader = {"format": "csv", "paths": [path], "names": ["a", "b"], "header": True,
          "encoding": encoding, "compression": compression or None, "block_bytes": 4096}
chunks = read_chunks(reader, chunk_rows=256)
print(next(chunks)[1].num_rows)
if kept:  # as by a module or an error's traceback, which the interpreter frees late or never
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(chunks))
"""


@pytest.mark.slow
@pytest.mark.parametrize("kept", ["", "kept"])
@pytest.mark.parametrize(
    ("encoding", "compression"), [("utf-8", ""), ("latin-1", ""), ("utf-8", "xz")]
)
def test_an_interpreter_may_end_while_a_file_is_half_read(tmp_path, encoding, compression, kept):
    text = "a,b\n" + "".join(f"{n},prix \xe9t\xe9 {n}\n" for n in range(60_000))
    data = text.encode(encoding)
    path = tmp_path / "rows.csv"
    path.write_bytes(lzma.compress(data, preset=0) if compression else data)
    command = [sys.executable, "-c", LEAVES_EARLY, str(path), encoding, compression, kept]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "256\n", "")


@pytest.mark.parametrize("encoding", ["utf-16", "cp1252", "shift_jis", "utf-8-sig"])
@given(st.integers(16, 300), st.integers(0, 40))
def test_text_in_any_encoding_is_decoded_alike_whatever_a_read_brings(encoding, size, n):
    known = {"shift_jis": "\u65e5\u672c", "cp1252": "\u20ac \xe9t\xe9"}
    words = known.get(encoding, "\U0001f600 \xe9")
    text = f"{words},1\n" * n
    file = EndableFile(io.BytesIO(text.encode(encoding)), encoding)
    parts = list(iter(lambda: bytes(file.read(size)), b""))
    mark = "\ufeff" if encoding == "utf-8-sig" else ""  # Arrow itself drops it
    assert b"".join(parts).decode() == mark + text if text or mark else parts == []
    assert all(len(part) == size for part in parts[:-1] if not mark)


def test_an_ended_file_gives_no_more_bytes():
    file = EndableFile(io.BytesIO(b"some bytes"))
    assert file.read(4) == b"some"
    ending = threading.Thread(target=file.end)
    ending.start()
    while file.read(1):
        pass
    ending.join()
    assert file.read(4) == b""
