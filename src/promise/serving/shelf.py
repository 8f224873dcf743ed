"""Versions in memory: loaded in a thread of their own, tried again after a failure, let go."""

from __future__ import annotations

import gc
import logging
import queue
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from promise.clock import Clock
from promise.records.events import Events
from promise.registry.registry import Registry
from promise.registry.versions import Version
from promise.serving.loading import Loaded, Remains, load_version, remains_of

_LOG = logging.getLogger(__name__)

_RETRY_S = 5.0
_RETRY_AT_MOST_S = 60.0

_PATH = re.compile(r"(?<![\w.:/])/(?:[^\s/'\",:;()]+/)*([^\s/'\",:;()]+)")

Key = tuple[str, int]
"""Name and number of a version."""


@dataclass(frozen=True)
class Failure:
    """Why a version could not be loaded, what is left of it, and when it is tried again.

    Parameters
    ----------
    again_s
        Monotonic seconds.
    wait_s
        How long that was put off; doubled with every failure.
    """

    reason: str
    remains: Remains | None
    again_s: float
    wait_s: float


def without_paths(reason: str, version: Version) -> str:
    """Return a reason as anybody may read it: where the server keeps its files is not told.

    Examples
    --------
    >>> version = Version("churn", 2, None, "", "/srv/a/churn/2", "", {}, {}, {})
    >>> without_paths("/srv/a/churn/2: weights/x.txt is gone; see '/etc/promise/a.toml'", version)
    "churn@2: weights/x.txt is gone; see 'a.toml'"
    """
    return _PATH.sub(r"\1", reason.replace(str(version.folder), str(version)))


class Shelf:
    """Versions by name and number: loaded, failed, on their way.

    Everything but the loading itself is done by the thread that looks after the shelf.

    Parameters
    ----------
    wake
        Called by the loading thread whenever it has finished with a version.
    """

    def __init__(self, registry: Registry, clock: Clock, wake: Callable[[], None]) -> None:
        self.loaded: dict[Key, Loaded] = {}
        self.failed: dict[Key, Failure] = {}
        self._registry, self._clock, self._wake = registry, clock, wake
        self._events = Events(registry.database, clock)
        self._pending: set[Key] = set()
        self._orders: queue.SimpleQueue[Version | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[tuple[Version, Loaded | Failure]] = queue.SimpleQueue()
        self._stopping = False
        self._thread = threading.Thread(target=self._load, name="promise-load", daemon=True)

    def start(self) -> None:
        """Begin to load what is ordered."""
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """End once the version that is being loaded is done, or after a while."""
        self._stopping = True
        self._orders.put(None)
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def order(self, versions: Iterable[Version]) -> None:
        """Ask for versions in this order; what failed, only once its pause is over."""
        for version in versions:
            key = (version.name, version.number)
            if key in self.loaded or key in self._pending:
                continue
            failure = self.failed.get(key)
            if failure is None or self._clock.monotonic() >= failure.again_s:
                self._pending.add(key)
                self._orders.put(version)

    def collect(self) -> bool:
        """Take in what the loading thread finished; say whether there was anything."""
        found = False
        while True:
            try:
                version, outcome = self._done.get_nowait()
            except queue.Empty:
                return found
            found = True
            key = (version.name, version.number)
            self._pending.discard(key)
            if isinstance(outcome, Loaded):
                self.loaded[key] = outcome
                self.failed.pop(key, None)
            else:
                self.failed[key] = outcome

    def keep(self, named: Mapping[str, Iterable[int]]) -> None:
        """Let go of versions that are not among these."""
        wanted = {(name, number) for name, numbers in named.items() for number in numbers}
        self.loaded = {key: kept for key, kept in self.loaded.items() if key in wanted}
        self.failed = {key: kept for key, kept in self.failed.items() if key in wanted}

    @property
    def next_try_s(self) -> float:
        """Monotonic seconds at which the next failed version is due again; infinity for never."""
        due = (f.again_s for key, f in self.failed.items() if key not in self._pending)
        return min(due, default=float("inf"))

    def _load(self) -> None:
        while (version := self._orders.get()) is not None and not self._stopping:
            self._done.put((version, self._outcome(version)))
            self._wake()

    def _outcome(self, version: Version) -> Loaded | Failure:
        try:
            loaded = load_version(self._registry.fetch(version), self._events)
        except Exception as error:
            reason = str(error) or type(error).__name__
            _LOG.warning("version %s could not be loaded: %s", version, reason)
            before = self.failed.get((version.name, version.number))
            wait_s = _RETRY_S if before is None else min(2 * before.wait_s, _RETRY_AT_MOST_S)
            again_s = self._clock.monotonic() + wait_s
            return Failure(without_paths(reason, version), remains_of(version), again_s, wait_s)
        # What lives as long as the server need not be looked at by every collection.
        gc.freeze()
        return loaded
