"""Where a backup lies: files named by their digests, in a folder or on S3."""

from __future__ import annotations

import contextlib
import os
import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from promise.errors import DataError, StateError
from promise.state.files import sha256, whole_file
from promise.state.s3 import open_s3, s3_told

_BLOBS = "blobs"


class Place(Protocol):
    """What a backup needs of a folder or a bucket; names are relative POSIX paths."""

    @property
    def where(self) -> str:
        """What the user named it by."""
        ...

    def sizes(self, folder: str) -> dict[str, int]:
        """Return name to bytes of every file below a folder."""
        ...

    def put(self, source: Path, name: str) -> None:
        """Copy a file there, whole or not at all."""
        ...

    def get(self, name: str, target: Path) -> None:
        """Copy a file from there; FileNotFoundError where it is missing."""
        ...

    def remove(self, name: str) -> None:
        """Remove a file."""
        ...

    def settle(self) -> None:
        """Return once everything put so far survives a power cut."""
        ...


@dataclass(frozen=True)
class FolderPlace:
    """A folder, e.g. on another disk or a mounted share."""

    folder: Path

    @property
    def where(self) -> str:
        """The folder's path."""
        return str(self.folder)

    def sizes(self, folder: str) -> dict[str, int]:
        """Return name to bytes of every file below a folder."""
        found: dict[str, int] = {}
        for path in (self.folder / folder).rglob("*"):
            with contextlib.suppress(FileNotFoundError):  # a draft that took its name meanwhile
                if path.is_file():
                    found[path.relative_to(self.folder).as_posix()] = path.stat().st_size
        return found

    def put(self, source: Path, name: str) -> None:
        """Copy a file there, whole or not at all."""
        with whole_file(self.folder / name) as draft:
            shutil.copyfile(source, draft)

    def get(self, name: str, target: Path) -> None:
        """Copy a file from there; FileNotFoundError where it is missing."""
        shutil.copyfile(self.folder / name, target)

    def remove(self, name: str) -> None:
        """Remove a file."""
        (self.folder / name).unlink(missing_ok=True)

    def settle(self) -> None:
        """Flush the system's buffers: the manifest must not outlive the files that it names."""
        os.sync()


@dataclass(frozen=True)
class S3Place:
    """A prefix of a bucket; credentials and endpoint come from the AWS configuration."""

    where: str

    @cached_property
    def _files(self) -> Any:
        return open_s3("a backup on S3")

    def _told(self, *, absent: bool = False) -> contextlib.AbstractContextManager[None]:
        return s3_told(self.where, absent=absent)

    def _key(self, name: str) -> str:
        return f"{self.where.removeprefix('s3://')}/{name}"

    def sizes(self, folder: str) -> dict[str, int]:
        """Return name to bytes of every file below a folder."""
        own = len(self._key(""))
        with self._told():
            found = self._files.find(self._key(folder), detail=True)
        return {key[own:]: int(each["size"]) for key, each in found.items()}

    def put(self, source: Path, name: str) -> None:
        """Copy a file there; an object is whole or absent by itself."""
        with self._told():
            self._files.put_file(str(source), self._key(name))

    def get(self, name: str, target: Path) -> None:
        """Copy a file from there; FileNotFoundError where it is missing."""
        with self._told(absent=True):
            self._files.get_file(self._key(name), str(target))

    def remove(self, name: str) -> None:
        """Remove a file."""
        with self._told(), contextlib.suppress(FileNotFoundError):
            self._files.rm_file(self._key(name))

    def settle(self) -> None:
        """S3 answers only once an object is kept."""


def open_place(where: str) -> Place:
    """Return the place of a backup: `s3://bucket/prefix`, else a folder."""
    if where.startswith("s3://"):
        return S3Place(where.rstrip("/"))
    if "://" in where:
        raise DataError(f"{where}: a backup goes to a folder or to s3://bucket/prefix.")
    return FolderPlace(Path(where).absolute())


@dataclass(frozen=True)
class Blob:
    """A file's content, wherever it is named."""

    sha256: str
    size: int

    @property
    def name(self) -> str:
        """Where it lies in a place."""
        return f"{_BLOBS}/{self.sha256[:2]}/{self.sha256}"

    def to_json(self) -> list[Any]:
        """Return what `Blob(*…)` reads back."""
        return [self.sha256, self.size]


class Vault:
    """Keeps each content once: a file that is there already is not copied again."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._there = place.sizes(_BLOBS)
        self.copied = 0
        self.copied_bytes = 0

    def keep(self, path: Path, digest: str | None = None) -> Blob:
        """Return the blob of a file, copying it where it is not kept yet.

        Raises
        ------
        ValueError
            When a `digest` was expected and the file has another.
        """
        size = path.stat().st_size
        blob = Blob(digest or sha256(path), size)
        if self._there.get(blob.name) == size:
            return blob
        if digest is not None and sha256(path) != digest:
            raise ValueError(f"{path.name} has changed since it was written")
        self.place.put(path, blob.name)
        self._there[blob.name] = size
        self.copied += 1
        self.copied_bytes += size
        return blob

    def fetch(self, blob: Blob, target: Path, what: str) -> None:
        """Copy a blob to a file and check it; raises StateError naming `what` it belongs to."""
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            self.place.get(blob.name, target)
        except FileNotFoundError as error:
            raise StateError(
                f"the backup at {self.place.where} is damaged: {what} is missing ({blob.name}); "
                "nothing was restored; use another backup."
            ) from error
        if sha256(target) != blob.sha256:
            raise StateError(
                f"the backup at {self.place.where} is damaged: {what} has changed since it was "
                f"written ({blob.name}); nothing was restored; use another backup."
            )

    def forget_all_but(self, kept: set[str]) -> int:
        """Remove blobs whose names are not in `kept`; return how many."""
        gone = [name for name in self._there if name not in kept]
        for name in gone:
            self.place.remove(name)
            del self._there[name]
        return len(gone)
