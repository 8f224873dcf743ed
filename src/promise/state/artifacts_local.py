"""Version folders in a local or mounted folder, and what a manifest says of their files."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from promise.errors import ArtifactError, ConfigError
from promise.state.files import sha256, whole_folder

MANIFEST = "manifest.json"
"""The file that names all others with their digests; a folder without it does not count."""


@dataclass(frozen=True)
class LocalArtifacts:
    """Version folders in a local or mounted folder, as `NAME/NUMBER`.

    Examples
    --------
    >>> import tempfile
    >>> store = LocalArtifacts(Path(tempfile.mkdtemp()))
    >>> with store.draft() as draft:
    ...     _ = (draft / "manifest.json").write_text("{}")
    ...     location = store.publish(draft, "churn", 1)
    >>> store.exists(location)
    True
    """

    folder: Path

    @contextlib.contextmanager
    def draft(self) -> Iterator[Path]:
        """Lend an empty folder on the same file system, so that publishing copies no bytes."""
        draft = self.folder / f".draft-{uuid.uuid4().hex}"
        draft.mkdir(parents=True)
        try:
            yield draft
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def prepare(self, draft: Path, name: str) -> None:
        """Do nothing: publishing is quick here."""

    def location(self, draft: Path, name: str, number: int) -> str:  # noqa: ARG002
        """Return the absolute path of the folder that `publish` makes."""
        return str((self.folder / name / str(number)).absolute())

    def publish(self, draft: Path, name: str, number: int) -> str:
        """Link the draft's files into their final folder, in place of one that a kill left."""
        location = self.location(draft, name, number)
        link_folder(draft, Path(location))
        return location

    def place(self, location: str) -> Path:
        """Return the folder itself; that of a version kept elsewhere is never there."""
        if "://" in location:
            return self.folder.joinpath(*location.split("/")[-2:])
        return Path(location)

    def local(self, location: str, digest: str) -> Path:
        """Return the folder after checking its manifest."""
        folder = self._here(location)
        if not (folder / MANIFEST).is_file():
            raise ArtifactError(f"{folder} is missing; restore it from a backup.")
        if sha256(folder / MANIFEST) != digest:
            raise ArtifactError(
                f"{folder}: its manifest is not the one that was registered; "
                "restore the folder from a backup."
            )
        return folder

    def exists(self, location: str) -> bool:
        """Say whether the folder has its manifest."""
        return (self._here(location) / MANIFEST).is_file()

    def remove(self, location: str) -> None:
        """Move the folder aside first, so that half of one is never taken for a version."""
        folder = self._here(location)
        aside = folder.with_name(f".removed-{folder.name}-{uuid.uuid4().hex}")
        with contextlib.suppress(FileNotFoundError):
            folder.rename(aside)
        shutil.rmtree(aside, ignore_errors=True)

    def tidy(self, before: datetime) -> None:
        """Remove drafts that killed processes left, and folders that were never finished."""
        # only names that are given here: others may keep folders such as `.git` beside ours
        for left in (".draft-*", "*/.removed-*", "*/.[0-9]*-*"):
            remove_drafts(self.folder.glob(left), before)

    def _here(self, location: str) -> Path:
        if "://" in location:
            raise ConfigError(
                f"a version lies at {location}, and PROMISE_ARTIFACTS names the folder "
                f"{self.folder}; set PROMISE_ARTIFACTS to the store that holds it."
            )
        return Path(location)


def remove_drafts(folders: Iterable[Path], before: datetime) -> None:
    """Remove folders that nobody has written to since a moment."""
    for folder in folders:
        with contextlib.suppress(FileNotFoundError):
            if folder.stat().st_mtime < before.timestamp():
                shutil.rmtree(folder, ignore_errors=True)


def link_folder(draft: Path, target: Path) -> None:
    """Give every file of a draft a second name under the target, which is whole or absent."""
    with whole_folder(target, replace=True) as whole:
        shutil.copytree(draft, whole, copy_function=_link, dirs_exist_ok=True)


def _link(source: str, target: str) -> str:
    """Give a file a second name; copy it where the file system has no links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target


def files_of(manifest: bytes, location: str) -> dict[str, str]:
    """Return the files that a manifest names with their digests, none of them outside its folder.

    Examples
    --------
    >>> files_of(b'{"digests": {"card.md": "00"}}', "churn/1")
    {'card.md': '00'}
    """
    try:
        named = dict[str, str](json.loads(manifest).get("digests", {}).items())
    except (ValueError, AttributeError) as error:
        raise ArtifactError(
            f"{location}: its manifest is not readable; restore it from a backup."
        ) from error
    for name in named:
        parts = name.replace("\\", "/").split("/")
        if name.startswith("/") or any(part in ("", ".", "..") for part in parts) or ":" in name:
            raise ArtifactError(
                f"{location}: the manifest names a file outside its folder, {name}."
            )
    return named
