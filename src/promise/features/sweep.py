"""Each declared feature over sorted columns: the twin of `readers.py` for whole histories."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from promise.features.declare import (
    LABEL,
    Count,
    Distinct,
    Hour,
    IsNight,
    Last,
    Log,
    Max,
    Mean,
    NeighbourRate,
    Plain,
    PositiveStreak,
    Rate,
    Recency,
    Streak,
    Sum,
    Value,
    Weekday,
)
from promise.features.grouped import (
    Groups,
    Ints,
    Slices,
    distinct,
    largest,
    previous,
    running,
)
from promise.features.history import History
from promise.features.known import Known
from promise.features.readers import Span, span_of
from promise.features.ring import MISSING, SCALE
from promise.features.stateless import signed_log
from promise.features.windows import DAY_US, HOUR_US

Column = NDArray[np.float64]


class Sweep:
    """One kernel's features over all events of the entities that came in order.

    Parameters
    ----------
    groups
        Events sorted by entity and arrival, each entity's in time order.
    known
        Their labels.
    most
        Bound of an entity's memory: windows see the newest so many events.
    """

    def __init__(self, history: History, groups: Groups, known: Known, most: int) -> None:
        self._history = history
        self._groups = groups
        self._known = known
        self._most = most
        self._at: Ints = history.at[groups.rows]
        self._cache: dict[tuple[str, str], NDArray[np.int64]] = {}
        self._windows: dict[Span, Slices] = {}
        self._label_windows: dict[Span, Slices] = {}

    def column(self, feature: Plain) -> Column:
        """Return one feature, float64 (n,), in sorted order."""
        match feature:
            case Value(field=field):
                return self._numbers(field)
            case Log(field=field):
                return _logs(self._numbers(field))
            case Hour(offset_hours=offset):
                return ((self._at // HOUR_US + offset) % 24).astype(np.float64)
            case Weekday(offset_hours=offset):
                days = (self._at + offset * HOUR_US) // DAY_US
                return ((days + 3) % 7).astype(np.float64)
            case IsNight():
                return self._night(feature)
            case NeighbourRate():
                return self._neighbour_rate(feature)
            case Rate(field="label"):
                return self._label_rate(feature)
            case PositiveStreak():
                return self._positive_streak(self._label_window(span_of(feature)))
            case _:
                return self._of_window(feature, self._window(span_of(feature)))

    def _of_window(self, feature: Plain, window: Slices) -> Column:
        lo, hi = window
        match feature:
            case Count():
                return (hi - lo).astype(np.float64)
            case Sum(field=field):
                return self._within(self._sums(field), window).astype(np.float64) / SCALE
            case Mean(field=field):
                present = self._within(self._present(field), window)
                total = self._within(self._sums(field), window).astype(np.float64) / SCALE
                return _over(total, present.astype(np.float64))
            case Max(field=field, cap=cap):
                most = largest(self._whole(field), (np.maximum(lo, hi - cap), hi), MISSING)
                return np.where(most == MISSING, np.nan, most / SCALE)
            case Distinct(field=field, cap=cap):
                codes, before = self._codes(field)
                slices = (np.maximum(lo, hi - cap), hi)
                return distinct(slices, before, codes >= 0).astype(np.float64)
            case Recency():
                newest = self._at[np.maximum(hi - 1, 0)]
                return np.where(hi > lo, (self._at - newest) / 1e6, np.nan)
            case Last(field=field):
                value = self._whole(field)[np.maximum(hi - 1, 0)]
                return np.where((hi > lo) & (value != MISSING), value / SCALE, np.nan)
            case Streak():
                run = self._runs(feature)[np.maximum(hi - 1, 0)]
                return np.where(hi > lo, np.minimum(run, hi - lo), 0).astype(np.float64)
            case Rate(field=field):
                known = self._within(self._present(field), window)
                return _smooth(feature, self._within(self._shares(field), window), known)
            case _:
                raise TypeError(f"no column for {feature!r}")

    def _night(self, feature: IsNight) -> Column:
        hours = (self._at // HOUR_US + feature.offset_hours) % 24
        after, before = hours >= feature.start, hours < feature.end
        within = after & before if feature.start <= feature.end else after | before
        return within.astype(np.float64)

    def _label_rate(self, feature: Rate) -> Column:
        window = self._label_window(span_of(feature))
        counts = self._cached("label", LABEL, lambda: running(self._known.positive))
        known = window[1] - window[0]
        if feature.unlabelled == "negative":
            lo, hi = self._window(span_of(feature))
            known = hi - lo
        return _smooth(feature, self._within(counts, window), known)

    def _neighbour_rate(self, feature: NeighbourRate) -> Column:
        lo, hi = self._label_window(span_of(feature))
        slices = (np.maximum(lo, hi - feature.cap), hi)
        events, positive = self._known.events, self._known.positive
        codes, _ = self._codes(feature.field)
        labelled, segment = codes[events], self._groups.segment[events]
        known = distinct(slices, previous(segment, labelled), labelled >= 0)
        fell = np.flatnonzero(positive)
        last = previous(segment[fell], labelled[fell])
        before = np.full(len(events), -1, np.int64)
        before[fell] = np.where(last >= 0, fell[last], -1) if len(fell) else last
        return _smooth(feature, distinct(slices, before, positive & (labelled >= 0)), known)

    def _positive_streak(self, window: Slices) -> Column:
        lo, hi = window
        negative = np.flatnonzero(~self._known.positive)
        places = np.concatenate([[-1], negative])  # of the last negative before each end
        broken = places[np.searchsorted(negative, hi)]
        run: Column = (hi - np.maximum(broken + 1, lo)).astype(np.float64)
        return run

    def _window(self, span: Span) -> Slices:
        """Return where each event's window begins and ends among the sorted events."""
        if span not in self._windows:
            lo, hi = self._edge(span[0]), self._edge(span[1])
            base = self._groups.base(self._most)
            if base is not None:
                hi = np.maximum(hi, np.maximum(base, self._groups.starts))
                lo = np.minimum(np.maximum(lo, base), hi)
            self._windows[span] = (lo, hi)
        return self._windows[span]

    def _edge(self, distance_us: int) -> Ints:
        return self._cached("edge", str(distance_us), lambda: self._groups.edge(distance_us))

    def _label_window(self, span: Span) -> Slices:
        """Return where each event's window begins and ends among the sorted labels it sees."""
        if span not in self._label_windows:
            groups, before = self._groups, self._labels_before()
            lo, hi = before[self._edge(span[0])], before[self._edge(span[1])]
            base = groups.base(self._most)
            if base is not None:
                lo = np.maximum(lo, before[np.maximum(base, 0)])
            hi = np.maximum(np.minimum(hi, self._labels_seen()), lo)
            self._label_windows[span] = (lo, hi)
        return self._label_windows[span]

    def _labels_before(self) -> Ints:
        """Return for each sorted place how many labels are of events before it."""
        n = len(self._groups.rows)

        def make() -> Ints:
            return running(np.bincount(self._known.events, minlength=n))

        return self._cached("labels", "before", make)

    def _labels_seen(self) -> Ints:
        """Return for each sorted event how many labels, all entities before included, it sees."""
        n = len(self._groups.rows)

        def make() -> Ints:
            return running(np.bincount(self._known.seen, minlength=n))[1 : n + 1]

        return self._cached("labels", "seen", make)

    def _cached(self, kind: str, name: str, make: Callable[[], Ints]) -> Ints:
        if (kind, name) not in self._cache:
            self._cache[kind, name] = make()
        return self._cache[kind, name]

    def _numbers(self, field: str) -> Column:
        return self._history.number(field)[self._groups.rows]

    def _whole(self, field: str) -> Ints:
        """Return a number in whole steps, `MISSING` where there is none."""
        return self._cached("whole", field, lambda: _whole(self._numbers(field)))

    def _sums(self, field: str) -> Ints:
        def make() -> Ints:
            values = self._whole(field)
            return running(np.where(values == MISSING, 0, values))

        return self._cached("sums", field, make)

    def _present(self, field: str) -> Ints:
        return self._cached("present", field, lambda: running(self._whole(field) != MISSING))

    def _shares(self, field: str) -> Ints:
        return self._cached("shares", field, lambda: running(self._whole(field) > 0))

    def _runs(self, streak: Streak) -> Ints:
        """Return how many events up to each fulfil the condition without a break."""
        whole = self._whole(streak.field)
        value, kept = whole / SCALE, whole != MISSING
        if streak.above is not None:
            kept &= value > streak.above
        if streak.below is not None:
            kept &= value < streak.below
        broken = np.where(kept, self._groups.starts - 1, self._groups.places)
        return self._groups.places - np.maximum.accumulate(broken)

    def _codes(self, field: str) -> tuple[Ints, Ints]:
        """Return a text's codes, and for each place the last one before with the same."""
        codes = self._cached(
            "codes", field, lambda: self._history.text(field).codes[self._groups.rows]
        )
        segment = self._groups.segment
        return codes, self._cached("previous", field, lambda: previous(segment, codes))

    @staticmethod
    def _within(sums: Ints, window: Slices) -> Ints:
        # differences stay right even where the running sum of the whole history wraps around
        return sums[window[1]] - sums[window[0]]


def _whole(values: Column) -> Ints:
    missing = np.isnan(values)
    return np.where(missing, MISSING, np.rint(np.where(missing, 0.0, values) * SCALE)).astype(
        np.int64
    )


def _logs(values: Column) -> Column:
    # NumPy's vector logarithm may differ from the scalar one in the last bit: use the scalar one
    unique, codes = np.unique(values, return_inverse=True)
    logs: Column = np.fromiter(map(signed_log, unique.tolist()), np.float64, len(unique))
    return logs[codes]


def _over(top: Column, bottom: Column) -> Column:
    """Divide, missing where the lower part is 0."""
    out = np.full(len(top), np.nan)
    np.divide(top, bottom, out=out, where=bottom != 0)
    return out


def _smooth(feature: Rate | NeighbourRate, positives: Ints, known: Ints) -> Column:
    top: Column = positives.astype(np.float64) + feature.prior * feature.smoothing
    return _over(top, known.astype(np.float64) + feature.smoothing)
