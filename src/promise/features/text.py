"""Articles as text: cleaned, and cut into words.

Articles travel as Columns with `title`, `body` and `source`: objects, str or None. Everything here
takes time in proportion to the text's length, markup that was never closed included.
"""

from __future__ import annotations

import html
import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from html.parser import HTMLParser
from typing import Any

import numpy as np

from promise.data.columns import Array, Columns
from promise.errors import DataError, near

TITLE, BODY, SOURCE = "title", "body", "source"
"""The columns that articles have."""

_NAMES = {
    TITLE: ("title", "headline"),
    BODY: ("body", "content", "text", "article"),
    SOURCE: ("source", "publisher"),
}
_BLOCK_TAGS = """
address article aside blockquote br dd div dl dt figcaption figure footer form h1 h2 h3 h4 h5 h6
header hr li main nav ol p pre section table td th title tr ul
"""
_BLOCKS = frozenset(_BLOCK_TAGS.split())
_UNREAD = frozenset(("script", "style", "template", "noscript"))
_UNREAD_EDGES = {
    tag: (re.compile(f"<{tag}", re.IGNORECASE), re.compile(f"</{tag}", re.IGNORECASE))
    for tag in sorted(_UNREAD)
}
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>|<!--|<!\[CDATA\[")
_DECLARED = re.compile(r"<!doctype[^<>]*>|<\?[a-zA-Z][^<>]*>|<!\[CDATA\[|\]\]>", re.IGNORECASE)
_STRAY = re.compile(r"<(?!/?[a-zA-Z][^<>]*>)")
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_PLAIN = {
    "‘": "'", "’": "'", "‚": "'", "‛": "'", "“": '"', "”": '"', "„": '"', "«": '"', "»": '"',
    "–": "-", "—": "-", "‒": "-", "―": "-", "−": "-", "\u2028": "\n", "\u2029": "\n",
    "\u00ad": "", "\u200b": "", "\u200c": "", "\u200d": "", "\u2060": "", "\ufeff": "",
    "\x00": " ",
}  # fmt: skip
_ODD = re.compile(f"[{''.join(_PLAIN)}]")


def clean(text: str | None) -> str:
    """Return text as people read it: no markup, one spelling of each character, single spaces.

    Line breaks stay, since headings and list items end there. Characters take Unicode's
    compatibility form (NFKC), quotes and dashes their plain one.

    Examples
    --------
    >>> clean("<p>Caf&eacute;&nbsp;<b>prices</b></p><script>x()</script><p>3 < 4 &amp; up</p>")
    'Café prices\\n3 < 4 & up'
    >>> clean(None), clean("ﬁne  “print”")
    ('', 'fine "print"')
    """
    if not text:
        return ""
    if "<" in text and _TAG.search(text):
        text = _without_markup(text)
    elif "&" in text:
        text = html.unescape(text)
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text.encode("utf-8", "replace").decode("utf-8"))
        text = _ODD.sub(lambda found: _PLAIN[found.group()], text)
    elif "\x00" in text:
        text = text.replace("\x00", " ")
    lines = (" ".join(line.split()) for line in text.replace("\r", "\n").split("\n"))
    return "\n".join(filter(None, lines))


class _Text(HTMLParser):
    """Collects what a page says outside its scripts and styles."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._unread = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        if not self._unread and tag in _UNREAD:
            self._unread = tag
        elif tag in _BLOCKS:
            self.pieces.append("\n")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        if tag in _BLOCKS:
            self.pieces.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag == self._unread:
            self._unread = ""
        elif tag in _BLOCKS:
            self.pieces.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._unread:
            self.pieces.append(data)


def _without_markup(text: str) -> str:
    """Return a page's text; only tags that end are tags, whatever else stands in between.

    The parser looks for the end of each construct up to the end of the page, so that a page of
    beginnings without ends would take time by the square of its length: these are text here.
    """
    if "<!--" in text:
        last = text.rfind("-->") + 3
        text = _COMMENT.sub(" ", text[:last]) + text[last:]
    parser = _Text()
    parser.feed(_closed(_STRAY.sub("&lt;", _DECLARED.sub("", text))))
    parser.close()
    return "".join(parser.pieces)


def _closed(text: str) -> str:
    """Return a page in which every unread element ends; what follows one that does not is read."""
    for tag, (begin, end) in _UNREAD_EDGES.items():
        last = max((found.start() for found in end.finditer(text)), default=0)
        text = text[:last] + begin.sub(f"<x-{tag}", text[last:])
    return text


def words(text: str) -> list[str]:
    """Return the words of a cleaned text, lower-case, without a possessive `'s`.

    Examples
    --------
    >>> words("The minister's plan: don't pay 40% more")
    ['the', 'minister', 'plan', "don't", 'pay', '40', 'more']
    """
    return [word.removesuffix("'s") for word in _WORD.findall(text.lower())]


def to_columns(articles: Sequence[Mapping[str, Any] | str]) -> Columns:
    """Turn articles as people write them into Columns.

    Parameters
    ----------
    articles
        Texts, or mappings with a body (`body`, `content`, `text`, `article`), a title (`title`,
        `headline`) and a source (`source`, `publisher`), of which any may be missing.

    Raises
    ------
    DataError
        When an article is neither, or has none of these fields; when one came for many.

    Examples
    --------
    >>> articles = to_columns([{"headline": "Rates rise", "content": "Again."}, "Only a text."])
    >>> articles["title"].tolist(), articles["body"].tolist()
    (['Rates rise', None], ['Again.', 'Only a text.'])
    """
    if isinstance(articles, str | Mapping):
        raise DataError("a single article came where many are expected; put it into a list.")
    rows = [_fields(article, row) for row, article in enumerate(articles)]
    return Columns({name: _objects([row.get(name) for row in rows]) for name in _NAMES})


def _fields(article: Mapping[str, Any] | str, row: int) -> dict[str, str | None]:
    if isinstance(article, str):
        return {BODY: article}
    if not isinstance(article, Mapping):
        raise DataError(
            f"article {row} is {type(article).__name__}; give a text, or a mapping with "
            "`title`, `body` and `source`."
        )
    given = {str(key).lower(): value for key, value in article.items()}
    found: dict[str, str | None] = {}
    for name, spellings in _NAMES.items():
        present = [given[spelling] for spelling in spellings if spelling in given]
        if present:
            found[name] = next((cell for cell in map(text_or_none, present) if cell), None)
    if not found:
        known = [spelling for spellings in _NAMES.values() for spelling in spellings]
        shown = next(iter(given), "")
        raise DataError(f"article {row} has no title, body or source; {near(shown, known)}")
    return found


def text_or_none(cell: Any) -> str | None:
    """Return a cell's text; None for what is missing in any of the ways that frames know."""
    if isinstance(cell, str):
        return cell
    missing = cell is None or type(cell).__name__ in ("NAType", "NaTType")
    missing = missing or (isinstance(cell, float | np.floating) and math.isnan(cell))
    return None if missing else str(cell)


def _objects(cells: Sequence[str | None]) -> Array:
    column = np.empty(len(cells), dtype=object)
    column[:] = cells
    return column
