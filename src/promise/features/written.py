"""The reads of one kind of entity, written out as one Python function.

`readers.py` defines each feature as a function of its own; calling thirty of them for every event
costs more than what they compute. Here the same definitions become the lines of one function, in
which every window is looked up once and every number stands in a local variable. Both give the
same bits (`tests/features/test_written.py`).

Of a declaration only numbers, checked when it was read, and quoted names come into the lines: a
version's folder cannot make them run anything else.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from math import nan
from typing import Any

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
)
from promise.features.event import AMOUNT, Event
from promise.features.readers import Spans, span_of
from promise.features.ring import MISSING, SCALE, Layout, Ring
from promise.features.stateless import hour_of, is_night, signed_log, weekday_of

Read = Callable[[Ring, Event], list[float]]

_USED: dict[str, Any] = {
    "bisect_left": bisect_left, "bisect_right": bisect_right, "nan": nan, "hour_of": hour_of,
    "is_night": is_night, "signed_log": signed_log, "weekday_of": weekday_of, "MISSING": MISSING,
}  # fmt: skip


def written(
    plain: Sequence[Plain],
    outputs: Sequence[tuple[int, int | None]],
    layout: Layout,
    spans: Spans,
    slow: Read,
) -> Read:
    """Return the function that reads all features of an entity at an event.

    Parameters
    ----------
    plain, outputs, layout, spans
        As `kernel.Plan` holds them.
    slow
        Reads where labels became known out of the order of their events, which is rare.
    """
    own: dict[str, Any] = {f"f{i}": f for i, f in enumerate(plain) if isinstance(f, IsNight)}
    lines = [
        "def read(ring, event):",
        *(f"    {line}" for line in _windows(layout, spans)),
        *(f"    {line}" for line in _label_windows(spans)),
        *(f"    {line}" for line in _columns(plain, layout)),
        *(f"    {line}" for i, f in enumerate(plain) for line in _lines(i, f, layout, spans)),
        f"    return [{', '.join(map(_output, outputs))}]",
    ]
    names = _USED | own | {"slow": slow}
    exec(compile("\n".join(lines), "<reads of an entity>", "exec"), names)
    read: Read = names["read"]
    return read


def _windows(layout: Layout, spans: Spans) -> Iterator[str]:
    """Yield where each window over all events begins and ends: l0, h0, l1, h1, …"""
    yield "at, times = event.at, ring.at"
    yield "n = len(times)"
    yield f"base = n - {layout.max_events} if n > {layout.max_events} else 0"
    yield "if n and at < times[-1]:"
    yield f"    base = max(base, bisect_left(times, times[-1] - {layout.kept_us}))"
    ends = list(dict.fromkeys(end for _, end in spans.events))
    for place, end in enumerate(ends):
        yield from _at_least(f"e{place}", f"bisect_left(times, at - {end})", "base")
    for w, (start, end) in enumerate(spans.events):
        stop = f"e{ends.index(end)}"
        yield f"h{w} = {stop}"
        yield from _at_least(f"l{w}", f"bisect_left(times, at - {start}, 0, {stop})", "base")


def _label_windows(spans: Spans) -> Iterator[str]:
    """Yield which labels each window sees, as a stretch of places: a0, b0, a1, b1, …"""
    if not spans.labels:
        return
    yield "if not ring.known_in_order:"
    yield "    return slow(ring, event)"
    yield "keys = ring.keys"
    yield "known = bisect_right(ring.known, at)"
    yield "first = bisect_left(keys, (times[base], ring.seq[base])) if base else 0"
    for w, (start, end) in enumerate(spans.labels):
        yield from _at_least(f"a{w}", f"bisect_left(keys, (at - {start},))", "first")
        yield from _at_least(f"b{w}", f"min(bisect_left(keys, (at - {end},)), known)", f"a{w}")


def _at_least(name: str, value: str, least: str) -> tuple[str, ...]:
    # a comparison costs a third of a call of `max`
    return f"{name} = {value}", f"if {name} < {least}: {name} = {least}"


def _columns(plain: Sequence[Plain], layout: Layout) -> Iterator[str]:
    """Yield the columns of the ring that several features read."""
    for slot, name in enumerate(layout.numbers):
        if any(isinstance(f, Sum | Mean) and f.field == name for f in plain):
            yield f"s{slot} = ring.sums[{slot}]"
        if any(isinstance(f, Mean | Rate) and f.field == name for f in plain):
            yield f"p{slot} = ring.present[{slot}]"
    if any(isinstance(f, Rate) and f.field == LABEL for f in plain):
        yield "positives = ring.positives"


def _output(places: tuple[int, int | None]) -> str:
    top, bottom = places
    # a missing part is NaN, which the division hands on
    return f"v{top}" if bottom is None else f"v{top} / v{bottom} if v{bottom} else nan"


def _lines(i: int, feature: Plain, layout: Layout, spans: Spans) -> Iterator[str]:
    """Yield the lines that give `v{i}` its value."""
    match feature:
        case Value() | Log() | Hour() | Weekday() | IsNight():
            yield from _of_event(i, feature)
        case NeighbourRate() | PositiveStreak() | Rate(field="label"):
            yield from _of_labels(i, feature, layout, spans)
        case Rate(field=field):
            w, slot = spans.events.index(span_of(feature)), layout.numbers.index(field)
            yield f"shares = ring.shares[{layout.shares.index(slot)}]"
            yield f"k = p{slot}[h{w}] - p{slot}[l{w}]"
            yield f"v{i} = {_smooth(feature, f'shares[h{w}] - shares[l{w}]')}"
        case _:
            yield from _of_window(i, feature, layout, spans.events.index(span_of(feature)))


def _of_event(i: int, feature: Value | Log | Hour | Weekday | IsNight) -> Iterator[str]:
    if isinstance(feature, Value | Log):
        told = "event.amount" if feature.field == AMOUNT else f"event.number({feature.field!r})"
        value = "x" if isinstance(feature, Value) else "signed_log(x)"
        yield f"x = {told}"
        yield f"v{i} = nan if x is None else {value}"
        return
    hour = f"hour_of(at, {feature.offset_hours})"
    match feature:
        case Hour():
            yield f"v{i} = float({hour})"
        case Weekday():
            yield f"v{i} = float(weekday_of(at, {feature.offset_hours}))"
        case IsNight():
            yield f"v{i} = float(is_night({hour}, f{i}))"


def _of_window(i: int, feature: Plain, layout: Layout, w: int) -> Iterator[str]:
    lo, hi = f"l{w}", f"h{w}"
    match feature:
        case Count():
            yield f"v{i} = float({hi} - {lo})"
        case Sum(field=field):
            s = f"s{layout.numbers.index(field)}"
            yield f"v{i} = ({s}[{hi}] - {s}[{lo}]) / {SCALE}"
        case Mean(field=field):
            slot = layout.numbers.index(field)
            yield f"k = p{slot}[{hi}] - p{slot}[{lo}]"
            yield f"v{i} = (s{slot}[{hi}] - s{slot}[{lo}]) / {SCALE} / k if k else nan"
        case Max(field=field, cap=cap):
            numbers = f"ring.numbers[{layout.numbers.index(field)}]"
            yield f"x = max({numbers}[max({lo}, {hi} - {cap}) : {hi}], default=MISSING)"
            yield f"v{i} = nan if x == MISSING else x / {SCALE}"
        case Distinct(field=field, cap=cap):
            texts = f"ring.texts[{layout.texts.index(field)}]"
            yield f"s = set({texts}[max({lo}, {hi} - {cap}) : {hi}])"
            yield f"v{i} = float(len(s) - (None in s))"
        case Recency():
            yield f"v{i} = (at - times[{hi} - 1]) / 1e6 if {hi} > {lo} else nan"
        case Last(field=field):
            numbers = f"ring.numbers[{layout.numbers.index(field)}]"
            yield f"x = {numbers}[{hi} - 1] if {hi} > {lo} else MISSING"
            yield f"v{i} = nan if x == MISSING else x / {SCALE}"
        case Streak(field=field):
            runs = f"ring.runs[{layout.streaks.index((feature, layout.numbers.index(field)))}]"
            yield f"v{i} = float(min({runs}[{hi} - 1], {hi} - {lo})) if {hi} > {lo} else 0.0"
        case _:
            raise TypeError(f"no lines for {feature!r}")


def _of_labels(i: int, feature: Rate | OfLabels, layout: Layout, spans: Spans) -> Iterator[str]:
    w = spans.labels.index(span_of(feature))
    if isinstance(feature, PositiveStreak):
        yield f"p = b{w}"
        yield f"while p > a{w} and ring.positive[p - 1]: p -= 1"
        yield f"v{i} = float(b{w} - p)"
        return
    if isinstance(feature, NeighbourRate):
        fan = layout.fans.index(layout.texts.index(feature.field))
        yield f"fan, start = ring.fans[{fan}], max(a{w}, b{w} - {feature.cap})"
        yield f"met = set(fan[start : b{w}])"
        yield f"fell = {{fan[p] for p in range(start, b{w}) if ring.positive[p]}}"
        yield "k = len(met) - (None in met)"
        yield f"v{i} = {_smooth(feature, 'len(fell) - (None in fell)')}"
        return
    if feature.field == LABEL and feature.unlabelled == "negative":
        events = spans.events.index(span_of(feature))
        yield f"k = h{events} - l{events}"
    else:
        yield f"k = b{w} - a{w}"
    yield f"v{i} = {_smooth(feature, f'positives[b{w}] - positives[a{w}]')}"


def _smooth(feature: Rate | NeighbourRate, positives: str) -> str:
    """Return the smoothed share of positives among `k` that are known."""
    added = feature.prior * feature.smoothing
    share = f"({positives} + {added!r}) / (k + {feature.smoothing!r})"
    return share if feature.smoothing else f"{share} if k else nan"
