"""What classes belong to: companies above apps, categories above both."""

from __future__ import annotations

import numpy as np

from promise.workloads.domains.ground import Ground
from promise.workloads.domains.naming import Level
from promise.workloads.domains.parts import parts_of
from promise.workloads.domains.split import TRAIN


def levels_of(ground: Ground) -> tuple[Level, ...]:
    """Return what each class belongs to, by the majority of its names to learn from."""
    if not ground.sheet.levels:
        return ()
    tables = [
        np.zeros((len(ground.classes), max(1, len(known))), np.int64)
        for known in ground.spool.tally.levels
    ]
    for part in parts_of(ground.spool):
        for i, table in enumerate(tables):
            rows = (part.levels[:, i] >= 0) & (part.sides == TRAIN)
            np.add.at(table, (part.codes[rows], part.levels[rows, i]), 1)
    return tuple(
        Level(
            name,
            tuple(known),
            tuple(int(row.argmax()) if row.any() else -1 for row in table),
        )
        for name, known, table in zip(
            ground.sheet.levels, ground.spool.tally.levels, tables, strict=True
        )
    )
