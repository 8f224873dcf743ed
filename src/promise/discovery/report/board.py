"""The leaderboard: every model beside the others, with what it costs."""

from __future__ import annotations

import json
from typing import Any

from promise.discovery.report.answer import (
    baseline_of,
    best_of,
    decimals_of,
    metric_of,
    milliseconds,
    models_of,
)
from promise.discovery.report.axes import Scale
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
from promise.discovery.report.plots import forest, forest_scale, key
from promise.discovery.report.wording import (
    count,
    finite,
    interval,
    items,
    megabytes,
    metric_title,
    part,
    score,
    share,
    span,
)

MAX_ROWS = 60
MAX_PARAMS = 40


def board_section(story: dict[str, Any]) -> Html | None:
    """Return all models that raced, then those that did not and why."""
    models = models_of(story)
    if not models:
        return None
    raced = [m for m in models if str(m.get("status", "ok")) == "ok"]
    others = [m for m in models if str(m.get("status", "ok")) != "ok"]
    parts: list[Part] = [element("p", introduction(story))]
    if raced:
        parts += [board_table(story, raced), legend(raced)]
    if len(raced) > MAX_ROWS:
        parts.append(element("p", f"The first {MAX_ROWS} of {len(raced):,} models are shown."))
    if others:
        parts.append(left_out(others))
    return section("leaderboard", "Leaderboard", *parts)


def introduction(story: dict[str, Any]) -> str:
    """Say how to read the table."""
    board = part(story, "leaderboard")
    rows = board.get("holdout_rows")
    on = f"{count(rows)} sealed rows" if rows is not None else "sealed rows"
    better = "more" if part(story, "task").get("greater_is_better", True) else "less"
    return (
        f"{metric_title(metric_of(story)).capitalize()}: {better} is better. Models are ordered by "
        f"their validation score, and the winner was fixed by it; the holdout score on {on}, with "
        "its 95 % interval, was read once afterwards and changed nothing."
    )


def board_table(story: dict[str, Any], raced: list[dict[str, Any]]) -> Html:
    """Return the table, with one small forest plot over all its rows."""
    best, decimals = best_of(story), decimals_of(story)
    drawn = {id(m): reach for m in [best, *raced] if (reach := reach_of(m)) is not None}
    scale = None
    if drawn:
        first = drawn.get(id(best)) or next(iter(drawn.values()))
        scale = forest_scale([first, *(drawn[id(m)] for m in raced if id(m) in drawn)])
    heads = ("model", "validation", "holdout", "95 % interval", "fit", "per row", "size")
    rows = [board_row(m, best, scale, decimals, baseline_of(story)) for m in raced[:MAX_ROWS]]
    return table(heads, rows, label="Leaderboard", cards=True, class_="board")


def board_row(
    model: dict[str, Any],
    best: dict[str, Any],
    scale: Scale | None,
    decimals: int,
    baseline: dict[str, Any],
) -> list[Part]:
    """Return the cells of a model."""
    reach, ends = reach_of(model), interval(model)
    drawing: Part = "–"
    if reach is not None and scale is not None:
        class_ = "best" if model is best else "trivial" if model is baseline else ""
        winner = finite(best.get("score"))
        drawing = forest(reach, scale, reach[0] if winner is None else winner, class_)
        if ends is not None:
            words = f"{score(ends[0], decimals)} to {score(ends[1], decimals)}"
            drawing = element("div", drawing, element("span", words, class_="ends"))
    return [
        model_cell(model, best),
        score(model.get("validation", model.get("validation_score")), decimals),
        element("b", score(model.get("score"), decimals)),
        drawing,
        span(model.get("fit_seconds")),
        milliseconds(model.get("predict_ms")),
        megabytes(model.get("size_mb")),
    ]


def reach_of(model: dict[str, Any]) -> tuple[float, float, float] | None:
    """Return score and interval; the score alone where it has none."""
    value = finite(model.get("score"))
    if value is None:
        return None
    low, high = interval(model) or (value, value)
    return value, low, high


def model_cell(model: dict[str, Any], best: dict[str, Any]) -> Html:
    """Return a model's name, its standing, and its settings folded away."""
    name = element("span", clip(model.get("name"), 60), class_="name")
    badges = []
    if model is best:
        badges.append(element("span", "recommended", class_="badge good"))
    elif model.get("tie"):
        badges.append(element("span", "tie with the best", class_="badge"))
    if model.get("family") == "baseline":
        badges.append(element("span", "trivial", class_="badge warm"))
    note = model.get("note")
    said = element("span", prose(note, 300), class_="muted small") if note else None
    return element("div", name, *badges, said, settings(model), class_="model")


def settings(model: dict[str, Any]) -> Html | None:
    """Return hyperparameters and members of a model, folded away."""
    held = list(part(model, "params").items())
    facts: list[tuple[str, object]] = []
    if model.get("rounds") is not None:
        facts.append(("rounds used", count(model["rounds"])))
    if model.get("view"):
        facts.append(("features", model["view"]))
    members = [
        (f"{share(m.get('weight'), 0)} of the vote", m.get("name"))
        for m in items(model, "members")[:10]
        if isinstance(m, dict)
    ]
    if not (held or facts or members):
        return None
    shown = [(k, value_text(v)) for k, v in held[:MAX_PARAMS]]
    if len(held) > MAX_PARAMS:
        shown.append(("…", f"{len(held) - MAX_PARAMS:,} more"))
    pairs = [*members, *facts, *shown]
    lines = [
        element("div", element("dt", clip(k, 60)), element("dd", clip(v, 120))) for k, v in pairs
    ]
    what = "members" if members else "best settings"
    return details(what, element("dl", *lines, class_="pairs"))


def value_text(value: object) -> str:
    """Return a hyperparameter as it would be written.

    Examples
    --------
    >>> value_text(0.05000000074), value_text([1, 2]), value_text("auto"), value_text(None)
    ('0.05', '[1, 2]', 'auto', 'none')
    """
    if value is None:
        return "none"
    if isinstance(value, float):
        return f"{value:.5g}"
    return value if isinstance(value, str) else json.dumps(value, default=str)


def legend(raced: list[dict[str, Any]]) -> Html | None:
    """Return what the forest plot's marks mean."""
    if all(reach_of(m) is None for m in raced):
        return None
    return key(
        ("best", "recommended"),
        ("other", "other models, bar: 95 % interval"),
        ("trivial", "trivial baseline"),
        ("dashed", "the recommended model's score"),
    )


def left_out(others: list[dict[str, Any]]) -> Html:
    """Return the families that have no model, and why."""
    lines = [
        element(
            "li",
            element("b", clip(m.get("name"), 60)),
            " ",
            prose(m.get("status", ""), 400),
        )
        for m in others[:MAX_ROWS]
    ]
    return join([element("h3", "Without a model"), element("ul", *lines, class_="plain")])
