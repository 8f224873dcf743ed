"""Where the model errs: mistakes between classes, honest probabilities, sizes of errors."""

from __future__ import annotations

from typing import Any

from promise.discovery.report import plots
from promise.discovery.report.markup import (
    Html,
    Part,
    clip,
    details,
    element,
    join,
    section,
    table,
)
from promise.discovery.report.wording import (
    count,
    dicts,
    finite,
    items,
    part,
    score,
    share,
    tuples,
)

MAX_CLASSES = 21
SHARES_SHOWN = 8


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
    pairs = tuples(items(found, "pairs"), 2)
    if pairs:
        drawing = plots.scatter_plot(pairs, target)
        note = f"{count(len(pairs))} rows, spread over all sizes; on the line, the answer is right."
        figures.append(plots.figure("Predicted against actual", drawing, note))
    histogram = part(found, "histogram")
    if drawable(histogram, "counts"):
        note = "Left of zero the answer is too low. Rarer errors are in the outer bins."
        figures.append(plots.figure("Errors", plots.residual_plot(histogram), note))
    deciles = dicts(found, "deciles", "predicted", "p10", "p50", "p90")
    if deciles:
        heads = ("predicted", "rows", "lowest tenth", "middle", "highest tenth", "typical size")
        numbers = [
            (score(d["predicted"]), count(d.get("rows")), score(d["p10"]), score(d["p50"]),
             score(d["p90"]), score(d.get("median_size")))
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
    bins = dicts(found, "calibration", "predicted", "observed", "low", "high")
    of = found.get("calibration_of")
    if bins:
        drawing = plots.calibration_plot(bins, of)
        whose = f"the probability of {clip(of, 40)}" if of is not None else "its probability"
        note = f"When {whose} is claimed to be 70 %, it should come 7 times out of 10: on the line."
        numbers = [
            (share(b["predicted"]), share(b["observed"]),
             f"{share(b['low'])} to {share(b['high'])}", count(b.get("rows")))
            for b in bins
        ]  # fmt: skip
        heads = ("claimed", "observed", "95 % interval", "rows")
        below = details("the numbers", table(heads, numbers, label="Calibration"))
        figures.append(plots.figure("Can its probabilities be trusted?", drawing, note, below))
    separation = part(found, "separation")
    if drawable(separation, "first", "second"):
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
    counts = tuples(items(found, "counts"), len(items(found, "classes")))
    if not names or len(counts) < len(names):
        return None
    many = len(names) > SHARES_SHOWN
    mixed = [len(names) - 1] if found.get("others") else []  # classes told as one: not all right
    rows: list[list[Part]] = []
    for place, (name, cells) in enumerate(zip(names, counts, strict=False)):
        total = sum(cells) or 1.0
        marked = [
            confusion_cell(n, total, k == place and k not in mixed, many)
            for k, n in enumerate(cells)
        ]
        rows.append([name, *marked])
    class_ = "confusion many" if many else "confusion"
    body = table(("actual ↓ answered →", *names), rows, label="Confusion", class_=class_)
    note = "Each row is a true class; its cells say what it was answered as."
    if found.get("others"):
        note += f" The {count(found['others'])} rarer classes are counted together."
    return join(
        [element("h3", "What it mistakes for what"), element("p", note, class_="muted"), body]
    )


def confusion_cell(n: float, total: float, right: bool, many: bool) -> Html:
    """Return a count, shaded by its share; the share itself stands where there is room."""
    class_ = "cell right" if right else "cell" if n else "cell nothing"
    words = [element("b", count(n) if n or not many else "·")]
    if not many:
        words.append(element("small", share(n / total, 0)))
    said = share(n / total) if many else None
    return element("span", *words, class_=class_, style=f"--share:{n / total:.3f}", title=said)


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


def drawable(found: dict[str, Any], *names: str) -> bool:
    """Say whether a histogram has its edges and, for each name, a count between each two."""
    edges = items(found, "edges")
    lists = [items(found, name) for name in names]
    whole = all(finite(v) is not None for held in (edges, *lists) for v in held)
    return len(edges) > 1 and whole and all(len(held) == len(edges) - 1 for held in lists)
