"""Lists that were answered lately, dropped as soon as something happened to whoever asked."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from promise.clock import Clock

_ENTRY_BYTES = 400  # what Python holds for an entry beside its bytes, roughly


@dataclass
class KeptLists:
    """Answers by who asked and what was asked; for one version, and for one thread.

    Parameters
    ----------
    lifetime_s
        How long an answer is given again; 0 for never.
    limit_mb
        Of all answers and what was asked, together; those of who asked longest ago go first.

    Examples
    --------
    >>> from promise.clock import ManualClock
    >>> kept = KeptLists(ManualClock(), 600.0)
    >>> kept.put("ann", b"?limit=2", b"[1, 2]")
    >>> kept.get("ann", b"?limit=2"), kept.get("ann", b"?limit=3")
    (b'[1, 2]', None)
    >>> kept.drop("ann")
    >>> kept.get("ann", b"?limit=2") is None
    True
    """

    clock: Clock
    lifetime_s: float
    limit_mb: float = 32.0
    _held: OrderedDict[str, dict[bytes, tuple[float, bytes]]] = field(default_factory=OrderedDict)
    _bytes: int = 0

    def get(self, id: str, asked: bytes) -> bytes | None:
        """Return an answer that is not too old."""
        of_person = self._held.get(id)
        found = None if of_person is None else of_person.get(asked)
        if found is None or found[0] <= self.clock.monotonic():
            return None
        self._held.move_to_end(id)
        return found[1]

    def put(self, id: str, asked: bytes, answer: bytes) -> None:
        """Keep an answer."""
        if self.lifetime_s <= 0:
            return
        of_person = self._held.setdefault(id, {})
        before = of_person.get(asked)
        if before is not None:
            self._bytes -= _size(asked, before[1])
        of_person[asked] = (self.clock.monotonic() + self.lifetime_s, answer)
        self._bytes += _size(asked, answer)
        self._held.move_to_end(id)
        while self._bytes > self.limit_mb * 2**20:
            self.drop(next(iter(self._held)))

    def drop(self, id: str) -> None:
        """Let go of everything that somebody was answered."""
        for asked, (_, answer) in (self._held.pop(id, None) or {}).items():
            self._bytes -= _size(asked, answer)

    def clear(self) -> None:
        """Let go of everything."""
        self._held.clear()
        self._bytes = 0


def _size(asked: bytes, answer: bytes) -> int:
    return len(asked) + len(answer) + _ENTRY_BYTES
