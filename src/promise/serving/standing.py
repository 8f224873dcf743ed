"""How each worker of this machine stands, so that one of them can tell of all."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from promise.features.text_cache_shared import shared_stats
from promise.serving.health import is_ready
from promise.serving.worker import Worker
from promise.state.files import write_text

SILENT_S = 10.0
"""A worker that has told nothing for so long is not ready: it hangs, or was killed."""

_FORGOTTEN_S = 120.0  # a slot that no server uses any longer
_FILES = "standing-*.json"


@dataclass(frozen=True)
class Standing:
    """What one worker tells of itself.

    Parameters
    ----------
    told_s
        Monotonic seconds, which all processes of a machine share.
    stale_s
        Seconds since the database last answered; 0 while it does.
    log_written, log_dropped, log_waiting, log_oldest_s, log_worst_s
        Of the prediction log, as `LogStats` has them.
    events_waiting, reasons_waiting
        Events that the event store has not taken, and answers that are owed exact contributions.
    texts_found, texts_computed, texts_seconds, texts_cache_mb
        Texts whose vectors the cache had or an encoder computed, what computing took, and what the
        cache holds.
    """

    slot: int
    pid: int
    told_s: float
    ready: bool
    stale_s: float
    log_written: int
    log_dropped: int
    log_waiting: int
    log_oldest_s: float
    log_worst_s: float
    events_waiting: int = 0
    reasons_waiting: int = 0
    texts_found: int = 0
    texts_computed: int = 0
    texts_seconds: float = 0.0
    texts_cache_mb: float = 0.0

    @classmethod
    def of(cls, worker: Worker) -> Standing:
        """Return how this process stands at this moment."""
        log, texts = worker.log.stats(), shared_stats()
        return cls(
            slot=worker.slot,
            pid=os.getpid(),
            told_s=worker.clock.monotonic(),
            ready=is_ready(worker),
            stale_s=worker.runtime.stale_s,
            log_written=log.written,
            log_dropped=log.dropped,
            log_waiting=log.waiting,
            log_oldest_s=log.oldest_s,
            log_worst_s=log.worst_s,
            events_waiting=worker.answering.keyed.n_waiting,
            reasons_waiting=worker.answering.keyed.exact.waiting,
            texts_found=texts.hits,
            texts_computed=texts.misses,
            texts_seconds=texts.seconds,
            texts_cache_mb=texts.memory_mb,
        )

    def write(self, folder: Path) -> None:
        """Tell the other workers."""
        path = folder / _FILES.replace("*", str(self.slot))
        write_text(path, msgspec.json.encode(self).decode())

    def withdraw(self, folder: Path) -> None:
        """Tell nothing any longer: the worker ends."""
        (folder / _FILES.replace("*", str(self.slot))).unlink(missing_ok=True)


def standings(worker: Worker) -> list[Standing]:
    """Return how every worker of the installation on this machine stands, by slot.

    Of its own process a worker knows it exactly, of the others as they told it last.
    """
    own = Standing.of(worker)
    found = {own.slot: own}
    for path in sorted(worker.settings.run.glob(_FILES)):
        told = _read(path)
        if told is None or told.slot == own.slot:
            continue
        silent_s = own.told_s - told.told_s
        if 0 <= silent_s < _FORGOTTEN_S:  # of another boot the seconds would be negative
            found[told.slot] = replace(told, ready=told.ready and silent_s < SILENT_S)
    return [found[slot] for slot in sorted(found)]


def _read(path: Path) -> Standing | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Standing)
    except (OSError, msgspec.MsgspecError):
        return None
