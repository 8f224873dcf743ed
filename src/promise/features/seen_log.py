"""What each record met in the store, and what was served of it: the proof that parity rests on.

One line is one record that was exchanged: `{"id", "kind", "at" (µs), "record", "before", "seen"}`.
`record` is the event or label as the store keeps it; `before` the versions of its entities'
states before it, which tell the order in which any number of workers wrote; `seen` the features
that a version read, as the float32 that its models saw.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from promise.clock import Clock, SystemClock
from promise.data.columns import FloatArray
from promise.errors import DataError
from promise.features.event import Record, unpacked
from promise.features.store import Held
from promise.records.machine import home_slot
from promise.records.predictions import PredictionLog
from promise.records.reading import parse_line, prune, read_all
from promise.settings import Settings

Kind = Literal["event", "label", "again", "reasons"]
"""`again`: an event that was known already, answered once more."""

SEEN_FOLDER = ".features"
"""Below the prediction log's folder, and never read as one."""

_encode = msgspec.json.Encoder().encode


def seen_folder(settings: Settings) -> Path:
    """Return where the log lies, beside the prediction log and never read as one."""
    return settings.records / SEEN_FOLDER


@dataclass(frozen=True)
class Seen:
    """One line that was read back.

    Parameters
    ----------
    id
        Of the answer, or of the event or label where nothing was answered.
    at
        Microseconds since 1970 by the clock of the process that wrote it.
    before
        Store key to the version of its state before the record; 0 where nothing was known.
    version, vector
        Which version answered, and the features that it read; None where none did.
    """

    id: str
    kind: Kind
    at: int
    record: Record
    before: Mapping[str, int]
    version: int | None = None
    vector: NDArray[np.float32] | None = None


class SeenLog:
    """Writes what was seen, with the manners of the prediction log: never in a request's way.

    Parameters
    ----------
    slot
        The worker's place; tools have names of their own.
    """

    def __init__(self, settings: Settings, slot: str, *, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._log = PredictionLog(
            seen_folder(settings), home_slot(settings, slot), clock=self._clock
        )

    def note(
        self,
        model: str,
        id: str,
        kind: Kind,
        payload: bytes,
        before: Mapping[str, Held],
        *,
        version: int | None = None,
        vector: FloatArray | None = None,
    ) -> None:
        """Keep one record.

        Parameters
        ----------
        payload
            The record as it was exchanged.
        before
            What each key held before it.
        vector
            Features (n_columns,), kept as the float32 that models read.
        """
        line: dict[str, Any] = {
            "id": id,
            "kind": kind,
            "at": int(self._clock.now().timestamp() * 1e6),
            "record": b64encode(payload).decode(),
            "before": {key: held.version for key, held in before.items()},
        }
        if vector is not None:
            line["version"] = version
            line["seen"] = b64encode(np.asarray(vector, dtype="<f4").tobytes()).decode()
        self._log.append(model, _encode(line))

    def append(self, model: str, line: Mapping[str, Any]) -> None:
        """Keep a line of another kind, JSON-ready, with its `id`."""
        self._log.append(model, _encode(line))

    def close(self) -> None:
        """Write what waits."""
        self._log.close()


def served_of(data: bytes) -> Seen | None:
    """Return a line of the log that tells what a version read; None for any other."""
    line = parse_line(data)
    if line is None or "seen" not in line:
        return None
    try:
        return _seen(line)
    except (KeyError, ValueError, TypeError, AttributeError, DataError):
        return None


def read_seen(settings: Settings, model: str) -> Iterator[Seen]:
    """Yield the records of a model that were exchanged, in no order; damaged lines are left out."""
    for line in read_all(seen_folder(settings), model):
        if line.get("kind") not in ("event", "label", "again"):
            continue
        try:
            yield _seen(line)
        except (KeyError, ValueError, TypeError, AttributeError, DataError):
            continue


def prune_seen(settings: Settings, keep_days: float, clock: Clock) -> int:
    """Remove files older than so many days; return how many."""
    return prune(seen_folder(settings), keep_days, clock)


def _seen(line: Mapping[str, Any]) -> Seen:
    vector = None
    if "seen" in line:
        vector = np.frombuffer(b64decode(line["seen"]), dtype="<f4")
    return Seen(
        id=str(line["id"]),
        kind=line["kind"],
        at=int(line["at"]),
        record=unpacked(b64decode(line["record"])),
        before={str(key): int(version) for key, version in line["before"].items()},
        version=line.get("version"),
        vector=vector,
    )
