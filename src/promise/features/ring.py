"""What one entity remembers: its events in order, with running sums that make every read cheap.

Events lie in the order (time, arrival). Running sums are whole numbers, so a window's sum is a
difference of two of them, exact whatever was added and dropped before. What lies before the
retention or beyond the bound is dropped now and then to save work; reads never look at it, so
when it is dropped cannot be seen.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import msgspec

from promise.errors import ArtifactError
from promise.features.declare import Streak, holds
from promise.features.event import AMOUNT, Event, Label

SCALE = 10_000.0
"""Steps in 1: numbers are kept as whole multiples of 0.0001."""

MISSING = -(1 << 63)
_LAZY = 64  # droppable events that are worth a cleaning


@dataclass(frozen=True)
class Layout:
    """What is kept of each event.

    Parameters
    ----------
    numbers, texts
        Fields by slot.
    shares
        Slots of `numbers` whose positives are counted.
    streaks
        Conditions, each with its slot of `numbers`.
    fans
        Slots of `texts` that labels carry too.
    labels
        Whether labels are kept at all.
    kept_us, max_events
        The bounds: older than the newest event by more, or beyond the newest so many, is unseen.
    """

    numbers: tuple[str, ...]
    texts: tuple[str, ...]
    shares: tuple[int, ...]
    streaks: tuple[tuple[Streak, int], ...]
    fans: tuple[int, ...]
    labels: bool
    kept_us: int
    max_events: int


def whole(value: float | None) -> int:
    """Return a number in whole steps of 0.0001, `MISSING` for None.

    Examples
    --------
    >>> whole(12.5), whole(None) == MISSING
    (125000, True)
    """
    return MISSING if value is None else round(value * SCALE)


class Ring:
    """The events and labels of one entity, bounded by time and number."""

    __slots__ = (
        "at", "fans", "ids", "index", "keys", "known", "known_in_order", "layout", "next_seq",
        "numbers", "positive", "positives", "present", "runs", "seq", "shares", "sums", "texts",
    )  # fmt: skip

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.at: list[int] = []
        self.seq: list[int] = []  # order of arrival, which breaks ties of time
        self.ids: list[str] = []
        self.index: dict[str, tuple[int, int]] = {}
        self.next_seq = 0
        self.numbers: list[list[int]] = [[] for _ in layout.numbers]
        self.sums: list[list[int]] = [[0] for _ in layout.numbers]
        self.present: list[list[int]] = [[0] for _ in layout.numbers]
        self.shares: list[list[int]] = [[0] for _ in layout.shares]
        self.texts: list[list[str | None]] = [[] for _ in layout.texts]
        self.runs: list[list[int]] = [[] for _ in layout.streaks]
        self.keys: list[tuple[int, int]] = []  # of labelled events, in event order
        self.known: list[int] = []
        self.positive: list[int] = []
        self.positives: list[int] = [0]
        self.fans: list[list[str | None]] = [[] for _ in layout.fans]
        self.known_in_order = True

    def base(self, at: int) -> int:
        """Return the first place that a read at this time may see."""
        first = max(len(self.at) - self.layout.max_events, 0)
        if self.at and at < self.at[-1]:  # in order, no window reaches behind the retention
            first = max(first, bisect_left(self.at, self.at[-1] - self.layout.kept_us))
        return first

    def add(self, event: Event) -> None:
        """Take an event in; one that is there already changes nothing."""
        index, at = self.index, event.at
        if event.id in index:
            return
        key = (at, self.next_seq)
        self.next_seq += 1
        index[event.id] = key
        if self.at and at < self.at[-1]:
            self._put(event, key)
        else:
            self._append(event, key)

    def _append(self, event: Event, key: tuple[int, int]) -> None:
        """Put the newest event at the end, as nearly all are."""
        layout = self.layout
        self.at.append(key[0])
        self.seq.append(key[1])
        self.ids.append(event.id)
        for slot, name in enumerate(layout.numbers):
            given = event.amount if name == AMOUNT else event.number(name)
            value = whole(given)
            sums, present = self.sums[slot], self.present[slot]
            self.numbers[slot].append(value)
            sums.append(sums[-1] if given is None else sums[-1] + value)
            present.append(present[-1] + (given is not None))
        for slot, name in enumerate(layout.texts):
            self.texts[slot].append(event.text(name))
        for share, slot in zip(self.shares, layout.shares, strict=True):
            share.append(share[-1] + (self.numbers[slot][-1] > 0))
        for runs, (streak, slot) in zip(self.runs, layout.streaks, strict=True):
            before = runs[-1] if runs else 0
            runs.append(before + 1 if _keeps(streak, self.numbers[slot][-1]) else 0)
        if len(self.at) > _LAZY:
            self._clean(_LAZY)

    def _put(self, event: Event, key: tuple[int, int]) -> None:
        """Put a late event between the others; what is summed behind it is summed anew."""
        place = bisect_right(self.at, key[0])
        self.at.insert(place, key[0])
        self.seq.insert(place, key[1])
        self.ids.insert(place, event.id)
        for name, values in zip(self.layout.numbers, self.numbers, strict=True):
            values.insert(place, whole(event.number(name)))
        for name, texts in zip(self.layout.texts, self.texts, strict=True):
            texts.insert(place, event.text(name))
        self._resum()
        if place >= _LAZY:
            self._clean(_LAZY)

    def _resum(self) -> None:
        for slot, values in enumerate(self.numbers):
            self.sums[slot] = _running(0 if v == MISSING else v for v in values)
            self.present[slot] = _running(v != MISSING for v in values)
        self.shares = [_running(v > 0 for v in self.numbers[s]) for s in self.layout.shares]
        for place, (streak, slot) in enumerate(self.layout.streaks):
            kept = (_keeps(streak, value) for value in self.numbers[slot])
            self.runs[place] = list(accumulate(kept, lambda run, ok: (run + 1) * ok, initial=0))[1:]

    def learn(self, label: Label) -> None:
        """Attach a label to its event; one of an unknown or expired event changes nothing."""
        key = self.index.get(label.event_id)
        if key is None or not self.layout.labels:
            return
        place = bisect_left(self.keys, key)
        if place < len(self.keys) and self.keys[place] == key:
            self.known[place] = label.known_at
            self.positive[place] = int(label.value > 0)
        else:
            self.keys.insert(place, key)
            self.known.insert(place, label.known_at)
            self.positive.insert(place, int(label.value > 0))
            event = self._place(key)
            for fan, slot in zip(self.fans, self.layout.fans, strict=True):
                fan.insert(place, self.texts[slot][event])
        if place == len(self.positives) - 1:  # the newest event's: the usual case
            self.positives.append(self.positives[-1] + self.positive[place])
            self.known_in_order &= place == 0 or self.known[place - 1] <= label.known_at
        else:
            self._resum_labels()

    def _place(self, key: tuple[int, int]) -> int:
        place = bisect_left(self.at, key[0])
        while self.seq[place] != key[1]:  # events of the same microsecond
            place += 1
        return place

    def _resum_labels(self) -> None:
        self.positives = _running(self.positive)
        known = self.known
        self.known_in_order = all(a <= b for a, b in pairwise(known))

    def _clean(self, at_least: int) -> None:
        """Drop what no read can see any more."""
        drop = bisect_left(self.at, self.at[-1] - self.layout.kept_us) if self.at else 0
        drop = max(drop, len(self.at) - self.layout.max_events)
        if drop < at_least:
            return
        for gone in self.ids[:drop]:
            del self.index[gone]
        labels = bisect_left(self.keys, (self.at[drop], self.seq[drop]))
        per_event: tuple[list[Any], ...]
        per_event = (self.at, self.seq, self.ids, *self.numbers, *self.texts, *self.runs)
        for column in (*per_event, *self.sums, *self.present, *self.shares):
            del column[:drop]
        per_label: tuple[list[Any], ...]
        per_label = (self.keys, self.known, self.positive, self.positives, *self.fans)
        for column in per_label:
            del column[:labels]
        if labels and not self.known_in_order:
            self._resum_labels()

    def dump(self) -> bytes:
        """Return the ring as bytes; equal for what reads equal."""
        self._clean(1)
        numbers = [_bytes(values) for values in self.numbers]
        columns = [self.at, self.seq, [k[0] for k in self.keys], [k[1] for k in self.keys]]
        whole_numbers = [_bytes(c) for c in (*columns, self.known, self.positive)]
        return msgspec.msgpack.encode([self.next_seq, whole_numbers, self.ids, numbers, self.texts])

    @classmethod
    def load(cls, layout: Layout, data: bytes) -> Ring:
        """Read back what `dump` wrote.

        Raises
        ------
        ArtifactError
            When the bytes are none of a ring of this layout.
        """
        ring = cls(layout)
        try:
            stored = msgspec.msgpack.decode(data, type=_Stored)
        except msgspec.DecodeError as error:
            raise ArtifactError(f"the state of {len(data)} bytes is damaged: {error}") from error
        ring.next_seq, columns, ring.ids, numbers, ring.texts = stored
        ring.at, ring.seq, label_at, label_seq, ring.known, ring.positive = map(_ints, columns)
        ring.numbers = [_ints(values) for values in numbers]
        if len(ring.numbers) != len(layout.numbers) or len(ring.texts) != len(layout.texts):
            raise ArtifactError(
                f"the state keeps {len(ring.numbers)} numbers and {len(ring.texts)} texts of each "
                f"event, the views need {len(layout.numbers)} and {len(layout.texts)}; backfill it"
            )
        order = list(zip(ring.at, ring.seq, strict=True))
        ring.index = dict(zip(ring.ids, order, strict=True))
        ring.keys = list(zip(label_at, label_seq, strict=True))
        places = dict(zip(ring.seq, range(len(order)), strict=True)) if layout.fans else {}
        ring.fans = [[ring.texts[s][places[key]] for key in label_seq] for s in layout.fans]
        ring._resum()
        ring._resum_labels()
        return ring


_Stored = tuple[int, list[bytes], list[str], list[bytes], list[list[str | None]]]


def _running(values: Iterable[int]) -> list[int]:
    return list(accumulate(values, initial=0))


def _keeps(streak: Streak, value: int) -> bool:
    return value != MISSING and holds(streak, value / SCALE)


def _bytes(values: list[int]) -> bytes:
    return array("q", values).tobytes()


def _ints(data: bytes) -> list[int]:
    values = array("q")
    values.frombytes(data)
    return values.tolist()
