"""A folder that keeps what one process holds: a whole snapshot, and a journal of what came after.

Every snapshot and journal has a number. A snapshot first starts the journal of its number, then
writes the state as it was at that moment, then removes what is older; so at any moment the newest
whole snapshot and the journals from its number on are the state, wherever a kill comes between.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from promise.errors import ConfigError, StateError
from promise.features.stores.frames import sealed, unsealed
from promise.state.failpoints import reach
from promise.state.files import whole_file

_STATE, _JOURNAL = "state-", "journal-"


class Journal:
    """Appends records that survive the death of the process, and reads them again.

    Parameters
    ----------
    folder
        Of one process at a time.
    sync
        Whether each record waits for the disk, so that it survives the machine's death as well.

    Raises
    ------
    ConfigError
        When another process holds the folder.
    """

    def __init__(self, folder: Path, *, sync: bool = False) -> None:
        self._folder, self._sync = folder, sync
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(folder)
        for draft in folder.glob(f".{_STATE}*"):  # of a process that was killed while writing it
            draft.unlink()
        self._number = max(_numbers(folder, _JOURNAL) + _numbers(folder, _STATE), default=0)
        self._file: int | None = None
        self.size = 0

    def records(self) -> Iterator[bytes]:
        """Yield every record that was kept, oldest first; begin a journal of its own after them."""
        found = _numbers(self._folder, _STATE)
        newest = max(found, default=0)
        if found:
            yield from self._read(self._path(_STATE, newest), whole=True)
        for number in _numbers(self._folder, _JOURNAL):
            if number >= newest:
                yield from self._read(self._path(_JOURNAL, number), whole=False)
        self._begin()

    def append(self, body: bytes) -> None:
        """Keep a record.

        Raises
        ------
        StateError
            When the disk refuses; nothing of the record is kept.
        """
        assert self._file is not None, "records() has been read to its end before"
        data = sealed(body)
        try:
            done = 0
            while done < len(data):
                done += os.write(self._file, data[done:])
            if self._sync:
                os.fsync(self._file)
        except OSError as error:
            os.ftruncate(self._file, self.size)
            raise StateError(
                f"nothing was changed: {self._folder} cannot be written ({error.strerror}); "
                "free some space and send the event again."
            ) from error
        self.size += len(data)

    def turn(self) -> int:
        """Begin the next journal; return its number, for the snapshot of this moment."""
        self._begin()
        return self._number

    def keep(self, number: int, records: Iterable[bytes]) -> None:
        """Write the snapshot of this number, whole or not at all, and remove what is older."""
        reach("feature_journal.turned")
        with whole_file(self._path(_STATE, number)) as draft:
            with draft.open("wb") as file:
                for body in records:
                    file.write(sealed(body))
                file.write(sealed(b""))  # its end: what lacks it is damaged
                file.flush()
                os.fsync(file.fileno())
            reach("feature_journal.written")
        reach("feature_journal.renamed")
        for kind in (_STATE, _JOURNAL):
            for old in _numbers(self._folder, kind):
                if old < number:
                    self._path(kind, old).unlink(missing_ok=True)

    def close(self) -> None:
        """Give the folder back."""
        for handle in (self._file, self._lock):
            if handle is not None:
                os.close(handle)
        self._file = self._lock = None

    def _begin(self) -> None:
        self._number += 1
        path = self._path(_JOURNAL, self._number)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        if self._file is not None:
            os.close(self._file)
        self._file, self.size = handle, 0

    def _read(self, path: Path, *, whole: bool) -> Iterator[bytes]:
        data, end, ended = path.read_bytes(), 0, False
        for body, at in unsealed(data):
            end = at
            if not body:
                ended = True
                break
            yield body
        # a kill cuts the last record of a journal short; nothing cuts a snapshot
        if whole and not (ended and end == len(data)):
            raise StateError(
                f"{path} is damaged after {end} of {len(data)} bytes; restore the folder from a "
                "backup, or remove it and backfill the state."
            )

    def _path(self, kind: str, number: int) -> Path:
        return self._folder / f"{kind}{number:08d}"


def _numbers(folder: Path, kind: str) -> list[int]:
    names = [path.name.removeprefix(kind) for path in folder.glob(f"{kind}*")]
    return sorted(int(name) for name in names if name.isdigit())


def _locked(folder: Path) -> int | None:
    handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        raise ConfigError(
            f"another process keeps its event state in {folder}; a store in process serves one "
            "process: name another folder, or use SQLite, Postgres or Redis."
        ) from error
    return handle
