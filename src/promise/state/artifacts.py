"""Where version folders are kept: each is whole or absent, and never changed afterwards."""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Protocol

from promise.errors import ConfigError
from promise.state.artifacts_local import LocalArtifacts


class Artifacts(Protocol):
    """A store of immutable version folders."""

    def draft(self) -> AbstractContextManager[Path]:
        """Lend an empty folder to fill; it is gone after the block, whatever was published."""
        ...

    def prepare(self, draft: Path, name: str) -> None:
        """Do the slow part of `publish` before a lock is taken; safe to leave out or repeat."""
        ...

    def location(self, draft: Path, name: str, number: int) -> str:
        """Return where `publish` will keep this draft."""
        ...

    def publish(self, draft: Path, name: str, number: int) -> str:
        """Keep a draft for good, whole or not at all, and return its location.

        The draft stays as it is, so that it can be published again under another number.
        """
        ...

    def place(self, location: str) -> Path:
        """Return the local folder of a location, whether its files are there yet or not."""
        ...

    def local(self, location: str, digest: str) -> Path:
        """Return the local folder of a location, fetched and checked where need be.

        Raises
        ------
        ArtifactError
            When it is absent, or its manifest is not the one with this digest.
        """
        ...

    def exists(self, location: str) -> bool:
        """Say whether a whole version lies there."""
        ...

    def remove(self, location: str) -> None:
        """Remove a version's files; nothing happens where there are none."""
        ...

    def tidy(self, before: datetime) -> None:
        """Remove drafts that killed processes left before a moment."""
        ...


def open_artifacts(where: str, cache: Path) -> Artifacts:
    """Open the store that `PROMISE_ARTIFACTS` names: a folder or `s3://bucket/prefix`.

    Parameters
    ----------
    cache
        Where versions from S3 are kept once fetched.
    """
    if where.startswith("s3://") and where.removeprefix("s3://").strip("/"):
        from promise.state.artifacts_s3 import S3Artifacts

        return S3Artifacts(where.rstrip("/"), cache.absolute())
    if "://" in where:
        raise ConfigError(
            f"PROMISE_ARTIFACTS is {where!r}; name a local or mounted folder, or s3://bucket/prefix."
        )
    return LocalArtifacts(Path(where).absolute())
