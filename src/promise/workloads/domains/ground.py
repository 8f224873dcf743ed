"""Names laid out on disk, split and counted, before anything is learned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from promise.data.columns import IntArray
from promise.data.source import Source
from promise.engine.local import LocalEngine
from promise.errors import DataError
from promise.job import Job
from promise.pipeline.order import Order
from promise.workloads.domains.naming import UNKNOWN
from promise.workloads.domains.parts import Found, settle
from promise.workloads.domains.split import LEARNED, TRAIN, NameSplit
from promise.workloads.domains.spool import Spool, spool_rows
from promise.workloads.domains.task import Sheet, read_sheet

Tell = Callable[[str], None]

SHARDED = 200_000
"""From so many rows on, parts are made ready by several processes."""


@dataclass(frozen=True)
class Ground:
    """Names laid out and ready, before anything is learned.

    Parameters
    ----------
    classes
        In the order of their codes.
    """

    source: Source
    sheet: Sheet
    spool: Spool
    split: NameSplit
    classes: tuple[str, ...]
    found: Found
    order: Order

    @property
    def job(self) -> Job:
        """What the learning may spend, and its seed."""
        return Job(seed=self.order.seed, threads=self.order.threads, memory_mb=self.order.memory_mb)

    @property
    def learned(self) -> IntArray:
        """Names that calibration and rules are settled without, by class."""
        counts: IntArray = self.found.counts[TRAIN]
        return counts

    @property
    def unsealed(self) -> IntArray:
        """Names that the final weights are learned from, by class."""
        counts: IntArray = self.found.counts[list(LEARNED)].sum(axis=0)
        return counts


def lay_ground(source: Source, order: Order, tell: Tell) -> Ground:
    """Read, normalise, shuffle and split the names.

    Raises
    ------
    DataError
        When there are too few names or classes.
    """
    sheet = read_sheet(source, order)
    spool = spool_rows(source, sheet, order.work / "parts", order.seed, tell)
    classes = tuple(sorted(spool.tally.labels))
    if len(classes) < 2:
        raise DataError(
            f"column {sheet.label!r} has one class ({classes[0]!r}); give at least two."
        )
    if UNKNOWN in classes:
        raise DataError(
            f"column {sheet.label!r} has a class {UNKNOWN!r}, which is what the model answers "
            "when it knows nothing; give such names by --set background=FILE instead."
        )
    split = NameSplit.of(order.split, n_rows=spool.tally.rows, seed=order.seed)
    return settled(source, order, sheet, spool, split, classes, tell)


def settled(
    source: Source,
    order: Order,
    sheet: Sheet,
    spool: Spool,
    split: NameSplit,
    classes: tuple[str, ...],
    tell: Tell,
) -> Ground:
    """Return names that are laid out, made ready in several processes where that is worth it."""
    if spool.tally.ordered:
        tell("rows stand ordered by label; they are shuffled")
    tell("splitting")
    place = {name: code for code, name in enumerate(classes)}
    codes = np.array([place[name] for name in spool.tally.labels], np.int32)
    if order.threads < 2 or spool.tally.rows < SHARDED:
        found = settle(spool, split, codes, None, 1)
    else:
        with LocalEngine(
            threads=order.threads, memory_mb=order.memory_mb, preload=(settle.__module__,)
        ) as engine:
            found = settle(spool, split, codes, engine, order.threads)
    return Ground(source, sheet, spool, split, classes, found, order)
