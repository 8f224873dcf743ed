"""The S3 file system of an installation, and its refusals in words."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from typing import Any

from promise.errors import MissingExtra, StateError


def open_s3(what: str) -> Any:
    """Open S3 by the AWS configuration; nothing is asked of it yet.

    Raises
    ------
    MissingExtra
        Where the library is absent; says what needs it.
    """
    try:
        import s3fs
    except ImportError as error:
        raise MissingExtra(what, "s3") from error
    return s3fs.S3FileSystem(skip_instance_cache=True, use_listings_cache=False)


@contextlib.contextmanager
def s3_told(what: str, *, absent: bool = False) -> Iterator[None]:
    """Turn what a store refuses into a StateError that says what to do.

    A local disk that is full stays an OSError: whoever writes there speaks about it.

    Parameters
    ----------
    what
        Begins the message, with the url.
    absent
        Whether FileNotFoundError goes through: the caller knows what a missing object means.
    """
    from botocore.exceptions import (  # type: ignore[import-untyped]
        BotoCoreError,
        ClientError,
    )

    try:
        yield
    except (OSError, BotoCoreError, ClientError) as error:
        if absent and isinstance(error, FileNotFoundError):
            raise
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise StateError(
            f"{what} does not serve: {str(error).rstrip('.')}; check the bucket, the credentials "
            "(AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY) and AWS_ENDPOINT_URL, then run the command "
            "again."
        ) from error
