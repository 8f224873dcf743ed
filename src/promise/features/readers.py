"""Each declared feature as a function of one entity's ring: the definition that serving runs."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from math import nan

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
    OfLabels,
    Plain,
    PositiveStreak,
    Rate,
    Recency,
    Streak,
    Sum,
    Value,
    Weekday,
    delay_us,
    needs_labels,
    reach_us,
)
from promise.features.event import Event
from promise.features.ring import MISSING, SCALE, Layout, Ring
from promise.features.stateless import hour_of, is_night, signed_log, weekday_of

Span = tuple[int, int]
"""A window [t − first, t − second) by its two distances from t, in microseconds."""

Picked = Sequence[int]
"""Places of the labels that a window sees: a range while they became known in event order."""


class Frame:
    """One read: the event, and where each window begins and ends in the ring."""

    __slots__ = ("at", "event", "hi", "labels", "lo")

    def __init__(self, event: Event, lo: list[int], hi: list[int], labels: list[Picked]) -> None:
        self.event = event
        self.at = event.at
        self.lo = lo
        self.hi = hi
        self.labels = labels


Reader = Callable[[Ring, Frame], float]


@dataclass(frozen=True)
class Spans:
    """The windows that some features share: each is looked up once in a read.

    Parameters
    ----------
    events, labels
        Windows over all events, and over those with a known label.
    """

    events: tuple[Span, ...]
    labels: tuple[Span, ...]

    @classmethod
    def of(cls, features: Sequence[Plain]) -> Spans:
        """Collect the windows of the features."""
        counting = [f for f in features if counts_events(f)]
        waiting = [f for f in features if needs_labels(f)]
        return cls(
            tuple(dict.fromkeys(span_of(f) for f in counting)),
            tuple(dict.fromkeys(span_of(f) for f in waiting)),
        )

    def frame(self, ring: Ring, event: Event) -> Frame:
        """Find each window of this event in the ring."""
        at, times = event.at, ring.at
        base = ring.base(at) if times else 0
        stop, last_end = len(times), -1
        lo, hi = [], []
        for start, end in self.events:
            if end != last_end:
                stop, last_end = bisect_left(times, at - end), end
                stop = stop if stop > base else base
            hi.append(stop)
            first = bisect_left(times, at - start, 0, stop)
            lo.append(first if first > base else base)
        labels = [_picked(ring, at, base, span) for span in self.labels]
        return Frame(event, lo, hi, labels)


def span_of(feature: Plain) -> Span:
    """Return the feature's window."""
    return (reach_us(feature), delay_us(feature))


def counts_events(feature: Plain) -> bool:
    """Whether the feature reads a window over all events."""
    if isinstance(feature, Rate):
        return feature.field != LABEL or feature.unlabelled == "negative"
    return reach_us(feature) > 0 and not isinstance(feature, OfLabels)


def _picked(ring: Ring, at: int, base: int, span: Span) -> Picked:
    keys = ring.keys
    first = bisect_left(keys, (at - span[0],))
    if base:
        first = max(first, bisect_left(keys, (ring.at[base], ring.seq[base])))
    stop = max(bisect_left(keys, (at - span[1],)), first)
    if ring.known_in_order:
        return range(first, max(min(stop, bisect_right(ring.known, at)), first))
    places = [place for place in range(first, stop) if ring.known[place] <= at]
    return range(first, stop) if len(places) == stop - first else places


def reader(feature: Plain, layout: Layout, spans: Spans) -> Reader:
    """Return the function that reads one feature."""
    match feature:
        case Value() | Log() | Hour() | Weekday() | IsNight():
            return _of_event(feature)
        case NeighbourRate():
            return _neighbour_rate(feature, layout, spans)
        case Rate(field="label"):
            return _label_rate(feature, spans)
        case PositiveStreak():
            return _positive_streak(spans.labels.index(span_of(feature)))
        case _:
            return _of_window(feature, layout, spans.events.index(span_of(feature)))


def _of_event(feature: Value | Log | Hour | Weekday | IsNight) -> Reader:
    match feature:
        case Value(field=field):
            return lambda _, frame: _or_nan(frame.event.number(field))
        case Log(field=field):
            return lambda _, frame: _log(frame.event.number(field))
        case Hour(offset_hours=offset):
            return lambda _, frame: float(hour_of(frame.at, offset))
        case Weekday(offset_hours=offset):
            return lambda _, frame: float(weekday_of(frame.at, offset))
        case IsNight(offset_hours=offset):
            return lambda _, frame: float(is_night(hour_of(frame.at, offset), feature))


def _of_window(feature: Plain, layout: Layout, w: int) -> Reader:
    match feature:
        case Count():
            return lambda _, frame: float(frame.hi[w] - frame.lo[w])
        case Sum(field=field):
            return _sum(layout.numbers.index(field), w)
        case Mean(field=field):
            return _mean(layout.numbers.index(field), w)
        case Max(field=field, cap=cap):
            return _max(layout.numbers.index(field), w, cap)
        case Distinct(field=field, cap=cap):
            return _distinct(layout.texts.index(field), w, cap)
        case Recency():
            return lambda ring, frame: (
                (frame.at - ring.at[frame.hi[w] - 1]) / 1e6 if frame.hi[w] > frame.lo[w] else nan
            )
        case Last(field=field):
            return _last(layout.numbers.index(field), w)
        case Streak(field=field):
            place = layout.streaks.index((feature, layout.numbers.index(field)))
            return _streak(place, w)
        case Rate(field=field):
            return _share(feature, layout, w)
        case _:
            raise TypeError(f"no reader for {feature!r}")


def _sum(slot: int, w: int) -> Reader:
    def read(ring: Ring, frame: Frame) -> float:
        sums = ring.sums[slot]
        return float(sums[frame.hi[w]] - sums[frame.lo[w]]) / SCALE

    return read


def _mean(slot: int, w: int) -> Reader:
    def read(ring: Ring, frame: Frame) -> float:
        hi, lo = frame.hi[w], frame.lo[w]
        present = ring.present[slot][hi] - ring.present[slot][lo]
        if not present:
            return nan
        return float(ring.sums[slot][hi] - ring.sums[slot][lo]) / SCALE / present

    return read


def _max(slot: int, w: int, cap: int) -> Reader:
    def read(ring: Ring, frame: Frame) -> float:
        hi = frame.hi[w]
        # what is missing is below every number
        most = max(ring.numbers[slot][max(frame.lo[w], hi - cap) : hi], default=MISSING)
        return nan if most == MISSING else most / SCALE

    return read


def _distinct(slot: int, w: int, cap: int) -> Reader:
    def read(ring: Ring, frame: Frame) -> float:
        hi = frame.hi[w]
        seen = set(ring.texts[slot][max(frame.lo[w], hi - cap) : hi])
        return float(len(seen) - (None in seen))

    return read


def _last(slot: int, w: int) -> Reader:
    def read(ring: Ring, frame: Frame) -> float:
        hi = frame.hi[w]
        if hi <= frame.lo[w] or (value := ring.numbers[slot][hi - 1]) == MISSING:
            return nan
        return float(value) / SCALE

    return read


def _streak(place: int, w: int) -> Reader:
    def read(ring: Ring, frame: Frame) -> float:
        hi, lo = frame.hi[w], frame.lo[w]
        return float(min(ring.runs[place][hi - 1], hi - lo)) if hi > lo else 0.0

    return read


def _share(feature: Rate, layout: Layout, w: int) -> Reader:
    slot = layout.numbers.index(feature.field)
    share = layout.shares.index(slot)

    def read(ring: Ring, frame: Frame) -> float:
        hi, lo = frame.hi[w], frame.lo[w]
        known = ring.present[slot][hi] - ring.present[slot][lo]
        return _smooth(feature, ring.shares[share][hi] - ring.shares[share][lo], known)

    return read


def _label_rate(feature: Rate, spans: Spans) -> Reader:
    w = spans.labels.index(span_of(feature))
    events = None
    if feature.unlabelled == "negative":
        events = spans.events.index(span_of(feature))

    def read(ring: Ring, frame: Frame) -> float:
        picked = frame.labels[w]
        if type(picked) is range:
            positives = ring.positives[picked.stop] - ring.positives[picked.start]
        else:
            positives = sum(ring.positive[place] for place in picked)
        known = len(picked) if events is None else frame.hi[events] - frame.lo[events]
        return _smooth(feature, positives, known)

    return read


def _neighbour_rate(feature: NeighbourRate, layout: Layout, spans: Spans) -> Reader:
    w = spans.labels.index(span_of(feature))
    fan = layout.fans.index(layout.texts.index(feature.field))

    def read(ring: Ring, frame: Frame) -> float:
        picked = frame.labels[w][-feature.cap :]
        counterparts, positive = ring.fans[fan], ring.positive
        known = {counterparts[place] for place in picked}
        fell = {counterparts[place] for place in picked if positive[place]}
        return _smooth(feature, len(fell) - (None in fell), len(known) - (None in known))

    return read


def _positive_streak(w: int) -> Reader:
    def read(ring: Ring, frame: Frame) -> float:
        run = takewhile(ring.positive.__getitem__, reversed(frame.labels[w]))
        return float(sum(1 for _ in run))

    return read


def _smooth(feature: Rate | NeighbourRate, positives: int, known: int) -> float:
    weight = known + feature.smoothing
    return (positives + feature.prior * feature.smoothing) / weight if weight else nan


def _or_nan(value: float | None) -> float:
    return nan if value is None else value


def _log(value: float | None) -> float:
    return nan if value is None else signed_log(value)
