"""Where files lie, and which files a path, folder or glob names."""

from __future__ import annotations

import glob
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from promise.errors import DataError, near
from promise.kernels.reading import files_of


class Store(Protocol):
    """Where files lie: the local disk or an object store."""

    @property
    def local(self) -> bool:
        """Whether `pathlib` can open the files too."""
        ...

    def open(self, path: str) -> Any:
        """Open a file for reading bytes; the file can seek."""
        ...

    def size(self, path: str) -> int:
        """Return a file's bytes."""
        ...


@dataclass(frozen=True)
class LocalStore:
    """The local disk."""

    local: bool = True

    def open(self, path: str) -> Any:
        """Open a file for reading bytes."""
        return Path(path).open("rb")

    def size(self, path: str) -> int:
        """Return a file's bytes."""
        return Path(path).stat().st_size


def local_paths(text: str) -> list[str]:
    """Return the data files that a path, folder or glob names, in a stable order."""
    path = Path(text).expanduser()
    found = files_of(text)
    if found:
        return found
    if path.is_dir():
        raise DataError(f"the folder {text} holds no CSV, Parquet or JSON Lines files.")
    if glob.has_magic(text):
        raise DataError(f"no file matches {text}; mind that a pattern needs quotes in a shell.")
    if not path.parent.is_dir():
        raise DataError(f"there is no file {text}, nor a folder {path.parent}.")
    siblings = sorted(p.name for p in path.parent.iterdir())
    if not siblings:
        raise DataError(f"there is no file {text}; its folder is empty.")
    raise DataError(f"there is no file {text}; {near(path.name, siblings)}")


def folder_columns(path: str) -> dict[str, str]:
    """Return the columns that folder names carry, as in `year=2024/part.parquet`."""
    parts = [part.partition("=") for part in PurePosixPath(path).parts[:-1]]
    return {key: value for key, mark, value in parts if mark and key.isidentifier()}


def open_checked(path: str, store: Store) -> Any:
    """Open a file; what the operating system refuses becomes a sentence."""
    try:
        return store.open(path)
    except OSError as error:
        raise DataError(f"{path} cannot be opened: {error.strerror or error}.") from error
