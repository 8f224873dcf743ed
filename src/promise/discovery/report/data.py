"""The data: what the checks found, what each column holds, and how the split was drawn."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from promise.discovery.report.answer import sentence_case
from promise.discovery.report.markup import (
    Html,
    Part,
    clip,
    code_block,
    details,
    element,
    join,
    prose,
    section,
    table,
)
from promise.discovery.report.plots import frequent, quantile_strip, share_bars
from promise.discovery.report.wording import (
    compact,
    count,
    finite,
    items,
    listed,
    megabytes,
    part,
    share,
    texts,
)

MAX_FINDINGS = 40
MAX_COLUMNS = 120

_SEVERITY = {"error": "serious", "warning": "warning", "note": "note"}


def findings_section(story: dict[str, Any]) -> Html | None:
    """Return what the checks found, each with its evidence and its fix."""
    if story.get("findings") is None:
        return None
    found = [f for f in items(story, "findings") if isinstance(f, dict)]
    if not found:
        said = element("p", "The checks found nothing to mind.")
        return section("findings", "What the checks found", said)
    shown = [finding_card(f) for f in found[:MAX_FINDINGS]]
    more = len(found) - len(shown)
    tail = element("p", f"{more:,} more findings are not shown.") if more > 0 else None
    return section("findings", "What the checks found", *shown, tail)


def finding_card(found: dict[str, Any]) -> Html:
    """Return one finding."""
    severity = str(found.get("severity") or "note")
    title = str(found.get("check") or "finding").replace("_", " ").capitalize()
    badges = [element("span", _SEVERITY.get(severity, severity), class_=f"badge {severity}")]
    if found.get("suspicious"):
        badges.append(element("span", "may hold the answer", class_="badge warm"))
    columns = texts(found, "columns")
    evidence = str(found.get("evidence") or "")
    about = None
    if not all(str(name) in evidence for name in columns):
        about = element("p", "About ", element("b", listed(columns, 6)), class_="muted small")
    fix = str(found.get("fix") or "")
    return element(
        "article",
        element("h3", title, *badges),
        element("p", prose(sentence_case(evidence))),
        about,
        element("div", element("span", "Fix", class_="overline"), code_block(fix), class_="fix")
        if fix
        else None,
        class_=f"finding {severity if severity in _SEVERITY else 'note'}",
    )


def profile_section(story: dict[str, Any]) -> Html | None:
    """Return every column, or those that matter most where there are too many."""
    profile = part(story, "profile")
    columns = [c for c in items(profile, "columns") if isinstance(c, dict)]
    if not columns:
        return None
    target = profile.get("target") or part(story, "task").get("target")
    shown = chosen(columns, target, story)
    words = f"{count(len(columns))} columns, {count(profile.get('n_rows'))} rows"
    if finite(profile.get("duplicates")):
        words += f", {share(profile['duplicates'])} of them repeat an earlier row"
    words += "."
    if len(shown) < len(columns):
        words += (
            f" Shown are the target and the {len(shown) - 1} columns that matter most; "
            f"{len(columns) - len(shown):,} more are left out here."
        )
    heads = ("column", "type", "missing", "distinct", "values", "most frequent", "with target")
    rows = [column_row(c, target) for c in shown]
    body = table(heads, rows, label="Columns", cards=True, class_="columns")
    note = (
        "The box holds the middle half of the values, the line 98 % of them; bars are the most "
        "frequent values. ≈ marks estimates."
    )
    return section(
        "columns",
        "The columns",
        element("p", words),
        body,
        element("p", note, class_="muted small"),
    )


def chosen(columns: list[dict[str, Any]], target: Any, story: dict[str, Any]) -> list[Any]:
    """Return the target first, then all columns in order, or the most telling of too many."""
    first = [c for c in columns if c.get("name") == target]
    others = [c for c in columns if c.get("name") != target]
    room = MAX_COLUMNS - len(first)
    if len(others) <= room:
        return [*first, *others]
    flagged = {
        name
        for f in items(story, "findings")
        if f.get("suspicious")
        for name in items(f, "columns")
    }
    drop = {r.get("feature"): finite(r.get("mean")) or 0.0 for r in items(story, "importance")}

    def weight(column: dict[str, Any]) -> tuple[bool, float, float]:
        name = column.get("name")
        return name in flagged, drop.get(name, 0.0), abs(finite(column.get("correlation")) or 0.0)

    return [*first, *sorted(others, key=weight, reverse=True)[:room]]


def column_row(column: dict[str, Any], target: Any) -> list[Part]:
    """Return the cells of a column."""
    name = element("span", clip(column.get("name"), 60), class_="name")
    badges = [element("span", clip(g, 30), class_="badge") for g in items(column, "guesses")[:4]]
    if column.get("name") == target:
        badges.insert(0, element("span", "target", class_="badge good"))
    exact = "" if column.get("exact", True) else "≈ "
    return [
        element("div", name, *badges, class_="model"),
        column.get("type"),
        missing_cell(column),
        exact + count(column.get("distinct")),
        values_cell(column),
        top_cell(column),
        correlation_cell(column),
    ]


def missing_cell(column: dict[str, Any]) -> Part:
    """Return the share of missing values over a bar."""
    rows, missing = finite(column.get("n_rows")), finite(column.get("missing"))
    if not rows or missing is None:
        return "–"
    part_ = missing / rows
    bar = element("i", class_="bar", style=f"left:0;width:{part_ * 100:.1f}%")
    track = element("span", bar, class_="track thin", aria_hidden="true")
    return join([share(part_), track if part_ > 0 else None])


def values_cell(column: dict[str, Any]) -> Part:
    """Return where the values lie, between the least and the greatest."""
    drawing = quantile_strip(column) if column.get("type") == "number" else None
    drawing = drawing or share_bars(column)
    ends = [end_text(column.get(k)) for k in ("min", "max")]
    words = None if None in ends else element("span", f"{ends[0]} … {ends[1]}", class_="ends")
    if drawing is None and words is None:
        return "–"
    return element("div", drawing, words)


def end_text(value: object) -> str | None:
    """Return the least or greatest value in few characters."""
    number = finite(value)
    if number is not None:
        return compact(number)
    return None if value is None or isinstance(value, float) else clip(value, 20)


def top_cell(column: dict[str, Any]) -> Part:
    """Return the most frequent values with their shares."""
    rows, missing = finite(column.get("n_rows")), finite(column.get("missing")) or 0.0
    pairs = frequent(column)[:3]
    if not pairs or not rows or rows <= missing:
        return "–"
    if (finite(column.get("distinct")) or 0) > (rows - missing) * 0.5:
        return element("span", "mostly different", class_="muted")
    about = "" if column.get("top_exact", True) else "≈ "
    shown = [
        join(
            [value_text(v), " ", element("small", about + share(min(1.0, n / (rows - missing)), 0))]
        )
        for v, n in pairs
    ]
    return join(between(shown, element("br")))


def between(parts: list[Html], mark: Html) -> Iterable[Html]:
    """Yield the parts with a mark between each two."""
    for place, one in enumerate(parts):
        if place:
            yield mark
        yield one


def value_text(value: object) -> str:
    """Return a value of a column in few characters."""
    number = finite(value)
    if number is not None:
        return compact(number)
    return clip(value, 28) if str(value).strip() else "(blank)"


def correlation_cell(column: dict[str, Any]) -> Part:
    """Return the association with the target."""
    value = finite(column.get("correlation"))
    if value is None:
        return "–"
    kind = {"pearson": "r", "eta": "η", "cramers_v": "V"}.get(str(column.get("correlation_kind")))
    return join([f"{value:.2f}", element("small", f" {kind}") if kind else None])


def split_section(story: dict[str, Any]) -> Html | None:
    """Return how rows were drawn and judged."""
    split, sample = part(story, "split"), part(story, "sample")
    source, lines = part(story, "source"), []
    if split.get("sentence"):
        lines.append(element("p", prose(sentence_case(split["sentence"])), class_="lead"))
    if split.get("train_rows") is not None and split.get("holdout_rows") is not None:
        lines.append(split_bar(split))
    lines.append(
        element(
            "p",
            "Models were trained, tuned, blended and ranked on the training rows alone. The sealed "
            "rows were read once, after the winner was fixed.",
        )
    )
    if sample.get("sentence"):
        lines.append(element("p", prose(sample["sentence"])))
    if sample.get("unlabelled"):
        lines.append(
            element("p", f"{count(sample['unlabelled'])} rows without a label are left out.")
        )
    if source.get("bad_rows"):
        lines.append(element("p", f"{count(source['bad_rows'])} unreadable rows were skipped."))
    said = [prose(s) for s in texts(part(story, "preflight"), "sentences")[:20]]
    if finite(source.get("bytes")):
        size = megabytes((finite(source["bytes"]) or 0.0) / 2**20)
        said.insert(0, prose(f"The source is {size} as stored."))
    if said:
        told = element("ul", *[element("li", s) for s in said], class_="plain muted")
        lines.append(details("what was estimated before the run", told))
    return section("split", "How it was judged", *lines) if split or sample or said else None


def split_bar(split: dict[str, Any]) -> Html:
    """Return training and sealed rows as one bar."""
    train, sealed = finite(split["train_rows"]) or 0.0, finite(split["holdout_rows"]) or 0.0
    width = train / (train + sealed) * 100 if train + sealed else 50.0
    words = f"{count(train)} rows to learn from, {count(sealed)} sealed rows to judge on"
    bar = element(
        "div",
        element("i", style=f"width:{width:.2f}%"),
        class_="split",
        role="img",
        aria_label=words,
    )
    ends = [
        element("span", f"{count(train)} to learn from"),
        element("span", f"{count(sealed)} sealed"),
    ]
    return element("div", bar, element("p", *ends, class_="split-key"))
