"""An append-only record of a run: what is finished survives any death of the process."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from promise.errors import ArtifactError, ConfigError

FORMAT = 1


@dataclass(frozen=True)
class Journal:
    """JSON lines, one per finished piece of work, on disk before the next one counts.

    The first line says what the run is about; `resume` refuses when any of it has changed.

    Examples
    --------
    >>> import tempfile
    >>> journal = Journal.start(Path(tempfile.mkdtemp()) / "j.jsonl", {"seed": 7})
    >>> journal.append({"event": "fit", "fold": 0})
    >>> journal.records()
    [{'event': 'fit', 'fold': 0}]
    """

    path: Path

    @classmethod
    def start(cls, path: Path, about: Mapping[str, Any]) -> Journal:
        """Begin a new journal, in place of any that is there."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        journal = cls(path)
        journal.append({"event": "start", "format": FORMAT, "about": dict(about)})
        return journal

    @classmethod
    def resume(cls, path: Path, about: Mapping[str, Any]) -> Journal:
        """Continue the journal of the same run; begin one where there is none.

        Raises
        ------
        ConfigError
            When the journal is of other data, seed, folds or metric; names what changed.
        """
        journal = cls(path)
        lines = journal._lines()
        if not lines:
            return cls.start(path, about)
        head = lines[0]
        if head.get("event") != "start" or head.get("format") != FORMAT:
            raise ArtifactError(
                f"{path} is not a journal of format {FORMAT}; start again without --resume."
            )
        before, now = head["about"], json.loads(json.dumps(dict(about)))
        for name in sorted(set(before) | set(now)):
            if before.get(name) != now.get(name):
                raise ConfigError(
                    f"cannot resume: {name} was {before.get(name)!r} when the run began and is "
                    f"{now.get(name)!r} now; restore it or start again without --resume."
                )
        journal._mend()
        return journal

    def append(self, record: Mapping[str, Any]) -> None:
        """Write one record and wait until it is on disk."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(dict(record)) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def records(self) -> list[dict[str, Any]]:
        """Return everything after the first line, in order."""
        return self._lines()[1:]

    def about(self) -> dict[str, Any]:
        """Return what the first line says the run is about."""
        lines = self._lines()
        about: dict[str, Any] = lines[0]["about"] if lines else {}
        return about

    def _lines(self) -> list[dict[str, Any]]:
        if not self.path.exists():
            return []
        found = []
        for number, line in enumerate(self.path.read_bytes().splitlines(), start=1):
            try:
                found.append(json.loads(line))
            except ValueError:
                if number < len(self.path.read_bytes().splitlines()):
                    raise ArtifactError(
                        f"{self.path}, line {number} is damaged; start again without --resume."
                    ) from None
        return found

    def _mend(self) -> None:
        """Cut off a last line that the process did not live to finish."""
        raw = self.path.read_bytes()
        keep = raw.rfind(b"\n") + 1
        if keep < len(raw):
            with self.path.open("r+b") as file:
                file.truncate(keep)
