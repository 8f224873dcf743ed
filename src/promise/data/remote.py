"""Files in S3, or in a store that speaks its protocol, as sources."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from promise.data.files import FileSource
from promise.data.rows import OnBadRows
from promise.errors import DataError, MissingExtra, near


@dataclass(frozen=True)
class S3Store:
    """An S3 file system; its credentials and endpoint come from the AWS configuration."""

    files: Any
    local: bool = False

    def open(self, path: str) -> Any:
        """Open an object for reading bytes; read ahead by blocks, never as a whole."""
        return self.files.open(path, "rb", block_size=4 << 20)

    def size(self, path: str) -> int:
        """Return an object's bytes."""
        return int(self.files.size(path))


def open_remote(url: str, on_bad_rows: OnBadRows, given: dict[str, Any]) -> FileSource:
    """Open `s3://bucket/key`, a prefix that ends in `/`, or a glob."""
    try:
        import s3fs
    except ImportError as error:
        raise MissingExtra("reading from S3", "s3") from error
    from botocore.exceptions import (  # type: ignore[import-untyped]
        BotoCoreError,
        ClientError,
    )

    files = s3fs.S3FileSystem(skip_instance_cache=True)
    path = url.removeprefix("s3://")
    try:
        paths = _keys(files, path, url)
        return FileSource.over(url, paths, S3Store(files), on_bad_rows, given)
    except (OSError, BotoCoreError, ClientError) as error:
        raise DataError(
            f"{url} cannot be read: {str(error).rstrip('.')}; check the bucket, the key, the "
            "credentials (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY) and AWS_ENDPOINT_URL."
        ) from error


def _keys(files: Any, path: str, url: str) -> list[str]:
    """Return the objects that a key, prefix or glob names."""
    if any(mark in path for mark in "*?["):
        found = sorted(files.glob(path))
        if not found:
            raise DataError(f"no object matches {url}.")
        return [str(key) for key in found]
    if not path.endswith("/") and files.isfile(path):
        return [path]
    found = sorted(str(key) for key in files.find(path))
    if found:
        return found
    bucket = path.split("/", 1)[0]
    if not files.exists(bucket):
        raise DataError(f"{url}: there is no bucket {bucket!r}, or it is not yours to list.")
    folder = path.rsplit("/", 1)[0]
    siblings = [str(key).rsplit("/", 1)[-1] for key in files.ls(folder)]
    raise DataError(f"there is no object {url}; {near(path.rsplit('/', 1)[-1], siblings)}")
