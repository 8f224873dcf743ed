"""The plots of the report: hand-written SVG that needs no script and follows light and dark."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from promise.discovery.report import axes
from promise.discovery.report.axes import BOTTOM, LEFT, RIGHT, TOP, Scale
from promise.discovery.report.markup import Html, Part, clip, element, join
from promise.discovery.report.wording import compact, count, finite, items, score, share, span

MAX_POINTS = 300
"""A line is drawn through at most so many points."""


def figure(title: str, drawing: Html, caption: Part = None, numbers: Html | None = None) -> Html:
    """Return a plot under its title, with what it says in words below it."""
    said = None if caption is None else element("div", caption, class_="caption")
    head = element("figcaption", title)
    return element("figure", head, drawing, said, numbers)


def key(*entries: tuple[str, str]) -> Html:
    """Return what the marks mean: (class of the mark, words)."""
    marks = [
        element("span", element("i", class_=f"mark {mark}"), words, class_="entry")
        for mark, words in entries
    ]
    return element("p", *marks, class_="key")


def curve_plot(
    points: Sequence[tuple[float, ...]],
    bands: Sequence[tuple[float, ...]],
    metric: str,
) -> Html:
    """Return score over rows: measured points, the fitted line and its interval."""
    rows = [p[0] for p in points] + [b[0] for b in bands]
    low, high = max(1.0, min(rows)), max(1.0, *rows)
    x = Scale(low / 1.15, max(high, low * 1.5) * 1.15, LEFT, RIGHT, log=True)
    y = axes.upward([p[1] for p in points] + [v for b in bands for v in b[1:]])
    parts = [axes.frame(x, y, "training rows", metric)]
    if len(bands) > 1:
        upper = [(x.at(b[0]), y.at(b[3])) for b in bands]
        lower = [(x.at(b[0]), y.at(b[2])) for b in reversed(bands)]
        parts.append(axes.area([*upper, *lower], "band"))
        parts.append(axes.line([(x.at(b[0]), y.at(b[1])) for b in bands], "line"))
    have = max((p[0] for p in points), default=0.0)
    if have and high > have:
        at = x.at(have)
        parts.append(element("line", x1=at, x2=at, y1=TOP, y2=BOTTOM, class_="rule"))
        parts.append(axes.text(at - 5, BOTTOM - 8, "your rows", anchor="end"))
    for n, value in points:
        words = f"{count(n)} rows: {score(value)}"
        parts.append(axes.dot(x.at(n), y.at(value), "point", title=words))
    return axes.plot(f"{metric} by number of training rows", *parts)


def calibration_plot(bins: Sequence[dict[str, Any]], of: str | None) -> Html:
    """Return observed share over claimed probability, beside the diagonal of honesty."""
    x, y = Scale(0, 1, LEFT, RIGHT), Scale(0, 1, BOTTOM, TOP)
    even = [0.0, 0.25, 0.5, 0.75, 1.0]
    parts = [
        axes.frame(x, y, "claimed probability", "observed share", x_ticks=even, y_ticks=even),
        axes.line([(x.at(0), y.at(0)), (x.at(1), y.at(1))], "rule"),
        axes.line([(x.at(b["predicted"]), y.at(b["observed"])) for b in bins], "line"),
    ]
    for b in bins:
        at = x.at(b["predicted"])
        words = (
            f"claimed {share(b['predicted'])}, observed {share(b['observed'])} "
            f"({share(b['low'])} to {share(b['high'])}), {count(b['rows'])} rows"
        )
        parts.append(axes.whisker(at, y.at(b["low"]), y.at(b["high"])))
        parts.append(axes.dot(at, y.at(b["observed"]), "point", title=words))
    what = f"of {clip(of, 40)}" if of is not None else "of the decided class"
    return axes.plot(f"Claimed probability {what} against how often it came", *parts)


def separation_plot(found: dict[str, Any], threshold: float | None) -> Html:
    """Return the probability of the second class for rows of each class, as outlines."""
    edges = [float(e) for e in found["edges"]]
    shares = {}
    for name in ("first", "second"):
        total = sum(found[name]) or 1
        shares[name] = [n / total for n in found[name]]
    x = Scale(0, 1, LEFT, RIGHT)
    y = Scale(0, max(*shares["first"], *shares["second"], 1e-9) * 1.08, BOTTOM, TOP)
    steps = [0.0, 0.25, 0.5, 0.75, 1.0]
    parts = [axes.frame(x, y, "claimed probability", "share of the class' rows", x_ticks=steps)]
    parts += [steps_of(edges, shares[name], x, y, name) for name in ("first", "second")]
    if threshold is not None:
        at = x.at(threshold)
        parts.append(element("line", x1=at, x2=at, y1=TOP, y2=BOTTOM, class_="rule"))
        right = threshold < 0.75
        words = f"threshold {threshold:.2g}"
        shift, anchor = (5, "start") if right else (-5, "end")
        parts.append(axes.text(at + shift, TOP + 10, words, anchor=anchor))
    return axes.plot("How the claimed probability is spread in each class", *parts)


def steps_of(edges: list[float], heights: list[float], x: Scale, y: Scale, class_: str) -> Html:
    """Return the outline of a histogram."""
    outline = [(x.at(edges[0]), y.at(0.0))]
    for (left, right), height in zip(pairwise(edges), heights, strict=True):
        outline += [(x.at(left), y.at(height)), (x.at(right), y.at(height))]
    outline.append((x.at(edges[-1]), y.at(0.0)))
    return axes.area(outline, f"steps {class_}")


def scatter_plot(pairs: Sequence[Sequence[float]], target: str) -> Html:
    """Return predicted over actual; a perfect model's points lie on the diagonal."""
    held = [v for pair in pairs for v in pair]
    x, y = axes.across(held), axes.upward(held, 0.04)
    ends = [(x.at(v), y.at(v)) for v in (x.low, x.high)]
    parts = [axes.frame(x, y, "actual", "predicted"), axes.line(ends, "rule")]
    parts += [axes.dot(x.at(a), y.at(p), "cloud", 2.4) for a, p in pairs]
    return axes.plot(f"Predicted against actual {clip(target, 40)}", *parts)


def residual_plot(found: dict[str, Any]) -> Html:
    """Return how often which error came."""
    edges, counts = [float(e) for e in found["edges"]], [float(c) for c in found["counts"]]
    total = sum(counts) or 1.0
    x = Scale(edges[0], edges[-1], LEFT, RIGHT)
    shares = [c / total for c in counts]
    y = Scale(0, max(*shares, 1e-9) * 1.08, BOTTOM, TOP)
    zero = x.at(0.0)
    parts = [axes.frame(x, y, "predicted minus actual", "share of rows")]
    parts.append(steps_of(edges, shares, x, y, "first"))
    if edges[0] < 0 < edges[-1]:
        parts.append(element("line", x1=zero, x2=zero, y1=TOP, y2=BOTTOM, class_="rule"))
    return axes.plot("How often errors of which size came", *parts)


def decile_plot(rows: Sequence[dict[str, Any]]) -> Html:
    """Return the error where predictions are low, middling and high."""
    x = axes.across([r["predicted"] for r in rows])
    y = axes.upward([0.0] + [r[k] for r in rows for k in ("p10", "p90")])
    level = y.at(0.0)
    parts = [axes.frame(x, y, "predicted", "predicted minus actual")]
    parts.append(element("line", x1=LEFT, x2=RIGHT, y1=level, y2=level, class_="rule"))
    for r in rows:
        at = x.at(r["predicted"])
        words = (
            f"around {score(r['predicted'])}: half of the errors below {score(r['p50'])}, "
            f"8 of 10 between {score(r['p10'])} and {score(r['p90'])}, {count(r['rows'])} rows"
        )
        parts.append(axes.whisker(at, y.at(r["p10"]), y.at(r["p90"])))
        parts.append(axes.dot(at, y.at(r["p50"]), "point", title=words))
    return axes.plot("Errors by size of the prediction", *parts)


def race_plot(history: Sequence[tuple[float, ...]], metric: str) -> Html:
    """Return the best validation score over time, as steps."""
    every = max(1, -(-len(history) // MAX_POINTS))
    kept = [*history[::every], history[-1]]
    x = axes.across([0.0, *(p[0] for p in kept)], 0.0)
    x = Scale(0.0, max(x.high, 1e-9), LEFT, RIGHT)
    y = axes.upward([p[1] for p in kept], 0.1)
    points = [(x.at(kept[0][0]), y.at(kept[0][1]))]
    for (_, before), (when, now) in pairwise(kept):
        points += [(x.at(when), y.at(before)), (x.at(when), y.at(now))]
    parts = [axes.frame(x, y, "seconds", f"best {metric} so far"), axes.line(points, "line")]
    better = [p for before, p in pairwise(kept) if p[1] != before[1]]
    for when, value in [kept[0], *better]:
        words = f"after {span(when)}: {score(value)}"
        parts.append(axes.dot(x.at(when), y.at(value), "point", title=words))
    return axes.plot(f"Best {metric} over the time of the race", *parts)


def ruler(
    value: float, ends: tuple[float, float] | None, baseline: float | None, decimals: int
) -> Html:
    """Return one score with its interval on a line, beside the trivial baseline."""
    held = [value, *(ends or ()), *([] if baseline is None else [baseline])]
    x = axes.spanning(held, 24, 336, 0.16)
    level = 34
    parts = [element("line", x1=12, x2=348, y1=level, y2=level, class_="axis")]
    if ends is not None:
        left, right = x.at(ends[0]), x.at(ends[1])
        width = round(max(3.0, right - left), 2)
        parts.append(
            element("rect", x=left, y=level - 7, width=width, height=14, rx=7, class_="interval")
        )
    if baseline is not None:
        at = x.at(baseline)
        parts.append(element("rect", x=at - 2, y=level - 9, width=4, height=18, class_="trivial"))
        parts.append(beside(at, 62, f"baseline {score(baseline, decimals)}"))
    parts.append(axes.dot(x.at(value), level, "point best", 5.5))
    parts.append(beside(x.at(value), 14, f"model {score(value, decimals)}", "tick strong"))
    words = f"Score {score(value, decimals)}"
    if ends is not None:
        words += f", interval {score(ends[0], decimals)} to {score(ends[1], decimals)}"
    if baseline is not None:
        words += f", trivial baseline {score(baseline, decimals)}"
    return element(
        "svg", *parts, viewBox="0 0 360 70", role="img", aria_label=words, class_="plot ruler"
    )


def beside(at: float, y: float, words: str, class_: str = "tick") -> Html:
    """Return words centred at a place, kept within the drawing."""
    half = 3.6 * len(words)
    return axes.text(min(360 - half, max(half, at)), y, words, anchor="middle", class_=class_)


def forest_scale(rows: Sequence[tuple[float, float, float]]) -> Scale:
    """Return the scale of a forest plot; rows are (score, low, high), the winner first.

    The scale leaves out rows so far off that they would flatten the intervals of the others.
    """
    score_, low, high = rows[0]
    most = 12 * max(high - low, 1e-9)
    for _, begin, end in sorted(rows[1:], key=lambda r: abs(r[0] - score_)):
        wider = max(high, end) - min(low, begin)
        if wider > most:
            break
        low, high = min(low, begin), max(high, end)
    return axes.spanning([low, high], 8, 152, 0.05)


def forest(row: tuple[float, float, float], x: Scale, best: float, class_: str) -> Html:
    """Return a score and its interval beside a line at the winner's score."""
    value, low, high = row
    at = x.at(best)
    parts = [element("line", x1=at, x2=at, y1=0, y2=24, class_="rule")]
    if high < x.low or low > x.high:
        left = high < x.low
        tip, back = (4, 12) if left else (156, 148)
        parts.append(axes.area([(tip, 12), (back, 7), (back, 17)], f"off {class_}"))
        words = "beyond this scale"
    else:
        parts.append(
            element("line", x1=x.at(low), x2=x.at(high), y1=12, y2=12, class_=f"reach {class_}")
        )
        parts.append(axes.dot(x.at(value), 12, f"point {class_}", 4))
        words = f"{score(value)}, interval {score(low)} to {score(high)}"
    return element(
        "svg", *parts, viewBox="0 0 160 24", role="img", aria_label=words, class_="forest"
    )


def quantile_strip(column: dict[str, Any]) -> Html | None:
    """Return where a column's values lie: 98 % on the line, half of them in the box."""
    found = column.get("quantiles")
    levels = ("p1", "p5", "p25", "p50", "p75", "p95", "p99")
    held = [finite(found.get(level)) for level in levels] if isinstance(found, dict) else []
    values = [v for v in held if v is not None]
    if len(values) < len(levels) or not values[-1] > values[0]:
        return None
    x = Scale(values[0], values[-1], 3, 117)
    p1, p5, p25, p50, p75, p95, p99 = (x.at(v) for v in values)
    box = round(max(2.0, p75 - p25), 2)
    parts = [
        element("line", x1=p1, x2=p99, y1=10, y2=10, class_="axis"),
        element("line", x1=p5, x2=p95, y1=10, y2=10, class_="reach"),
        element("rect", x=p25, y=4, width=box, height=12, rx=2, class_="box"),
        element("line", x1=p50, x2=p50, y1=2, y2=18, class_="median"),
    ]
    words = (
        f"middle {compact(values[3])}, half between {compact(values[2])} and {compact(values[4])}"
    )
    return element(
        "svg",
        element("title", words),
        *parts,
        viewBox="0 0 120 20",
        role="img",
        aria_label=words,
        class_="strip",
    )


def share_bars(column: dict[str, Any], limit: int = 6) -> Html | None:
    """Return the shares of a column's most frequent values, as bars side by side."""
    counted = frequent(column)[:limit]
    total = (finite(column.get("n_rows")) or 0.0) - (finite(column.get("missing")) or 0.0)
    if not counted or total <= 0:
        return None
    width = 114 / len(counted)
    tallest = max(n for _, n in counted) or 1.0
    bars = []
    for place, (value, n) in enumerate(counted):
        height = round(max(1.0, 17 * n / tallest), 2)
        bars.append(
            element(
                "rect",
                element("title", f"{clip(value, 40)}: {share(min(1.0, n / total))}"),
                x=round(3 + place * width, 2),
                y=19 - height,
                width=round(max(1.0, min(width - 2, 22)), 2),
                height=height,
                class_="box",
            )
        )
    words = "most frequent: " + clip(counted[0][0], 40)
    return element(
        "svg", join(bars), viewBox="0 0 120 20", role="img", aria_label=words, class_="strip"
    )


def frequent(column: dict[str, Any]) -> list[tuple[Any, float]]:
    """Return a column's most frequent values whose counts are known."""
    pairs = [p for p in items(column, "top") if isinstance(p, list | tuple) and len(p) == 2]
    return [(value, n) for value, held in pairs if (n := finite(held)) is not None]
