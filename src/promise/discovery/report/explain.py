"""What the model leans on, how much data it needs, and where it errs."""

from __future__ import annotations

from typing import Any

from promise.discovery.report import plots
from promise.discovery.report.answer import metric_of
from promise.discovery.report.markup import (
    Html,
    Part,
    clip,
    details,
    element,
    join,
    prose,
    section,
    table,
)
from promise.discovery.report.wording import (
    count,
    finite,
    items,
    metric_title,
    part,
    score,
    share,
)

MAX_FEATURES = 20
MAX_CURVE = 200
MAX_CLASSES = 21


def importance_section(story: dict[str, Any]) -> Html | None:
    """Return the inputs by how much the score drops when they are shuffled."""
    rows = [
        r
        for r in items(story, "importance")
        if isinstance(r, dict) and finite(r.get("mean")) is not None
    ]
    if not rows:
        return None
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
    cells = [importance_row(r, low, most) for r in shown]
    more = len(rows) - len(shown)
    tail = element("p", f"{more:,} more columns matter less.", class_="muted") if more > 0 else None
    body = table(("column", "drop", ""), cells, label="Importance", class_="importance")
    return section("importance", "What drives it", element("p", words), body, tail)


def importance_row(row: dict[str, Any], low: float, most: float) -> list[Part]:
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
    words = f"{score(ends[0])} to {score(ends[1])}"
    track = element("div", *parts, class_="track", role="img", aria_label=words, title=words)
    return [element("span", clip(row.get("feature"), 60), class_="name"), score(mean), track]


def curve_section(story: dict[str, Any]) -> Html | None:
    """Return the learning curve and what it says about more rows."""
    curve = part(story, "curve")
    points = [
        (rows, value)
        for p in items(curve, "points")[:MAX_CURVE]
        if (rows := finite(p.get("rows"))) is not None
        and (value := finite(p.get("score", p.get("mean")))) is not None
        and rows > 0
    ]
    if not points:
        return None
    said = [*items(curve, "statements"), *filter(None, [curve.get("statement")])]
    held = [[finite(v) for v in band] for band in curve_bands(curve)]
    bands = [(b[0], b[1], b[2], b[3]) for b in held if len(b) == 4 and b[0] and None not in b]
    metric = metric_title(curve.get("metric") or metric_of(story))
    drawing = plots.curve_plot(points, bands, metric)  # type: ignore[arg-type]
    keys = plots.key(("point", "one training"), ("line", "fitted curve, with its 95 % band"))
    rows = [(count(n), score(value)) for n, value in points]
    numbers = details("the numbers", table(("rows", metric), rows, label="Learning curve"))
    figure = plots.figure("Score by training rows", drawing, keys, numbers)
    words = [element("p", prose(s), class_="lead" if i == 0 else None) for i, s in enumerate(said)]
    checked = curve.get("validation_rows")
    if checked is not None:
        note = f"Each point is a model trained anew, judged on the same {count(checked)} rows."
        words.append(element("p", note, class_="muted"))
    both = element("div", element("div", *words), figure, class_="two")
    return section("data-size", "How much data is enough", both)


def curve_bands(curve: dict[str, Any]) -> list[list[Any]]:
    """Return (rows, score, low, high) of the fitted curve, else of points that have intervals."""
    bands = [list(b) for b in items(curve, "bands") if isinstance(b, list | tuple)]
    if bands:
        return bands[:MAX_CURVE]
    held = [p for p in items(curve, "points") if p.get("low") is not None]
    return [[p["rows"], p.get("mean"), p["low"], p.get("high")] for p in held[:MAX_CURVE]]


def errors_section(story: dict[str, Any]) -> Html | None:
    """Return where the model errs on the sealed rows."""
    found = part(story, "diagnostics")
    if not found.get("rows"):
        return None
    drawn = number_errors(story, found) if found.get("kind") == "number" else class_errors(found)
    rows = f"On the {count(found['rows'])} sealed rows, by the recommended model."
    return section("errors", "Where it errs", element("p", rows, class_="muted"), *drawn)


def number_errors(story: dict[str, Any], found: dict[str, Any]) -> list[Part]:
    """Return the plots for numbers."""
    target = str(part(story, "task").get("target") or "the target")
    sizes, figures = part(found, "residuals"), []
    words = None
    if sizes:
        words = element(
            "p",
            f"Half of the answers are within {score(sizes.get('median_size'))} of the truth, nine "
            f"out of ten within {score(sizes.get('p90_size'))}; on average they are "
            f"{score(abs(finite(sizes.get('mean')) or 0.0))} too "
            f"{'high' if (finite(sizes.get('mean')) or 0.0) > 0 else 'low'}.",
        )
    pairs = [p for p in items(found, "pairs") if None not in p]
    if pairs:
        drawing = plots.scatter_plot(pairs, target)
        note = f"{count(len(pairs))} rows, spread over all sizes; on the line, the answer is right."
        figures.append(plots.figure("Predicted against actual", drawing, note))
    histogram = part(found, "histogram")
    if histogram.get("edges"):
        note = "Left of zero the answer is too low. Rarer errors are in the outer bins."
        figures.append(plots.figure("Errors", plots.residual_plot(histogram), note))
    deciles = items(found, "deciles")
    if deciles:
        heads = ("predicted", "rows", "lowest tenth", "middle", "highest tenth", "typical size")
        numbers = [
            (score(d["predicted"]), count(d["rows"]), score(d["p10"]), score(d["p50"]),
             score(d["p90"]), score(d["median_size"]))
            for d in deciles
        ]  # fmt: skip
        below = details("the numbers", table(heads, numbers, label="Errors by prediction"))
        note = "Dot: the middle error. Line: eight out of ten errors."
        drawing = plots.decile_plot(deciles)
        figures.append(plots.figure("Errors by size of the prediction", drawing, note, below))
    return [words, element("div", *figures, class_="grid")]


def class_errors(found: dict[str, Any]) -> list[Part]:
    """Return confusion matrix and plots for classes."""
    figures = []
    bins, of = items(found, "calibration"), found.get("calibration_of")
    if bins:
        drawing = plots.calibration_plot(bins, of)
        whose = f"the probability of {clip(of, 40)}" if of is not None else "its probability"
        note = f"When {whose} is claimed to be 70 %, it should come 7 times out of 10: on the line."
        numbers = [
            (share(b["predicted"]), share(b["observed"]),
             f"{share(b['low'])} to {share(b['high'])}", count(b["rows"]))
            for b in bins
        ]  # fmt: skip
        heads = ("claimed", "observed", "95 % interval", "rows")
        below = details("the numbers", table(heads, numbers, label="Calibration"))
        figures.append(plots.figure("Can its probabilities be trusted?", drawing, note, below))
    separation = part(found, "separation")
    if separation.get("edges"):
        names = part(found, "confusion").get("classes") or ["first", "second"]
        drawing = plots.separation_plot(separation, finite(found.get("threshold")))
        marks = plots.key(("first", clip(names[0], 40)), ("second", clip(names[-1], 40)))
        figures.append(plots.figure("How well it tells them apart", drawing, marks))
    parts: list[Part] = [confusion_table(part(found, "confusion"))]
    if figures:
        parts.append(element("div", *figures, class_="grid"))
    return [*parts, class_table(items(found, "classes"))]


def confusion_table(found: dict[str, Any]) -> Html | None:
    """Return which class was answered as which, shaded by the share of its row."""
    names = [clip(n, 24) for n in items(found, "classes")[:MAX_CLASSES]]
    counts = items(found, "counts")[:MAX_CLASSES]
    if not names or not counts:
        return None
    rows = []
    for place, (name, cells) in enumerate(zip(names, counts, strict=False)):
        total = sum(cells) or 1
        marked: list[Part] = [name]
        for other, n in enumerate(cells[:MAX_CLASSES]):
            part_ = n / total
            class_ = "cell right" if other == place else "cell"
            inner = [element("b", count(n)), element("small", share(part_, 0))]
            marked.append(element("span", *inner, class_=class_, style=f"--share:{part_:.3f}"))
        rows.append(marked)
    body = table(("actual ↓ answered →", *names), rows, label="Confusion", class_="confusion")
    note = "Each row is a true class; its cells say what it was answered as."
    if found.get("others"):
        note += f" The {count(found['others'])} rarer classes are counted together."
    return join(
        [element("h3", "What it mistakes for what"), element("p", note, class_="muted"), body]
    )


def class_table(rows: list[Any]) -> Html | None:
    """Return precision and recall by class, where there are more than two."""
    if len(rows) < 3:
        return None
    cells = [
        (clip(r.get("class"), 60), count(r.get("rows")), share(r.get("recall")),
         share(r.get("precision")))
        for r in rows[:MAX_CLASSES]
    ]  # fmt: skip
    heads = ("class", "rows", "found (recall)", "right when claimed (precision)")
    return details("each class by itself", table(heads, cells, label="Classes"))
