"""Articles read, cleaned, looked through for copies and slips, and split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from promise.data.answer import Answer
from promise.data.columns import Array, Columns, IntArray
from promise.data.infer import infer_field
from promise.data.schema import Field, Schema
from promise.data.source import Source
from promise.data.split import LEAST_ROWS
from promise.errors import DataError, near
from promise.features.text_duplicates import groups as near_duplicates
from promise.features.text_language import language
from promise.job import Job
from promise.kernels.parsing import parse_column
from promise.pipeline.order import Order
from promise.workloads.articles.labels import Named, read_labels, spellings
from promise.workloads.articles.reading import read_articles
from promise.workloads.articles.roles import Sheet, read_sheet
from promise.workloads.articles.split import ArticleSplit
from promise.workloads.articles.task import TEXT

Tell = Callable[[str], None]
_SHOWN = 5
_LOOKED_AT = 2_000  # articles whose language is guessed


@dataclass(frozen=True)
class Ground:
    """Articles ready to be learned from.

    Parameters
    ----------
    articles
        Cleaned: `title`, `body`, `source` and the whole text under `TEXT`.
    named
        Labels; all arrays here have a row for each of `articles`.
    rows
        Their numbers in the source.
    groups
        Copies of one article share a number.
    sealed
        Which are set apart to judge by.
    n_source_rows
        How many rows the source has.
    found
        What was noticed, JSON-ready.
    beside
        The column that the split reads, as it was typed; None where it reads none.
    """

    source: Source
    order: Order
    sheet: Sheet
    articles: Columns
    named: Named
    rows: IntArray
    groups: IntArray
    sealed: Array
    split: ArticleSplit
    n_source_rows: int
    found: dict[str, Any]
    beside: Field | None = None

    @property
    def schema(self) -> Schema:
        """Every column that was read, the label last."""
        fields = self.sheet.schema.fields
        if self.beside is None or self.beside.name in self.sheet.schema.names:
            return self.sheet.schema
        return Schema((*fields[:-1], self.beside, fields[-1]))

    @property
    def job(self) -> Job:
        """What the learning may spend, and its seed."""
        return Job(seed=self.order.seed, threads=self.order.threads, memory_mb=self.order.memory_mb)

    def only(self, rows: IntArray) -> Ground:
        """Return the ground of the articles at these positions."""
        named = replace(self.named, truth=self.named.truth[rows], known=self.named.known[rows])
        return replace(
            self, articles=self.articles.take(rows), named=named, rows=self.rows[rows],
            groups=self.groups[rows], sealed=self.sealed[rows],
        )  # fmt: skip

    @cached_property
    def train(self) -> IntArray:
        """Positions to learn from."""
        return np.flatnonzero(~self.sealed)

    @cached_property
    def holdout(self) -> IntArray:
        """Positions to judge by."""
        return np.flatnonzero(self.sealed)


def lay_ground(source: Source, order: Order, tell: Tell, known: Answer | None = None) -> Ground:
    """Read articles and say what is strange about them.

    Parameters
    ----------
    known
        The answer of the version that is trained again.

    Raises
    ------
    DataError
        When columns are missing, or articles or classes too few.
    """
    sheet = read_sheet(source, order)
    beside = (order.split or "").partition(":")[2] or None
    cells, n_rows, told = _cells(source, sheet, beside)
    named = read_labels(cells["label"], sheet.label, order.options.get("labels", "auto"), known)
    if len(named.known) < LEAST_ROWS:
        raise DataError(
            f"{len(named.known):,} rows of {source.name} have a label in {sheet.label!r}; a model "
            f"needs at least {LEAST_ROWS}, better some hundreds."
        )
    split = ArticleSplit.of(order.split, n_rows=len(named.known), seed=order.seed)
    tell(f"cleaning {len(named.known):,} articles")
    columns = Columns({role: cells[role] for role in sheet.texts}).take(named.known)
    articles = read_articles(columns, {role: role for role in sheet.texts})
    tell("looking for copies")
    groups = near_duplicates(articles[TEXT].tolist())
    keep, copies = _agreed(articles[TEXT], named, groups)
    ground = Ground(
        source, order, sheet, articles, named, named.known, groups,
        np.zeros(len(named.known), np.bool_), split, n_rows,
        {"unlabelled": n_rows - len(named.known), **copies, **_texts(articles, named)}, told,
    ).only(keep)  # fmt: skip
    values = None if beside is None else cells[beside][ground.rows]
    sealed, split = split.sides(ground.named.truth, ground.groups, values)
    ground = replace(ground, sealed=sealed, split=split)
    return replace(ground, found={**ground.found, **_classes(ground)})


def _cells(
    source: Source, sheet: Sheet, beside: str | None
) -> tuple[dict[str, Any], int, Field | None]:
    """Return texts by role, raw labels, and the split's column, for every row; its field."""
    fields = {role: {"name": name, "type": "text"} for role, name in sheet.texts.items()}
    wanted = list(dict.fromkeys([*sheet.texts.values(), sheet.label]))
    if beside is not None:
        if beside not in source.columns:
            raise DataError(
                f"{source.name} has no column {beside!r}; {near(beside, source.columns)}"
            )
        wanted = list(dict.fromkeys([*wanted, beside]))
    parts: dict[str, list[Any]] = {role: [] for role in [*fields, "label"]}
    raw, n_rows = [], 0
    for _, table in source.batches(wanted):
        n_rows += table.num_rows
        for role, field in fields.items():
            column = table.column(field["name"]).combine_chunks()
            parts[role].append(parse_column(column, field))
        parts["label"] += table.column(sheet.label).to_pylist()
        if beside is not None:
            raw.append(table.column(beside))
    if not n_rows:
        raise DataError(f"{source.name} has no rows.")
    cells: dict[str, Any] = {role: np.concatenate(parts[role]) for role in fields}
    cells["label"] = parts["label"]
    if beside is None:
        return cells, n_rows, None
    column = _joined(raw)
    told = infer_field(beside, column)
    cells[beside] = parse_column(column.combine_chunks(), vars(told))
    return cells, n_rows, told


def _joined(chunks: list[Any]) -> Any:
    return pa.chunked_array([c for chunk in chunks for c in chunk.chunks])


def _agreed(texts: Array, named: Named, groups: IntArray) -> tuple[IntArray, dict[str, Any]]:
    """Return the positions to keep, and what copies were found.

    Of equal texts with different labels those count that say what most say; others are left out.
    """
    first: dict[str, list[int]] = {}
    for row, text in enumerate(texts.tolist()):
        if text:
            first.setdefault(text, []).append(row)
    dropped: list[int] = []
    examples = []
    for copies in first.values():
        said = Counter(tuple(np.flatnonzero(named.truth[row]).tolist()) for row in copies)
        if len(said) > 1:
            winner = said.most_common(1)[0][0]
            names = [[named.names[c] for c in codes] for codes in said]
            examples.append({"rows": [int(named.known[r]) for r in copies], "labels": names})
            dropped += [
                r for r in copies if tuple(np.flatnonzero(named.truth[r]).tolist()) != winner
            ]
    repeated = len(texts) - len(np.unique(groups))
    keep = np.setdiff1d(np.arange(len(texts)), np.array(dropped, dtype=np.int64))
    return keep, {
        "copies": {
            "rows": repeated,
            "rule": "an article and its near copies are learned from or judged by, never both",
        },
        "conflicts": {
            "articles": len(examples),
            "left_out": len(dropped),
            "rule": "the label of most copies counts, the first seen of equally many",
            "examples": examples[:_SHOWN],
        },
    }


def _texts(articles: Columns, named: Named) -> dict[str, Any]:
    empty = np.flatnonzero(articles[TEXT] == "")
    return {
        "languages": _languages(articles[TEXT], named),
        "empty": {"articles": len(empty), "rows": named.known[empty[:_SHOWN]].tolist()},
        "spellings": [each.told() for each in spellings(named)],
    }


def _languages(texts: Array, named: Named) -> dict[str, Any]:
    """Return which languages articles are in, as far as a sample of them tells."""
    looked_at = np.arange(0, len(texts), -(-len(texts) // _LOOKED_AT))
    told = [language(text) for text in texts[looked_at].tolist()]
    counts = Counter(code for code in told if code is not None).most_common()
    usual = counts[0][0] if counts else None
    others = [row for row, code in zip(looked_at, told, strict=True) if code not in (None, usual)]
    found = {
        "usual": usual,
        "articles": dict(counts),
        "looked_at": len(looked_at),
        "rows": named.known[np.array(others[:_SHOWN], dtype=np.int64)].tolist(),
    }
    if len(counts) < 2:
        return found
    listed = ", ".join(f"{code} ({n:,})" for code, n in counts)
    return found | {
        "in_words": f"articles are in {len(counts)} languages: {listed}; those of few articles are "
        "answered badly: check them, or train a model for each language"
    }


def _classes(ground: Ground) -> dict[str, Any]:
    """Return which classes are too small to be judged or learned."""
    learned = ground.named.truth[ground.train].sum(axis=0)
    judged = ground.named.truth[ground.holdout].sum(axis=0)
    names = np.array(ground.named.names, dtype=object)
    crossing = np.intersect1d(ground.groups[ground.train], ground.groups[ground.holdout])
    return {
        "single": names[(learned + judged) == 1].tolist(),
        "not_judged": names[judged == 0].tolist(),
        "not_learned": names[learned == 0].tolist(),
        "copies_across": int(np.isin(ground.groups[ground.holdout], crossing).sum()),
    }
