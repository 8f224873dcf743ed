"""What the model leans on, and how much data it needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from promise.discovery.report import plots
from promise.discovery.report.answer import metric_of
from promise.discovery.report.markup import (
    Html,
    Part,
    clip,
    details,
    element,
    prose,
    section,
    table,
)
from promise.discovery.report.wording import (
    count,
    dicts,
    digits_of,
    finite,
    items,
    metric_title,
    part,
    score,
    texts,
    tuples,
)

MAX_FEATURES = 20
MAX_CURVE = 200


def importance_section(story: dict[str, Any]) -> Html | None:
    """Return the inputs by how much the score drops when they are shuffled."""
    rows = dicts(story, "importance", "mean")
    if not rows:
        return not_measured(story)
    metric = metric_title(metric_of(story))
    sure = [r for r in rows if (finite(r.get("low")) or 0.0) > 0]
    words = (
        f"How much worse the {metric} gets on sealed rows when one column is shuffled, with its "
        f"95 % interval. {count(len(sure))} of {count(len(rows))} columns matter beyond chance; "
        "columns that tell the same share their importance."
    )
    shown = rows[:MAX_FEATURES]
    reach = [abs(finite(r.get(k)) or 0.0) for r in shown for k in ("mean", "high", "low")]
    most = max([*reach, 1e-12])
    low = min([0.0, *(finite(r.get("low")) or 0.0 for r in shown)])
    widths = [(finite(r.get("high")) or 0.0) - (finite(r.get("low")) or 0.0) for r in shown]
    decimals = digits_of(sorted(widths)[len(widths) // 2])
    cells = [importance_row(r, low, most, decimals) for r in shown]
    more = len(rows) - len(shown)
    tail = element("p", f"{more:,} more columns matter less.", class_="muted") if more > 0 else None
    body = table(("column", "drop", ""), cells, label="Importance", class_="importance")
    return section("importance", "What drives it", element("p", words), body, tail)


def not_measured(story: dict[str, Any]) -> Html | None:
    """Say that the time was up before the question, where it was asked at all."""
    if not isinstance(story.get("importance"), list):
        return None
    words = (
        "There was no time left to measure which columns matter; run again with a longer "
        "`--budget` to learn it."
    )
    return section("importance", "What drives it", element("p", prose(words)))


def importance_row(row: dict[str, Any], low: float, most: float, decimals: int) -> list[Part]:
    """Return name, drop and bar of a column; the line over the bar is the interval."""
    mean = finite(row.get("mean")) or 0.0
    ends = (finite(row.get("low")), finite(row.get("high")))
    width = most - low
    zero = -low / width * 100
    at = zero + mean / width * 100
    left, right = sorted((zero, at))
    bar = element("i", class_="bar", style=f"left:{left:.2f}%;width:{right - left:.2f}%")
    parts = [bar]
    if ends[0] is not None and ends[1] is not None:
        begin, reach = zero + ends[0] / width * 100, (ends[1] - ends[0]) / width * 100
        begin, reach = max(0.0, begin), min(reach, 100.0)
        parts.append(element("i", class_="span", style=f"left:{begin:.2f}%;width:{reach:.2f}%"))
    words = f"{score(ends[0], decimals)} to {score(ends[1], decimals)}"
    track = element("div", *parts, class_="track", role="img", aria_label=words, title=words)
    return [
        element("span", clip(row.get("feature"), 60), class_="name"),
        score(mean, decimals),
        track,
    ]


def curve_section(story: dict[str, Any]) -> Html | None:
    """Return the learning curve and what it says about more rows."""
    curve = part(story, "curve")
    points = [(n, value) for n, value in curve_points(curve) if n > 0][:MAX_CURVE]
    if not points:
        return None
    said = [*texts(curve, "statements"), *filter(None, [curve.get("statement")])]
    bands = [band for band in tuples(curve_bands(curve), 4) if band[0] > 0][:MAX_CURVE]
    metric = metric_title(curve.get("metric") or metric_of(story))
    words = [element("p", prose(s), class_="lead" if i == 0 else None) for i, s in enumerate(said)]
    checked = curve.get("validation_rows")
    if checked is not None:
        note = f"Each point is a model trained anew, judged on the same {count(checked)} rows."
        words.append(element("p", note, class_="muted"))
    body = [element("div", *words)]
    if len({n for n, _ in points}) > 1:
        body.append(curve_figure(points, bands, metric))
    both = element("div", *body, class_="two")
    return section("data-size", "How much data is enough", both)


def curve_figure(
    points: Sequence[tuple[float, ...]], bands: Sequence[tuple[float, ...]], metric: str
) -> Html:
    """Return the plot with its key and its numbers."""
    entries = [("point", "one training")]
    if len(bands) > 1:
        entries.append(("line", "fitted curve, with its 95 % band"))
    rows = [(count(n), score(value)) for n, value in points]
    numbers = details("the numbers", table(("rows", metric), rows, label="Learning curve"))
    drawing = plots.curve_plot(points, bands, metric)
    return plots.figure("Score by training rows", drawing, plots.key(*entries), numbers)


def curve_points(curve: dict[str, Any]) -> list[tuple[float, ...]]:
    """Return (rows, score) of each training."""
    held = [p for p in items(curve, "points") if isinstance(p, dict)]
    return tuples([(p.get("rows"), p.get("score", p.get("mean"))) for p in held], 2)


def curve_bands(curve: dict[str, Any]) -> list[Any]:
    """Return (rows, score, low, high) of the fitted curve, else of points that have intervals."""
    held = [p for p in items(curve, "points") if isinstance(p, dict)]
    own = [(p.get("rows"), p.get("mean"), p.get("low"), p.get("high")) for p in held]
    return items(curve, "bands") or own
