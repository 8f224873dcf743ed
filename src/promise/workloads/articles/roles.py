"""Which columns of a table hold an article's title, body and source, and which its label."""

from __future__ import annotations

from dataclasses import dataclass

from promise.data.infer import infer_schema
from promise.data.schema import Field, Role, Schema
from promise.data.source import Source
from promise.errors import DataError, near
from promise.pipeline.order import Order

NAMES: dict[str, tuple[str, ...]] = {
    "title": ("title", "headline", "head", "subject"),
    "body": ("body", "text", "content", "article", "story", "message", "document"),
    "source": ("source", "publisher", "outlet", "feed"),
    "label": (
        "label", "category", "class", "topic", "section",
        "labels", "categories", "classes", "topics", "tags",
    ),
}  # fmt: skip
"""By role: what columns are called that play it, the likeliest name first."""

TEXTS: tuple[Role, ...] = ("title", "body")


@dataclass(frozen=True)
class Sheet:
    """Which columns are read.

    Parameters
    ----------
    title, body, source
        Their columns; None where there is none. One of title and body suffices.
    label
        The column of one class or of several labels.
    """

    title: str | None
    body: str | None
    source: str | None
    label: str

    @property
    def texts(self) -> dict[str, str]:
        """The columns of text that there are, by role."""
        found = {"title": self.title, "body": self.body, "source": self.source}
        return {role: name for role, name in found.items() if name is not None}

    @property
    def request(self) -> Schema:
        """Title and body as a request has them."""
        return Schema(tuple(Field(self.texts[r], "text", role=r) for r in TEXTS if r in self.texts))

    @property
    def with_source(self) -> Schema:
        """The request of a model that reads the source, too."""
        if self.source is None:
            return self.request
        return Schema((*self.request.fields, Field(self.source, "category", role="source")))

    @property
    def label_field(self) -> Field:
        """How labels are read."""
        return Field(self.label, "category", role="label")

    @property
    def schema(self) -> Schema:
        """Every column that is read."""
        return Schema((*self.with_source.fields, self.label_field))


def read_sheet(source: Source, order: Order) -> Sheet:
    """Find the columns: by role, by name, or as the only ones that can be meant.

    Raises
    ------
    DataError
        When there is no text or no label, or several columns would do; says how to name them.

    Examples
    --------
    >>> from pathlib import Path
    >>> import pyarrow as pa
    >>> from promise.data.source import open_source
    >>> table = pa.table({"headline": ["A"], "text": ["Long story"], "topic": ["sport"]})
    >>> read_sheet(open_source(table), Order("news", Path("."))).texts
    {'title': 'headline', 'body': 'text'}
    """
    roles = {role: column for column, role in order.columns.items()}
    for column in order.columns:
        if column not in source.columns:
            raise DataError(
                f"{source.name} has no column {column!r}; {near(column, source.columns)}"
            )
    taken = set(roles.values())
    found: dict[str, str | None] = {}
    for role in ("title", "body", "source"):
        found[role] = roles.get(role) or _called(role, source.columns, taken)
        taken |= {name for name in (found[role],) if name is not None}
    label = order.target or roles.get("label") or _called("label", source.columns, taken)
    if found["title"] is None and found["body"] is None:
        found["body"] = _text(source, taken | ({label} if label else set()))
    taken |= {name for name in found.values() if name is not None}
    return Sheet(found["title"], found["body"], found["source"], label or _label(source, taken))


def _called(role: str, columns: tuple[str, ...], taken: set[str]) -> str | None:
    """Return the free column that is called what this role is called, the likeliest name first."""
    free = {name.lower(): name for name in columns if name not in taken}
    return next((free[name] for name in NAMES[role] if name in free), None)


def _text(source: Source, taken: set[str]) -> str:
    """Return the one column of running text."""
    free = [name for name in source.columns if name not in taken]
    texts = [f.name for f in infer_schema(source) if f.name in free and f.type == "text"]
    if len(texts) == 1:
        return texts[0]
    what = f"several columns of text ({', '.join(texts)})" if texts else "no column of text"
    raise DataError(
        f"{source.name} has {what} and none called body or title; say which by "
        f"--column body=NAME (columns: {', '.join(source.columns)})."
    )


def _label(source: Source, taken: set[str]) -> str:
    free = [name for name in source.columns if name not in taken]
    if len(free) == 1:
        return free[0]
    shown = ", ".join(free) or "none left"
    raise DataError(
        f"{source.name}: no column is called label or category (columns: {shown}); say which one "
        "holds the label by --column label=NAME."
    )
