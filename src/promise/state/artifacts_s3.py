"""Version folders in S3, or in a store that speaks its protocol, with a local cache."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from promise.errors import ArtifactError
from promise.state.artifacts_local import (
    MANIFEST,
    LocalArtifacts,
    files_of,
    link_folder,
    remove_drafts,
)
from promise.state.files import check_digests, sha256, whole_folder
from promise.state.s3 import open_s3, s3_told

_KEY = 16  # hex digits of the manifest's digest that name a version's folder


@dataclass(frozen=True)
class S3Artifacts:
    """Version folders under `s3://bucket/prefix`, as `NAME/DIGEST`; the manifest is written last.

    A folder is named by its content, so two writers never meet in one and a repeated upload
    changes nothing. Credentials and endpoint come from the AWS configuration.

    Parameters
    ----------
    url
        `s3://bucket/prefix`, without a slash at its end.
    cache
        Where fetched versions lie; safe to delete at any time.
    """

    url: str
    cache: Path
    _opened: list[Any] = field(default_factory=list, repr=False, compare=False)

    @property
    def files(self) -> Any:
        """The S3 file system, opened at first use."""
        if not self._opened:
            self._opened.append(open_s3("keeping versions in S3"))
        return self._opened[0]

    @contextlib.contextmanager
    def draft(self) -> Iterator[Path]:
        """Lend an empty folder beside the cache."""
        self.cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".draft-", dir=self.cache) as draft:
            yield Path(draft)

    def prepare(self, draft: Path, name: str) -> None:
        """Upload every file but the manifest; those that are there already are left out."""
        key = self._key(draft, name)
        with self._told():
            there = set(self.files.find(key))
            wanted = [
                (str(path), f"{key}/{path.relative_to(draft).as_posix()}")
                for path in sorted(draft.rglob("*"))
                if path.is_file() and path.name != MANIFEST
            ]
            missing = [pair for pair in wanted if pair[1] not in there]
            if missing:
                self.files.put([own for own, _ in missing], [far for _, far in missing])

    def location(self, draft: Path, name: str, number: int) -> str:  # noqa: ARG002
        """Return the URL of the folder that `publish` makes."""
        return f"s3://{self._key(draft, name)}"

    def publish(self, draft: Path, name: str, number: int) -> str:
        """Upload what is missing, then the manifest, without which nothing counts.

        The cache has the version from then on.
        """
        self.prepare(draft, name)
        with self._told():
            self.files.put_file(str(draft / MANIFEST), f"{self._key(draft, name)}/{MANIFEST}")
        location = self.location(draft, name, number)
        link_folder(draft, self.place(location))  # who made it need not fetch it
        return location

    def place(self, location: str) -> Path:
        """Return the folder in the cache; a version from before S3 lies where it was."""
        if not location.startswith("s3://"):
            return Path(location)
        return self.cache.joinpath(*location.split("/")[-2:])

    def local(self, location: str, digest: str) -> Path:
        """Return the version's folder in the cache, fetched where it is absent or damaged."""
        folder = self.place(location)
        if not location.startswith("s3://"):
            return LocalArtifacts(folder.parent).local(location, digest)
        if not _intact(folder, digest):
            self._fetch(location, digest, folder)
        return folder

    def exists(self, location: str) -> bool:
        """Say whether the manifest is there."""
        if not location.startswith("s3://"):
            return (self.place(location) / MANIFEST).is_file()
        with self._told():
            return bool(self.files.exists(f"{location.removeprefix('s3://')}/{MANIFEST}"))

    def remove(self, location: str) -> None:
        """Remove the manifest first, so that half of a version is never taken for one."""
        if not location.startswith("s3://"):
            LocalArtifacts(Path(location).parent).remove(location)
            return
        key = location.removeprefix("s3://")
        with self._told():
            if self.files.exists(f"{key}/{MANIFEST}"):
                self.files.rm_file(f"{key}/{MANIFEST}")
            left = self.files.find(key)
            if left:
                self.files.rm(left)
        shutil.rmtree(self.place(location), ignore_errors=True)

    def tidy(self, before: datetime) -> None:
        """Remove drafts and half-fetched versions that killed processes left in the cache."""
        remove_drafts(self.cache.glob(".draft-*"), before)
        remove_drafts(self.cache.glob("*/.*"), before)

    def _key(self, draft: Path, name: str) -> str:
        digest = sha256(draft / MANIFEST)[:_KEY]
        return f"{self.url.removeprefix('s3://')}/{name}/{digest}"

    def _fetch(self, location: str, digest: str, folder: Path) -> None:
        """Bring a version into the cache: its manifest first, then what the manifest names."""
        key = location.removeprefix("s3://")
        with whole_folder(folder, replace=True) as whole, self._told():
            try:
                manifest: bytes = self.files.cat_file(f"{key}/{MANIFEST}")
            except FileNotFoundError:
                raise ArtifactError(
                    f"{location} holds no version; restore it from a backup."
                ) from None
            if hashlib.sha256(manifest).hexdigest() != digest:
                raise ArtifactError(
                    f"{location}: its manifest is not the one that was registered; "
                    "restore it from a backup."
                )
            named = files_of(manifest, location)
            for name in named:
                (whole / name).parent.mkdir(parents=True, exist_ok=True)
                try:
                    self.files.get_file(f"{key}/{name}", str(whole / name))
                except FileNotFoundError:
                    raise ArtifactError(
                        f"{location}: {name} is missing; restore it from a backup."
                    ) from None
            (whole / MANIFEST).write_bytes(manifest)
            check_digests(whole, named)

    def _told(self) -> contextlib.AbstractContextManager[None]:
        return s3_told(f"the artifact store {self.url}")


def _intact(folder: Path, digest: str) -> bool:
    """Say whether a cached folder is what was registered, byte for byte."""
    manifest = folder / MANIFEST
    if not manifest.is_file() or sha256(manifest) != digest:
        return False
    try:
        check_digests(folder, files_of(manifest.read_bytes(), str(folder)))
    except ArtifactError:
        return False
    return True
