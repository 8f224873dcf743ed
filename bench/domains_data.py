"""The real names of `bench domains`, in one spelling, with the sides of the three splits."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from promise.features.names import normalise_many, pinned_suffixes
from promise.kernels.rows import row_hash
from promise.workloads.domains.split import SIDE_OF, NameSplit

SEED = 7
"""What `promise train` draws with unless told otherwise: its split is repeated here."""

NO_APPS = ("category-", "geolocation-", "tld-")
"""Lists of v2fly that collect apps rather than name one."""


@dataclass(frozen=True)
class Labelled:
    """Different names, each with one label.

    Parameters
    ----------
    names, labels
        Objects of str (n,).
    sides
        What each name is for, as `NameSplit.sides` has it.
    """

    names: np.ndarray
    labels: np.ndarray
    sides: np.ndarray

    @property
    def classes(self) -> np.ndarray:
        """All labels, ascending."""
        return np.unique(self.labels)

    @property
    def codes(self) -> np.ndarray:
        """Each label's place among the classes."""
        return np.searchsorted(self.classes, self.labels)

    @property
    def open(self) -> np.ndarray:
        """Rows in no sealed part: what a peer may learn from."""
        return np.flatnonzero(~np.isin(self.sides, list(SIDE_OF.values())))

    def sealed(self, rule: str) -> np.ndarray:
        """Rows of a sealed part."""
        return np.flatnonzero(self.sides == SIDE_OF[rule])  # type: ignore[index]

    def take(self, rows: np.ndarray) -> Labelled:
        """Return some of the rows."""
        return Labelled(self.names[rows], self.labels[rows], self.sides[rows])

    def table(self) -> pa.Table:
        """Return it as a user has it."""
        return pa.table({"domain": self.names, "label": self.labels})


def labelled(names: list[str | None], labels: list[str], rows: int | None = None) -> Labelled:
    """Normalise names, keep each once with its first label, and deal them to the splits.

    Parameters
    ----------
    rows
        At most so many, drawn by their hash.
    """
    found = normalise_many(names, pinned_suffixes())
    first: dict[str, str] = {}
    for text, label in zip(found.texts(), labels, strict=True):
        if text:
            first.setdefault(text, label)
    texts = np.array(list(first), dtype=object)
    kept = np.array(list(first.values()), dtype=object)
    order = np.argsort(row_hash(np.arange(len(texts)), SEED), kind="stable")[:rows]
    once = normalise_many(texts[order], pinned_suffixes())
    split = NameSplit.of("registrable", n_rows=len(order), seed=SEED)
    return Labelled(texts[order], kept[order], split.sides(once))


def folder() -> Path:
    """Return where the lists of names lie, or end with what is to be done."""
    found = Path(os.environ.get("PROMISE_DATA", "../shared/data")).resolve() / "domains"
    if not found.is_dir():
        raise SystemExit(f"no {found}; set PROMISE_DATA to the folder that has domains/")
    return found


def ut1(rows: int | None = None) -> Labelled:
    """Return names of 42 categories."""
    table = pq.read_table(folder() / "ut1_categories.parquet")
    return labelled(table["domain"].to_pylist(), table["category"].to_pylist(), rows)


def ut1_and_dga(rows: int | None = None) -> Labelled:
    """Return more than 1.2 million names: categories, and families of machine-made names."""
    one = pq.read_table(folder() / "ut1_categories.parquet")
    two = pq.read_table(folder() / "dga_families.parquet")
    names = one["domain"].to_pylist() + two["domain"].to_pylist()
    return labelled(names, one["category"].to_pylist() + two["family"].to_pylist(), rows)


def v2fly(least: int = 20) -> Labelled:
    """Return names of apps with at least so many; a name in several lists is of the smallest."""
    table = pq.read_table(folder() / "v2fly_apps.parquet", columns=["domain", "app"]).to_pylist()
    sizes = Counter(row["app"] for row in table)
    rows = [row for row in table if row["domain"] and not row["app"].startswith(NO_APPS)]
    rows.sort(key=lambda row: (sizes[row["app"]], row["app"]))
    once: dict[str, str] = {}
    for row in rows:
        once.setdefault(row["domain"], row["app"])
    left = Counter(once.values())
    kept = {name: app for name, app in once.items() if left[app] >= least}
    return labelled(list(kept), list(kept.values()))


def popular() -> list[str]:
    """Return 100,000 names that nobody has labelled."""
    return (folder() / "top_100k_domains.txt").read_text(encoding="utf-8").split()
