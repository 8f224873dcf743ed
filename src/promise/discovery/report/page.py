"""One self-contained page: no script, no request, readable on a phone, on paper and in the dark."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from promise.discovery.report.answer import answer_section, masthead, warnings_section
from promise.discovery.report.board import board_section
from promise.discovery.report.data import findings_section, profile_section, split_section
from promise.discovery.report.errors import errors_section
from promise.discovery.report.explain import curve_section, importance_section
from promise.discovery.report.handover import footer, next_section, race_section
from promise.discovery.report.markup import Html, clip, element, join
from promise.discovery.report.wording import part

# The browser itself then refuses scripts and requests, whatever a column name may try.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'"

_SECTIONS = (
    ("answer", "Answer", answer_section),
    ("warnings", "Mind first", warnings_section),
    ("leaderboard", "Leaderboard", board_section),
    ("importance", "What drives it", importance_section),
    ("data-size", "How much data", curve_section),
    ("errors", "Where it errs", errors_section),
    ("findings", "Findings", findings_section),
    ("columns", "Columns", profile_section),
    ("split", "Judging", split_section),
    ("race", "Race", race_section),
    ("next", "Use it", next_section),
)


def render(story: dict[str, Any]) -> str:
    """Return the whole report as one HTML page of well under 2 MB.

    Parameters
    ----------
    story
        Plain JSON values; parts that are missing or None are left out of the page. Long lists
        and texts are cut, and the page says so. Every text is escaped.

    Examples
    --------
    >>> page = render({"task": {"target": "<script>"}})
    >>> "<script>" in page, "&lt;script&gt;" in page
    (False, True)
    """
    made = [(key, title, make(story)) for key, title, make in _SECTIONS]
    shown = [(key, title, body) for key, title, body in made if body is not None]
    links = [element("a", title, href=f"#{key}") for key, title, _ in shown]
    body = element(
        "body",
        element("a", "Skip to the answer", href="#answer", class_="skip"),
        masthead(story),
        element(
            "div",
            element("nav", *links, aria_label="On this page"),
            element("main", *[body for _, _, body in shown]),
            class_="columns-2",
        ),
        footer(story),
    )
    return "<!doctype html>\n" + element("html", head(story), body, lang="en") + "\n"


def head(story: dict[str, Any]) -> Html:
    """Return title, policy and style."""
    target = part(story, "task").get("target")
    title = "Promise report" if target is None else f"{clip(target, 80)} · Promise report"
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="referrer", content="no-referrer"),
        element("title", title),
        element("link", rel="icon", href="data:,"),  # else a browser would ask for one
        join([Html("<style>"), style(), Html("</style>")]),
    )


@cache
def style() -> Html:
    """Return the style sheet of the package."""
    return Html((Path(__file__).resolve().parent / "style.css").read_text(encoding="utf-8"))
