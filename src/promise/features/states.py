"""The states of all entities after a long history, built at once: to start a store warm.

Each entity's events are a run of the sorted columns, so its state is packed from slices; the slow
twin feeds the online kernel event by event (`promise.features.online.Online`), and gives the same
bytes.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np

from promise.features.event import AMOUNT
from promise.features.grouped import Ints
from promise.features.history import Coded, History
from promise.features.kernel import Kernel
from promise.features.replay import entity_codes
from promise.features.ring import MISSING, SCALE
from promise.features.sets import FeatureSet

_encode = msgspec.msgpack.Encoder().encode


def states(features: FeatureSet, history: History) -> Iterator[tuple[str, bytes]]:
    """Yield each entity's store key and state, as events one by one would have left it.

    Parameters
    ----------
    history
        Events and labels in the order in which they came in.

    Raises
    ------
    DataError
        When the history lacks a field that a view reads.

    Examples
    --------
    >>> import pyarrow as pa
    >>> from promise.features.declare import Count
    >>> from promise.features.online import Online
    >>> from promise.features.view import FeatureView
    >>> table = pa.table({"t": [0, 1, 2], "card": ["ann", "bob", "ann"]})
    >>> history = History.of(table, time="t", entities={"entity": "card"})
    >>> views = FeatureSet((FeatureView("card", ("entity",), (Count("1d"),)),))
    >>> online = Online(views)
    >>> for _, record in history.records():
    ...     vector = online.take(record)
    >>> dict(states(views, history)) == dict(online.snapshots())
    True
    """
    ids = np.array([history.id_of(row) for row in range(len(history))], dtype=object)
    for place, kernel in enumerate(features.kernels):
        if kernel.entity:
            yield from _of_kernel(features, place, kernel, history, ids)


def _of_kernel(
    features: FeatureSet, place: int, kernel: Kernel, history: History, ids: np.ndarray
) -> Iterator[tuple[str, bytes]]:
    roles = [history.text(role) for role in kernel.entity]
    codes = entity_codes(roles, len(history))
    once = history.first == np.arange(len(history))
    rows = np.flatnonzero(once & (codes >= 0))
    if not len(rows):
        return
    order = rows[np.lexsort((rows, history.at[rows], codes[rows]))]
    sorted_codes = codes[order]
    starts = np.flatnonzero(np.diff(sorted_codes, prepend=sorted_codes[0] - 1))
    stops = np.append(starts[1:], len(order))
    seq, total = _sequence(rows, codes, order, starts, stops)
    columns = _Columns(kernel, history, order, ids, seq)
    labels = _Labels(kernel, history, order, seq, starts)
    firsts = _first_kept(kernel, history.at[order], starts, stops)
    named = zip(*(_texts(coded)[order[starts]].tolist() for coded in roles), strict=True)
    told = labels.parts(firsts)
    ranges = zip(firsts.tolist(), stops.tolist(), total.tolist(), strict=True)
    for parts, (first, stop, n_events), part in zip(named, ranges, told, strict=True):
        packed = columns.packed(first, stop, n_events, labels.packed(*part))
        yield features.key(place, parts), kernel.marked(packed)


def _sequence(rows: Ints, codes: Ints, order: Ints, starts: Ints, stops: Ints) -> tuple[Ints, Ints]:
    """Return each event's number within its entity, in order of arrival; and how many there are."""
    arrival = rows[np.argsort(codes[rows], kind="stable")]
    lengths = stops - starts
    number = np.arange(len(rows)) - np.repeat(starts, lengths)
    by_row = np.zeros(int(rows.max()) + 1, np.int64)
    by_row[arrival] = number
    return by_row[order], lengths


def _first_kept(kernel: Kernel, at: Ints, starts: Ints, stops: Ints) -> Ints:
    """Return for each entity the place of its first event that its state keeps."""
    layout = kernel.plan.layout
    since = np.repeat(at[stops - 1] - layout.kept_us, stops - starts)
    old = np.add.reduceat((at < since).astype(np.int64), starts)
    return np.maximum(starts + old, stops - layout.max_events)


class _Columns:
    """The events of all entities, sorted, as `Ring.dump` packs them."""

    def __init__(
        self, kernel: Kernel, history: History, order: Ints, ids: np.ndarray, seq: Ints
    ) -> None:
        layout = kernel.plan.layout
        self.at, self.seq = _bytes(history.at[order]), _bytes(seq)
        self.ids = ids[order].tolist()
        self.numbers = [_bytes(_whole(history, name)[order]) for name in layout.numbers]
        self.texts = [_texts(history.text(name))[order].tolist() for name in layout.texts]

    def packed(self, first: int, stop: int, total: int, labels: list[bytes]) -> bytes:
        """Return one entity's state."""
        part, wide = slice(first, stop), slice(8 * first, 8 * stop)
        return _encode(
            [
                total,
                [self.at[wide], self.seq[wide], *labels],
                self.ids[part],
                [values[wide] for values in self.numbers],
                [values[part] for values in self.texts],
            ]
        )


class _Labels:
    """The labels of all entities' events, sorted by event, the last one of each."""

    def __init__(
        self, kernel: Kernel, history: History, order: Ints, seq: Ints, starts: Ints
    ) -> None:
        told = history.labels
        self._none = not kernel.plan.layout.labels or not len(told.rows)
        if self._none:
            return
        place = np.full(len(history), -1, np.int64)
        place[order] = np.arange(len(order))
        rows = history.first[told.rows]
        known = (place[rows] >= 0) & (told.after > rows)
        newest = np.flatnonzero(known)[np.argsort(told.after[known], kind="stable")]
        last = np.full(len(order), -1, np.int64)
        last[place[rows[newest]]] = newest
        at = np.flatnonzero(last >= 0)
        which = last[at]
        self.places = at
        self.columns = [
            _bytes(values)
            for values in (
                history.at[order][at],
                seq[at],
                told.known_at[which],
                (told.values[which] > 0).astype(np.int64),
            )
        ]
        self.ends = np.searchsorted(at, np.append(starts[1:], len(order)))

    def parts(self, firsts: Ints) -> list[tuple[int, int]]:
        """Return where the labels of each entity's events begin, from a place on, and end."""
        if self._none:
            return [(0, 0)] * len(firsts)
        begin = np.searchsorted(self.places, firsts)
        return list(zip(begin.tolist(), self.ends.tolist(), strict=True))

    def packed(self, begin: int, end: int) -> list[bytes]:
        """Return the labels of one entity's events."""
        if begin >= end:
            return [b"", b"", b"", b""]
        return [values[8 * begin : 8 * end] for values in self.columns]


def _bytes(values: Ints) -> bytes:
    """Return whole numbers as they are packed, eight bytes each: slices of it cost no array."""
    return np.ascontiguousarray(values, dtype="<i8").tobytes()


def _whole(history: History, name: str) -> Ints:
    values = history.number(name) if name in history.numbers or name != AMOUNT else None
    if values is None:
        return np.full(len(history), MISSING, dtype="<i8")
    missing = np.isnan(values)
    steps = np.rint(np.where(missing, 0.0, values) * SCALE).astype("<i8")
    return np.where(missing, MISSING, steps).astype("<i8")


def _texts(coded: Coded) -> np.ndarray:
    values = np.array([*coded.values, None], dtype=object)
    return values[coded.codes]  # −1 is the last
