"""What was known last, on disk: a worker that starts while the database is away serves it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from promise.registry.keys import Key
from promise.registry.lifecycle import Route
from promise.registry.versions import Version
from promise.state.files import whole_file


@dataclass(frozen=True)
class Known:
    """One reading of the database: everything that serving needs of it.

    Parameters
    ----------
    epoch
        Of the reading; -1 before the first.
    versions
        `NAME@V` to its row, for every version that a route names.
    targets
        Latency promises in milliseconds, by name.
    keys
        sha256 of secret to key, for all that are valid.
    """

    epoch: int = -1
    routes: dict[str, Route] = field(default_factory=dict)
    versions: dict[str, Version] = field(default_factory=dict)
    targets: dict[str, tuple[float, ...]] = field(default_factory=dict)
    keys: dict[bytes, Key] = field(default_factory=dict)


def write_known(path: Path, known: Known) -> None:
    """Keep a reading, whole or not at all, for this user's eyes only."""
    with whole_file(path) as draft:
        draft.write_bytes(msgspec.json.encode(known, enc_hook=_encode))
    path.chmod(0o600)  # it holds hashes of keys


def read_known(path: Path) -> Known:
    """Read back what was kept; an empty reading where there is none or it is damaged."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Known, dec_hook=_decode)
    except (OSError, msgspec.MsgspecError):
        return Known()


def _encode(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    raise NotImplementedError(f"{type(value).__name__} is no part of a reading")


def _decode(kind: type, value: Any) -> Any:
    if kind is Path:
        return Path(value)
    raise NotImplementedError(f"{kind.__name__} is no part of a reading")
