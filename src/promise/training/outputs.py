"""Where answers go: a file by its ending, or a table of a database; whole or absent."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from promise.errors import ConfigError
from promise.state.files import whole_file
from promise.training.parts import Parts


class Output(Protocol):
    """Takes all answers at once, in the order of their rows."""

    @property
    def name(self) -> str:
        """What it is called in messages; a password in it is hidden."""
        ...

    @property
    def parts(self) -> Parts:
        """Where answers wait until there are all."""
        ...

    def check(self) -> None:
        """Refuse before anything is answered where answers could not be written."""
        ...

    def write(self, tables: Iterator[pa.Table]) -> None:
        """Write all answers, or nothing."""
        ...


@dataclass(frozen=True)
class FileOutput:
    """A CSV or Parquet file.

    Examples
    --------
    >>> FileOutput(Path("answers.parquet")).name
    'answers.parquet'
    """

    path: Path

    def __post_init__(self) -> None:
        if self.path.suffix.lower() not in (".csv", ".parquet"):
            raise ConfigError(
                f"--out {self.path}: the ending must be .csv or .parquet; a table of a database "
                "is named by its URL with ::TABLE behind it."
            )

    @property
    def name(self) -> str:
        """The path."""
        return str(self.path)

    @property
    def parts(self) -> Parts:
        """A hidden folder beside the file."""
        return Parts(self.path)

    def check(self) -> None:
        """Refuse a folder where the file would be; parts beside it tell what else is wrong."""
        if self.path.is_dir():
            raise ConfigError(f"--out {self.path} is a folder; name a file in it.")

    def write(self, tables: Iterator[pa.Table]) -> None:
        """Write all answers into the file's draft, which takes its name at the end."""
        with whole_file(self.path) as draft:
            writer: Any = None
            try:
                for table in tables:
                    writer = writer or self._writer(draft, table.schema)
                    writer.write_table(table)
            finally:
                if writer is not None:
                    writer.close()

    def _writer(self, draft: Path, schema: pa.Schema) -> Any:
        if draft.suffix.lower() == ".parquet":
            return pq.ParquetWriter(draft, schema)
        return pa_csv.CSVWriter(draft, schema)


def output_of(text: str, home: Path) -> Output:
    """Return where `--out` says that answers go.

    Parameters
    ----------
    text
        A path that ends in .csv or .parquet, or `URL::table` of a SQLite or Postgres database.
    home
        The installation's folder, where the parts of a table wait.

    Raises
    ------
    ConfigError
        For any other ending, URL or name of a table.

    Examples
    --------
    >>> output_of("answers.csv", Path(".promise")).name
    'answers.csv'
    >>> output_of("postgresql://me:secret@host/news::answers", Path(".promise")).name
    'postgresql+psycopg://me:***@host/news::answers'
    """
    if "://" not in text:
        return FileOutput(Path(text))
    from promise.training.output_table import TableOutput

    address, _, table = text.partition("::")
    digest = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
    return TableOutput(address, table, home / "predict" / digest)
