"""The grounds of a plot: scales, ticks and the frame with its labels."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from promise.discovery.report.markup import Html, element, join
from promise.discovery.report.wording import compact

WIDTH, HEIGHT = 360, 264
LEFT, RIGHT, TOP, BOTTOM = 50, 346, 12, 222


@dataclass(frozen=True)
class Scale:
    """A map from values to the width or height of a plot; values beyond stay at its ends."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """Return where a value lies.

        Examples
        --------
        >>> Scale(0, 10, 0, 100).at(2.5), Scale(1, 100, 0, 100, log=True).at(10)
        (25.0, 50.0)
        """
        low, high = self.low, self.high
        if self.log:
            low, high, value = math.log(low), math.log(high), math.log(max(value, self.low))
        part = (value - low) / (high - low) if high > low else 0.5
        return round(self.start + min(1.0, max(0.0, part)) * (self.end - self.start), 2)


def spanning(values: Iterable[float], start: float, end: float, pad: float = 0.06) -> Scale:
    """Return a scale that holds all values with some room; any room where all are equal."""
    held = [v for v in values if math.isfinite(v)] or [0.0, 1.0]
    low, high = min(held), max(held)
    room = (high - low) * pad or abs(high) * 0.05 or 0.5
    return Scale(low - room, high + room, start, end)


def across(values: Iterable[float], pad: float = 0.04) -> Scale:
    """Return a horizontal scale over the plot's width."""
    return spanning(values, LEFT, RIGHT, pad)


def upward(values: Iterable[float], pad: float = 0.06) -> Scale:
    """Return a vertical scale over the plot's height; larger values lie higher."""
    return spanning(values, BOTTOM, TOP, pad)


def ticks(scale: Scale, n: int = 5) -> list[float]:
    """Return about `n` round values within a scale; powers on a logarithmic one.

    Examples
    --------
    >>> ticks(Scale(0.03, 1.02, 0, 1))
    [0.2, 0.4, 0.6, 0.8, 1.0]
    >>> ticks(Scale(90, 12_000, 0, 1, log=True))
    [100.0, 1000.0, 10000.0]
    """
    if scale.log:
        return log_ticks(scale, n)
    width = (scale.high - scale.low) / max(1, n)
    if not width > 0:
        return [scale.low]
    power = 10.0 ** math.floor(math.log10(width))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= width * 0.999)
    first = math.ceil(scale.low / step - 1e-9)
    last = math.floor(scale.high / step + 1e-9)
    return [float(f"{k * step:.12g}") for k in range(first, min(last, first + 20) + 1)]


def log_ticks(scale: Scale, n: int = 5) -> list[float]:
    """Return 1, 2, 5 times powers of ten within a scale, thinned to about `n`."""
    powers = range(math.floor(math.log10(scale.low)), math.ceil(math.log10(scale.high)) + 1)
    for multiples in ((1,), (1, 3), (1, 2, 5)):
        found = [m * 10.0**p for p in powers for m in multiples]
        found = [v for v in found if scale.low <= v <= scale.high]
        if len(found) >= 3:
            break
    every = max(1, math.ceil(len(found) / (n + 1)))
    return found[::every]


def frame(
    x: Scale,
    y: Scale,
    x_label: str,
    y_label: str,
    *,
    x_ticks: Sequence[float] | None = None,
    y_ticks: Sequence[float] | None = None,
) -> Html:
    """Return grid lines, ticks and labels; the vertical label stands above, to be read level."""
    parts: list[Html] = []
    for value, words in labelled(ticks(y, 5) if y_ticks is None else y_ticks):
        at = y.at(value)
        parts.append(element("line", x1=LEFT, x2=RIGHT, y1=at, y2=at, class_="gridline"))
        parts.append(text(LEFT - 6, at + 4, words, anchor="end"))
    for value, words in labelled(ticks(x, 4) if x_ticks is None else x_ticks):
        at = x.at(value)
        parts.append(element("line", x1=at, x2=at, y1=BOTTOM, y2=BOTTOM + 4, class_="axis"))
        parts.append(text(at, BOTTOM + 17, words, anchor="middle"))
    parts.append(element("line", x1=LEFT, x2=RIGHT, y1=BOTTOM, y2=BOTTOM, class_="axis"))
    parts.append(text((LEFT + RIGHT) / 2, HEIGHT - 6, x_label, anchor="middle", class_="label"))
    parts.append(text(2, 0, y_label, class_="label"))
    return join(parts)


def labelled(values: Sequence[float]) -> list[tuple[float, str]]:
    """Return ticks with labels of the same unit and decimals.

    Examples
    --------
    >>> [words for _, words in labelled([0.0, 0.5, 0.75])]
    ['0.00', '0.50', '0.75']
    >>> [words for _, words in labelled([1000.0, 20_000.0])]
    ['1k', '20k']
    """
    largest = max((abs(v) for v in values), default=0.0)
    if largest >= 1e12 or 0 < largest < 1e-4:
        return [(v, compact(v)) for v in values]
    units = ((1e9, 1e9, "B"), (1e6, 1e6, "M"), (1e4, 1e3, "k"))
    scale, unit = next(((s, u) for bound, s, u in units if largest >= bound), (1.0, ""))
    if unit and min((abs(v) for v in values if v), default=scale) < scale / 10:
        return [(v, compact(v)) for v in values]  # a logarithmic axis spans units
    short = [f"{v / scale:.6g}" for v in values]
    decimals = max((len(s.partition(".")[2]) for s in short if "e" not in s), default=0)
    return [(v, f"{v / scale:.{decimals}f}{unit if v else ''}") for v in values]


def text(x: float, y: float, words: str, *, anchor: str = "start", class_: str = "tick") -> Html:
    """Return words at a place."""
    return element("text", words, x=round(x, 2), y=round(y, 2), text_anchor=anchor, class_=class_)


def line(points: Iterable[tuple[float, float]], class_: str) -> Html:
    """Return a line through points."""
    return element("polyline", points=joined(points), class_=class_)


def area(points: Iterable[tuple[float, float]], class_: str) -> Html:
    """Return a filled outline."""
    return element("polygon", points=joined(points), class_=class_)


def dot(x: float, y: float, class_: str, radius: float = 3.5, title: str | None = None) -> Html:
    """Return a point, told by its title when it is pointed at."""
    said = [] if title is None else [element("title", title)]
    return element("circle", *said, cx=round(x, 2), cy=round(y, 2), r=radius, class_=class_)


def whisker(x: float, low: float, high: float, class_: str = "whisker") -> Html:
    """Return an upright interval."""
    return element("line", x1=round(x, 2), x2=round(x, 2), y1=low, y2=high, class_=class_)


def joined(points: Iterable[tuple[float, float]]) -> str:
    """Return points as SVG writes them."""
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def plot(description: str, *parts: Html) -> Html:
    """Return the drawing, which a screen reader tells by its description."""
    return element(
        "svg",
        *parts,
        viewBox=f"0 -14 {WIDTH} {HEIGHT + 14}",
        role="img",
        aria_label=description,
        class_="plot",
    )
