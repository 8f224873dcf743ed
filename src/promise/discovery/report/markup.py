"""HTML as values: text is escaped unless it is markup already, so data can never become tags."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

Attribute = str | float | bool | None

_EMPTY = frozenset({"meta", "link", "br", "circle", "line", "path", "rect", "polygon", "polyline"})
# Control characters, lone surrogates and text-direction overrides: no valid UTF-8, or a disguise.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")


class Html(str):
    """Markup that is safe to place in a page as it is."""

    __slots__ = ()


Part = str | float | None
"""What goes into an element: markup, or text and numbers, which are escaped."""


def element(name: str, /, *parts: Part, **attributes: Attribute) -> Html:
    """Return an element; underscores in attribute names become dashes, a last one is dropped.

    Examples
    --------
    >>> element("p", "a < b", element("b", "!"), class_="note", hidden=False)
    '<p class="note">a &lt; b<b>!</b></p>'
    """
    words = [name]
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        spelled = key.rstrip("_").replace("_", "-")
        words.append(spelled if value is True else f'{spelled}="{escape(value)}"')
    opening = " ".join(words)
    if name in _EMPTY and not parts:
        return Html(f"<{opening}/>")
    return Html(f"<{opening}>{join(parts)}</{name}>")


def join(parts: Iterable[Part]) -> Html:
    """Return the parts one after the other; None is nothing."""
    return Html("".join(escape(part) for part in parts if part is not None))


def escape(part: Part) -> Html:
    """Return the part as markup.

    Examples
    --------
    >>> escape("<script>"), escape(Html("<b>")), escape("a\\x00b")
    ('&lt;script&gt;', '<b>', 'a�b')
    """
    if isinstance(part, Html):
        return part
    return Html(html.escape(_UNSAFE.sub("\ufffd", str(part))))


def clip(text: object, limit: int = 80) -> str:
    """Return the text, cut where it is longer than the limit; a dash where there is none.

    Examples
    --------
    >>> clip("abcdef", 4)
    'abc…'
    """
    found = "–" if text is None else str(text)
    return found if len(found) <= limit else found[: limit - 1] + "…"


def prose(text: object, limit: int = 1500) -> Html:
    """Return a sentence; what stands between backticks is set as code.

    Examples
    --------
    >>> prose("take `a<b`")
    'take <code>a&lt;b</code>'
    """
    return Html(re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(clip(text, limit))))


def table(
    heads: Iterable[Part],
    rows: Iterable[Iterable[Part]],
    *,
    label: str,
    cards: bool = False,
    class_: str = "",
) -> Html:
    """Return a table in a box of its own that scrolls, or folds into cards on a narrow screen.

    The first cell of each row heads it. Roles are spelled out, since a table that is laid out
    as cards loses them in some browsers.
    """
    heads = list(heads)
    names = [re.sub(r"<[^>]*>", "", escape(head)) for head in heads]
    top = [element("th", head, scope="col", role="columnheader") for head in heads]
    body = []
    for cells in rows:
        marked: list[Part] = []
        for place, cell in enumerate(cells):
            if place == 0:
                marked.append(element("th", cell, scope="row", role="rowheader"))
            else:
                shown = Html(names[place])
                inner = element("div", cell) if cards else cell  # one thing beside its label
                marked.append(element("td", inner, role="cell", data_label=shown))
        body.append(element("tr", *marked, role="row"))
    whole = element(
        "table",
        element("thead", element("tr", *top, role="row"), role="rowgroup"),
        element("tbody", *body, role="rowgroup"),
        role="table",
        aria_label=label,
        class_=f"{class_} cards".strip() if cards else class_ or None,
    )
    return element("div", whole, class_="scroll", role="region", aria_label=label, tabindex=0)


def code_block(text: str, limit: int = 2000) -> Html:
    """Return lines of code that one click selects whole."""
    shortened = element("span", "shortened", class_="badge") if len(text) > limit else None
    return join([element("pre", element("code", clip(text, limit)), tabindex=0), shortened])


def details(summary: Part, *parts: Part) -> Html:
    """Return parts that are folded away under a line."""
    return element("details", element("summary", summary), *parts)


def section(key: str, title: str, *parts: Part) -> Html:
    """Return a headed part of the page."""
    head = element("h2", title, id=f"{key}-title")
    return element("section", head, *parts, id=key, aria_labelledby=f"{key}-title")
