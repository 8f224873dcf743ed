"""Marks where a backup lies: who fills it and who prunes it, so that neither harms the other."""

from __future__ import annotations

import contextlib
import json
import logging
import secrets
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from promise.clock import Clock
from promise.errors import PromiseError, StateError
from promise.registry.vault import Place

_log = logging.getLogger(__name__)
_MARKS = "marks"
_LEASE = timedelta(minutes=10)
_RENEWED_S = 60.0
_LOOK_S = 0.2

Doing = Literal["filling", "pruning"]


@dataclass
class Mark:
    """One backup's word that it is at work, renewed by a thread until it is taken away.

    A mark that was not renewed for ten minutes is a killed process's and counts no more; clocks of
    machines that share a place must agree to within minutes.
    """

    place: Place
    clock: Clock
    doing: Doing
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    _renewed_s: float = 0.0
    _done: threading.Event = field(default_factory=threading.Event)

    @property
    def name(self) -> str:
        """Where it lies."""
        return f"{_MARKS}/{self.doing}-{self.id}.json"

    @contextlib.contextmanager
    def set(self) -> Iterator[Mark]:
        """Keep the mark at the place for a block."""
        self._renew()
        thread = threading.Thread(target=self._go_on, name=f"mark-{self.id}", daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._done.set()
            thread.join()
            self.place.remove(self.name)

    def check(self) -> None:
        """Raise StateError where the mark ran out: others may have pruned what this one needs."""
        if self.clock.monotonic() - self._renewed_s >= _LEASE.total_seconds():
            raise StateError(
                f"the backup at {self.place.where} could not say for {_LEASE.seconds // 60} "
                "minutes that it is at work, so its files may have been pruned; the backup from "
                "before stands. Run the command again."
            )

    def _go_on(self) -> None:
        while not self._done.wait(_RENEWED_S):
            try:
                self._renew()
            except (PromiseError, OSError) as error:
                _log.warning("a backup's mark was not renewed", extra={"reason": str(error)})

    def _renew(self) -> None:
        now_s = self.clock.monotonic()
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / "mark.json"
            path.write_text(json.dumps({"until": (self.clock.now() + _LEASE).isoformat()}))
            self.place.put(path, self.name)
        self._renewed_s = now_s


@contextlib.contextmanager
def filling(place: Place, clock: Clock) -> Iterator[Mark]:
    """Fill a place for a block, once nobody prunes it: then its files may be relied upon.

    Each side sets its mark first and looks for the other's then, so that one at least sees the
    other; it is the filling one that waits.
    """
    with Mark(place, clock, "filling").set() as mark:
        told = False
        while others(place, clock, "pruning"):
            if not told:
                _log.info("a backup waits for another to end its pruning")
                told = True
            time.sleep(_LOOK_S)
        yield mark


@contextlib.contextmanager
def pruning(place: Place, clock: Clock, own: Mark) -> Iterator[str]:
    """Prune a place for a block; yields why that must not be, else nothing.

    Parameters
    ----------
    own
        This backup's mark of filling, which it still holds.
    """
    with Mark(place, clock, "pruning", own.id).set():
        busy = [name for name in others(place, clock, "filling") if name != own.name]
        yield f"another backup is being written there ({', '.join(busy)})" if busy else ""


def others(place: Place, clock: Clock, doing: Doing) -> list[str]:
    """Return the marks of those who do this at the place; what ran out is taken away."""
    found = []
    for name in sorted(place.sizes(_MARKS)):
        if not name.startswith(f"{_MARKS}/{doing}-") or not name.endswith(".json"):
            continue
        until = _until(place, name)
        if until is None:
            continue
        if until > clock.now():
            found.append(name)
        else:
            place.remove(name)
    return found


def _until(place: Place, name: str) -> datetime | None:
    """Return until when a mark counts; None where it was taken away meanwhile."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "mark.json"
        try:
            place.get(name, path)
        except FileNotFoundError:
            return None
        return datetime.fromisoformat(json.loads(path.read_text(encoding="utf-8"))["until"])
