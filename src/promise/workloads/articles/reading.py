"""Featurize stage: an article's fields cleaned, and its whole text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from promise.data.columns import Array, Columns
from promise.features.text import BODY, SOURCE, TITLE, clean
from promise.pipeline.stages import State
from promise.workloads.articles.task import TEXT


def read_articles(columns: Columns, names: Mapping[str, str]) -> Columns:
    """Return `title`, `body` and `source` cleaned, and the whole text of each article.

    Parameters
    ----------
    names
        Role to column.
    """
    n = columns.n_rows
    read: dict[str, Array] = {}
    for role in (TITLE, BODY):
        cells = columns[names[role]].tolist() if role in names else [None] * n
        read[role] = _objects([clean(cell) if cell else "" for cell in cells])
    whole = [
        f"{title}\n{body}" if title and body else title or body
        for title, body in zip(read[TITLE].tolist(), read[BODY].tolist(), strict=True)
    ]
    source = columns[names[SOURCE]] if SOURCE in names else _objects([None] * n)
    return Columns({**read, SOURCE: source, TEXT: _objects(whole)})


def read_article(cells: Mapping[str, str | None]) -> tuple[Columns, str]:
    """Return one article as `read_articles` does, and its whole text.

    Parameters
    ----------
    cells
        By role.
    """
    title, body = (clean(cells.get(role)) for role in (TITLE, BODY))
    whole = f"{title}\n{body}" if title and body else title or body
    read = {TITLE: title, BODY: body, SOURCE: cells.get(SOURCE), TEXT: whole}
    return Columns({role: _objects([cell]) for role, cell in read.items()}), whole


def _objects(cells: Sequence[str | None]) -> Array:
    found = np.empty(len(cells), dtype=object)
    found[:] = cells
    return found


@dataclass(frozen=True)
class ArticleText:
    """Reads a request's fields as an article.

    Parameters
    ----------
    names
        Role to the request's field: `title`, `body`, `source`.
    """

    kind: ClassVar[str] = "article_text"
    kind_version: ClassVar[int] = 1
    names: Mapping[str, str]

    def needs(self, request: Columns) -> tuple[str, ...]:  # noqa: ARG002 — the stage's signature
        """Articles have no keyed state."""
        return ()

    def many(self, columns: Columns, state: State, at: datetime | None) -> Columns:  # noqa: ARG002 — the stage's signature
        """Return the articles, row for row."""
        return read_articles(columns, self.names)

    def save(self, folder: Path) -> None:
        """Write which field is what."""
        (folder / "fields.json").write_text(json.dumps(dict(self.names)), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote."""
        return cls(json.loads((folder / "fields.json").read_text(encoding="utf-8")))
