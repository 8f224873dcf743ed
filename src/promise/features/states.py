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
    for segment, (start, stop) in enumerate(zip(starts.tolist(), stops.tolist(), strict=True)):
        key = features.keys(_entity(kernel, roles, int(order[start])))[place]
        assert key is not None, "rows without the role were left out"
        first = _first_kept(kernel, history.at[order[start:stop]]) + start
        packed = columns.packed(first, stop, int(total[segment]), labels.packed(segment, first))
        yield key, kernel.marked(packed)


def _sequence(rows: Ints, codes: Ints, order: Ints, starts: Ints, stops: Ints) -> tuple[Ints, Ints]:
    """Return each event's number within its entity, in order of arrival; and how many there are."""
    arrival = rows[np.argsort(codes[rows], kind="stable")]
    lengths = stops - starts
    number = np.arange(len(rows)) - np.repeat(starts, lengths)
    by_row = np.zeros(int(rows.max()) + 1, np.int64)
    by_row[arrival] = number
    return by_row[order], lengths


def _entity(kernel: Kernel, roles: list[Coded], row: int) -> dict[str, str]:
    told = zip(kernel.entity, (coded.at(row) for coded in roles), strict=True)
    return {role: key for role, key in told if key is not None}


def _first_kept(kernel: Kernel, at: Ints) -> int:
    layout = kernel.plan.layout
    old = int(np.searchsorted(at, at[-1] - layout.kept_us, side="left"))
    return max(old, len(at) - layout.max_events)


class _Columns:
    """The events of all entities, sorted, as `Ring.dump` packs them."""

    def __init__(
        self, kernel: Kernel, history: History, order: Ints, ids: np.ndarray, seq: Ints
    ) -> None:
        layout = kernel.plan.layout
        self.at = np.ascontiguousarray(history.at[order], dtype="<i8")
        self.seq = np.ascontiguousarray(seq, dtype="<i8")
        self.ids = ids[order]
        self.numbers = [_whole(history, name)[order] for name in layout.numbers]
        self.texts = [_texts(history.text(name))[order] for name in layout.texts]

    def packed(self, first: int, stop: int, total: int, labels: list[bytes]) -> bytes:
        """Return one entity's state."""
        part = slice(first, stop)
        return _encode(
            [
                total,
                [self.at[part].tobytes(), self.seq[part].tobytes(), *labels],
                self.ids[part].tolist(),
                [values[part].tobytes() for values in self.numbers],
                [values[part].tolist() for values in self.texts],
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
            np.ascontiguousarray(values, dtype="<i8")
            for values in (
                history.at[order][at],
                seq[at],
                told.known_at[which],
                (told.values[which] > 0).astype(np.int64),
            )
        ]
        self.ends = np.searchsorted(at, np.append(starts[1:], len(order)))

    def packed(self, segment: int, first: int) -> list[bytes]:
        """Return the labels of one entity's events from a place on."""
        if self._none:
            return [b"", b"", b"", b""]
        part = slice(int(np.searchsorted(self.places, first)), int(self.ends[segment]))
        return [values[part].tobytes() for values in self.columns]


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
