"""Answers in parts beside the file that they will make, so that a killed run can go on."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from promise.errors import ArtifactError, ConfigError, DataError
from promise.state.failpoints import reach
from promise.state.files import alone, whole_file, write_text

_TERMS = "terms.json"
_ASKED = b"asked"
_AT_FAULT = (ArtifactError, ConfigError, DataError)
"""The model, the wish or the data: what raises these would raise it again."""


@dataclass(frozen=True)
class Parts:
    """A hidden folder beside `out`: one file for each chunk of rows, whole or absent.

    A part is named by its number and tells the digest of the rows that it answers, so after a kill
    none is lost and none is there twice, even where the rows come in another order by then.

    Parameters
    ----------
    name
        What `out` is called in messages, where it is no file.
    """

    out: Path
    name: str = ""

    @property
    def folder(self) -> Path:
        """Where the parts lie."""
        return self.out.absolute().with_name(f".{self.out.name}.parts")

    @contextlib.contextmanager
    def begun(self, terms: Mapping[str, Any], *, resume: bool) -> Iterator[None]:
        """Hold the folder for this run alone; it is gone after success, and kept by a kill,
        a full disk or a worker that died.

        Parameters
        ----------
        terms
            What parts depend on, JSON-ready: parts made on other terms are never taken over.
        resume
            Whether parts of an earlier run are kept.

        Raises
        ------
        ConfigError
            When an earlier run was on other terms; says which.
        StateError
            When another run writes the same file.
        """
        lock = self.folder.with_suffix(".lock")
        with alone(lock, f"another run is writing {self._told}; wait for it to end."):
            self._settle(dict(terms), resume)
            try:
                yield
            except _AT_FAULT as error:  # going on would not help, unless the disk was full
                if not isinstance(error.__cause__, OSError):
                    self._remove()
                raise
            else:
                self._remove()
            finally:
                lock.unlink(missing_ok=True)

    @property
    def _told(self) -> str:
        return self.name or str(self.out)

    def _remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def _settle(self, terms: dict[str, Any], resume: bool) -> None:
        kept = self.folder / _TERMS
        if resume and kept.is_file():
            before = json.loads(kept.read_text(encoding="utf-8"))
            other = [key for key in terms if before.get(key) != terms[key]]
            if other:
                told = ", ".join(f"{key} {before.get(key)!r}, now {terms[key]!r}" for key in other)
                raise ConfigError(
                    f"what is left of the run that wrote {self._told} is of other terms ({told}); "
                    "run it without --resume to begin anew."
                )
            return
        self._remove()
        self.folder.mkdir(parents=True)
        write_text(kept, json.dumps(terms))

    def path(self, number: int) -> Path:
        """Return where a part lies."""
        return self.folder / f"{number:08d}.arrow"

    def rows(self, number: int) -> int | None:
        """Return how many rows a part has; None where it is not there, or not whole."""
        try:
            with pa.memory_map(str(self.path(number))) as file:
                reader = pa.ipc.open_file(file)
                n = range(reader.num_record_batches)
                return sum(int(reader.get_batch(i).num_rows) for i in n)
        except (OSError, pa.ArrowInvalid):
            return None

    def answers(self, number: int, asked: str) -> bool:
        """Say whether a part is there, is whole, and answers the rows of this digest."""
        if self.rows(number) is None:
            return False
        with pa.memory_map(str(self.path(number))) as file:
            told = pa.ipc.open_file(file).schema.metadata or {}
        return bool(told.get(_ASKED) == asked.encode())

    def tables(self, n: int) -> Iterator[pa.Table]:
        """Yield the first n parts in order."""
        for number in range(n):
            with pa.memory_map(str(self.path(number))) as file:
                yield pa.ipc.open_file(file).read_all().replace_schema_metadata(None)


def digest_of(table: pa.Table) -> str:
    """Digest what rows say, however they lie in memory.

    Examples
    --------
    >>> digest_of(pa.table({"a": [1, 2, 3]}).slice(1)) == digest_of(pa.table({"a": [2, 3]}))
    True
    >>> digest_of(pa.table({"a": [1, 2]})) == digest_of(pa.table({"a": [2, 1]}))
    False
    """
    digest = _Digest()
    with pa.PythonFile(digest, "w") as sink, pa.ipc.new_stream(sink, table.schema) as stream:
        for batch in table.combine_chunks().to_batches():
            stream.write_batch(batch)
    return digest.text


class _Digest:
    """A file that keeps nothing of what is written but its digest."""

    closed = False

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=16)

    @property
    def text(self) -> str:
        return self._hash.hexdigest()

    def write(self, data: Any) -> int:
        view = memoryview(data)
        self._hash.update(view)
        return view.nbytes

    def flush(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        """Nothing is open."""


def write_part(path: Path, table: pa.Table, asked: str = "") -> None:
    """Write one part: whole, or not at all.

    Parameters
    ----------
    asked
        The digest of the rows that it answers.
    """
    table = table.replace_schema_metadata({_ASKED: asked.encode()})
    with whole_file(path) as draft:
        with pa.OSFile(str(draft), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        reach("predict.part.written")
    reach("predict.part.kept")
