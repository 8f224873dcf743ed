"""Files and folders that are whole or absent, never half-written."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from promise.errors import ArtifactError, DataError, StateError

_CHUNK = 1 << 20


def _tell_full(error: OSError, target: Path) -> NoReturn:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        raise DataError(
            f"the disk is full: {target} was not written and nothing was left half-written; "
            f"free some space (`df -h {target.parent}`) and run the command again."
        ) from error
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        raise DataError(
            f"{target} cannot be written ({error.strerror}); choose a folder that you own."
        ) from error
    raise error


@contextlib.contextmanager
def alone(lock: Path, refusal: str) -> Iterator[None]:
    """Let one process at a time into the block; a kill opens it for the next one.

    Parameters
    ----------
    lock
        A file of its own for what may be done once at a time.
    refusal
        What to say where another process is in the block.

    Raises
    ------
    StateError
        When another process is in the block.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w", encoding="utf-8") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StateError(refusal) from error
        yield


@contextlib.contextmanager
def whole_folder(target: Path, *, replace: bool = False) -> Iterator[Path]:
    """Fill a temporary sibling; it takes the target's name only when the block succeeds.

    Parameters
    ----------
    replace
        Whether an existing target gives way. It is moved aside first and removed last, so that
        a kill leaves either the old folder or the new one under some name.

    Raises
    ------
    DataError
        When the target exists and may not be replaced, or the disk is full.
    """
    target = target.absolute()
    if target.exists() and not replace:
        raise DataError(f"{target} exists already; name another folder or remove it.")
    draft: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        yield draft
        draft.chmod(0o755)
        if target.exists():
            aside = Path(tempfile.mkdtemp(prefix=f".{target.name}-old-", dir=target.parent))
            target.rename(aside / "it")
            draft.rename(target)
            shutil.rmtree(aside, ignore_errors=True)
        else:
            draft.rename(target)
    except OSError as error:
        _tell_full(error, target)
    finally:
        if draft is not None and draft.exists():
            shutil.rmtree(draft, ignore_errors=True)


@contextlib.contextmanager
def whole_file(target: Path) -> Iterator[Path]:
    """Fill a temporary sibling; it takes the target's name only when the block succeeds.

    Examples
    --------
    >>> folder = Path(tempfile.mkdtemp())
    >>> with whole_file(folder / "a.txt") as draft:
    ...     _ = draft.write_text("done")
    >>> [path.name for path in folder.iterdir()]
    ['a.txt']
    """
    target = target.absolute()
    draft: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            prefix=f".{target.stem}-", suffix=target.suffix, dir=target.parent
        )
        os.close(handle)
        draft = Path(name)
        yield draft
        draft.chmod(0o644)
        draft.replace(target)
    except OSError as error:
        _tell_full(error, target)
    finally:
        if draft is not None:
            draft.unlink(missing_ok=True)


def write_text(target: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with whole_file(target) as draft:
        draft.write_text(text, encoding="utf-8")


def write_json(target: Path, data: Any) -> None:
    """Write an indented JSON file, whole or not at all; NaN is written as null."""
    write_text(target, json.dumps(plain(data), indent=2, ensure_ascii=False) + "\n")


def plain(value: Any) -> Any:
    """Return the value as strict JSON can hold it: NumPy unboxed, NaN and infinity as None.

    Examples
    --------
    >>> plain({"a": float("nan"), "b": (1, 2)})
    {'a': None, 'b': [1, 2]}
    """
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(v) for v in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Path):
        return str(value)
    return value


def sha256(path: Path) -> str:
    """Return the hex digest of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def digests(folder: Path, *, skip: frozenset[str] = frozenset()) -> dict[str, str]:
    """Return the digest of every file under a folder, by its relative POSIX path."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    named = {p.relative_to(folder).as_posix(): p for p in files}
    return {name: sha256(path) for name, path in named.items() if name not in skip}


def check_digests(folder: Path, expected: dict[str, str]) -> None:
    """Raise ArtifactError, naming the file, unless every file is as it was when written."""
    for name, digest in expected.items():
        path = folder / name
        if not path.resolve().is_relative_to(folder.resolve()):
            raise ArtifactError(f"{folder}: the manifest names a file outside its folder, {name}.")
        if not path.is_file():
            raise ArtifactError(f"{folder}: {name} is missing; restore the folder from a backup.")
        if sha256(path) != digest:
            raise ArtifactError(
                f"{folder}: {name} has changed since it was written; "
                "restore the folder from a backup or train again."
            )


def size_mb(folder: Path) -> float:
    """Return the size of all files under a folder, in MiB."""
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) / 2**20
