"""The head of the report: the recommended model, how good it is, and what to mind."""

from __future__ import annotations

import re
from typing import Any

from promise.discovery.report.markup import Html, Part, clip, element, join, prose, section
from promise.discovery.report.plots import ruler
from promise.discovery.report.wording import (
    count,
    dicts,
    digits_of,
    finite,
    interval,
    items,
    listed,
    megabytes,
    metric_title,
    part,
    score,
    share,
    span,
    texts,
)

MAX_WARNINGS = 12


def models_of(story: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of the leaderboard."""
    return [m for m in items(part(story, "leaderboard"), "models") if isinstance(m, dict)]


def best_of(story: dict[str, Any]) -> dict[str, Any]:
    """Return the recommended model's row; empty where there is none."""
    best = part(story, "leaderboard").get("best")
    return next((m for m in models_of(story) if best and m.get("name") == best), {})


def baseline_of(story: dict[str, Any]) -> dict[str, Any]:
    """Return the trivial baseline's row; empty where there is none."""
    return next((m for m in models_of(story) if m.get("family") == "baseline"), {})


def metric_of(story: dict[str, Any]) -> str:
    """Return the metric's name; empty where it is not known."""
    named = part(story, "leaderboard").get("metric") or part(story, "task").get("metric")
    return str(named or "")


def decimals_of(story: dict[str, Any]) -> int:
    """Return the decimals that the winner's interval allows."""
    ends = interval(best_of(story))
    return digits_of(None if ends is None else ends[1] - ends[0])


def masthead(story: dict[str, Any]) -> Html:
    """Return title and origin."""
    target = part(story, "task").get("target")
    source = part(story, "source")
    title: Part = "A discovery"
    if target is not None:
        title = join(["Predicting ", element("code", clip(target, 80))])
    # Folders are told at the end of the page; a query or an address is told whole.
    name = str(source.get("name") or "")
    name = name if "://" in name else re.split(r"[/\\]", name)[-1]
    words = [clip(name, 120)] if name else []
    if source.get("rows") is not None:
        about = "" if source.get("rows_exact", True) else "about "
        words.append(f"{about}{count(source['rows'])} rows")
    if story.get("created"):
        words.append(str(story["created"])[:16].replace("T", " "))
    return element(
        "header",
        element("p", "Promise · discovery report", class_="overline"),
        element("h1", title),
        element("p", " · ".join(words), class_="muted") if words else None,
    )


def answer_section(story: dict[str, Any]) -> Html:
    """Return the recommendation in sentences, its score beside the baseline, and key facts."""
    said = [prose(s) for s in texts(story, "recommendation")]
    said = said or [prose(s) for s in texts(part(story, "leaderboard"), "recommendation")]
    if not said:
        said = [prose("The run ended before a model could be recommended.")]
    lead = element("p", said[0], class_="lead")
    plain = meaning(story)
    rest = [element("p", sentence) for sentence in said[1:6]]
    words = element("div", lead, plain, *rest, class_="words")
    return section(
        "answer",
        "The answer",
        element("div", words, score_card(story), class_="hero"),
        facts(story),
    )


def score_card(story: dict[str, Any]) -> Html | None:
    """Return the winner's score, large, with its interval and the baseline on a ruler."""
    best = best_of(story)
    value = finite(best.get("score"))
    if value is None:
        return None
    ends, decimals = interval(best), decimals_of(story)
    baseline = finite(baseline_of(story).get("score"))
    board = part(story, "leaderboard")
    lines = []
    if ends is not None:
        lines.append(f"95 % interval {score(ends[0], decimals)} to {score(ends[1], decimals)}")
    if board.get("holdout_rows") is not None:
        lines.append(f"on {count(board['holdout_rows'])} rows it had never seen")
    greater = part(story, "task").get("greater_is_better", True)
    title = metric_title(metric_of(story))
    return element(
        "div",
        element("p", title, " of ", element("b", clip(best.get("name"), 60)), class_="overline"),
        element("p", score(value, decimals), class_="score"),
        element("p", ", ".join(lines), class_="muted") if lines else None,
        ruler(value, ends, baseline, decimals),
        element("p", "more is better" if greater else "less is better", class_="muted small"),
        class_="card",
    )


def meaning(story: dict[str, Any]) -> Html | None:
    """Return what the score means to someone who knows no metric."""
    value = finite(best_of(story).get("score"))
    if value is None:
        return None
    match metric_of(story):
        case "accuracy":
            words = f"Of 100 new rows it gets about {value * 100:.0f} right."
        case "r2" if value > 0:
            words = (
                f"It explains {share(value, 0)} of what makes the values differ; "
                "always giving the average explains nothing."
            )
        case "roc_auc":
            words = (
                "Shown one row of each class, it ranks the two the right way round "
                f"{value * 100:.0f} times out of 100; chance gets 50."
            )
        case "mae" | "median_absolute_error":
            words = f"Its answers are typically {score(value)} off."
        case _:
            return None
    return element("p", words)


def facts(story: dict[str, Any]) -> Html | None:
    """Return the numbers that one asks for first."""
    sample, race, best = part(story, "sample"), part(story, "race"), best_of(story)
    found: list[tuple[str, str]] = []
    if sample.get("rows_used") is not None:
        total = sample.get("n_source_rows")
        more = f" of {count(total)}" if total not in (None, sample["rows_used"]) else ""
        found.append(("rows used", count(sample["rows_used"]) + more))
    if race.get("trials") is not None:
        found.append(("configurations tried", count(race["trials"])))
    if finite(best.get("predict_ms")) is not None:
        found.append(("per answer", milliseconds(best["predict_ms"])))
    if finite(best.get("size_mb")) is not None:
        found.append(("model size", megabytes(best["size_mb"])))
    if finite(story.get("seconds")) is not None:
        found.append(("time in all", span(story["seconds"])))
    if finite(story.get("peak_memory_mb")):
        found.append(("peak memory", megabytes(story["peak_memory_mb"])))
    tiles = [element("div", element("dt", words), element("dd", value)) for words, value in found]
    return element("dl", *tiles, class_="facts") if tiles else None


def milliseconds(value: object) -> str:
    """Return milliseconds, or microseconds where they tell more.

    Examples
    --------
    >>> milliseconds(0.0042), milliseconds(3.14159), milliseconds(None)
    ('4.2 µs', '3.1 ms', '–')
    """
    number = finite(value)
    if number is None:
        return "–"
    if number < 0.1:
        return f"{number * 1000:.2g} µs"
    return f"{number:.2g} ms" if number < 100 else span(number / 1000)


def warnings_section(story: dict[str, Any]) -> Html | None:
    """Return what must be read before the score is trusted."""
    lines = texts(story, "warnings")
    sentence = part(story, "sample").get("sentence")
    if sentence and sentence not in lines:
        lines.insert(0, str(sentence))
    for found in dicts(story, "findings"):
        grave = found.get("suspicious") or found.get("severity") == "error"
        evidence = str(found.get("evidence") or "")
        if grave and evidence and evidence not in lines:
            lines.append(evidence)
    if not lines:
        return None
    shown = [element("li", prose(sentence_case(line), 600)) for line in lines[:MAX_WARNINGS]]
    if len(lines) > MAX_WARNINGS:
        shown.append(element("li", f"… and {len(lines) - MAX_WARNINGS:,} more, see the findings."))
    suspects = [
        name
        for found in dicts(story, "findings")
        if found.get("suspicious")
        for name in texts(found, "columns")
    ]
    fix: Html | None = None
    if suspects:
        fix = element(
            "p",
            "If ",
            element("b", listed(list(dict.fromkeys(suspects)))),
            " cannot be known at the moment of prediction, leave it out and run again: the fix "
            "stands beside the finding below.",
        )
    return section("warnings", "Mind this first", element("ul", *shown), fix)


def sentence_case(text: object) -> str:
    """Return the text as a sentence: a capital first, unless it begins with a name; a stop last.

    Examples
    --------
    >>> sentence_case("rows differ"), sentence_case("'age' is odd.")
    ('Rows differ.', "'age' is odd.")
    """
    found = re.sub(r"^[a-z]", lambda m: m[0].upper(), str(text))
    return found if not found or found[-1] in ".!?:" else found + "."
