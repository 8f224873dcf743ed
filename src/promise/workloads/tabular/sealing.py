"""Which rows a training on everything may not see: a version's holdout, by its own rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from promise.data.columns import Array, Columns, IntArray
from promise.data.infer import read_columns
from promise.data.schema import Schema
from promise.data.source import Source
from promise.data.split import HOLDOUT, TRAIN, time_cutoff
from promise.errors import DataError, near
from promise.kernels.parsing import parse_columns
from promise.kernels.rows import row_hash
from promise.pipeline.holdout import HoldoutRule
from promise.pipeline.task import Task

_HOLDOUT_SHARE = 0.1
_HOLDOUT_AT_MOST = 20_000


@dataclass(frozen=True)
class Seal:
    """The rows that training never sees.

    Parameters
    ----------
    judged
        Sorted row numbers that the new version is judged by.
    rule
        Drops further rows: those that a sampled discovery never read but that lie after the
        cutoff, in the gap or in a sealed group. None where the row numbers say everything.
    sentence
        What is judged by, in words.
    """

    judged: IntArray
    rule: HoldoutRule | None = None
    sentence: str = ""

    @property
    def columns(self) -> tuple[str, ...]:
        """What must be read to tell the sides apart."""
        return () if self.rule is None or self.rule.field is None else (self.rule.field.name,)

    def learnable(self, rows: IntArray, table: pa.Table) -> Array:
        """Return which of these rows may be learned from."""
        at = np.searchsorted(self.judged, rows)
        seen = at == len(self.judged)
        seen[~seen] = self.judged[at[~seen]] != rows[~seen]
        if self.rule is not None:
            seen &= _sides(self.rule, rows, table) == TRAIN
        return np.asarray(seen)


def seal(
    source: Source,
    task: Task,
    lineage: Mapping[str, Any],
    folder: Path,
    *,
    seed: int,
    anew: bool = False,
) -> Seal:
    """Seal the version's own holdout where the data is the same, else rows by the same rule.

    Temporal and grouped rules hold for other data too; when all rows lie on one side of the
    cutoff it moves to the same share of the new data. Else a tenth is sealed by hash.

    Parameters
    ----------
    anew
        Whether the cutoff or the groups are drawn from this data in any case, as for data that
        goes on where the version's ended: all of it lies behind the old cutoff.
    """
    rule = HoldoutRule.of(task, lineage)
    rule = rule if rule is not None and rule.by_row else None
    if rule is not None and rule.field is not None and rule.field.name not in source.columns:
        raise DataError(
            f"{source.name} has no column {rule.field.name!r}, by which the version's holdout is "
            f"set apart; {near(rule.field.name, source.columns)}"
        )
    if lineage.get("fingerprint") == source.fingerprint():
        rows = np.sort(np.load(folder / "holdout_rows.npy"))
        return Seal(rows, rule, f"the sealed holdout of the version ({len(rows):,} rows)")
    if rule is None or rule.field is None:
        return _hashed(source, seed)
    return _ruled(source, rule, seed, whole=task.request.find("time") is not None, anew=anew)


def _hashed(source: Source, seed: int) -> Seal:
    share = min(_HOLDOUT_SHARE, _HOLDOUT_AT_MOST / max(1, source.size().rows))
    found = [np.zeros(0, dtype=np.int64)]
    for first, table in source.batches([source.columns[0]]):
        numbers = np.arange(first, first + table.num_rows)
        found.append(numbers[row_hash(numbers, seed) < np.uint64(share * 2**64)])
    rows = np.concatenate(found)
    return Seal(rows, None, f"a hashed {share:.1%} of the rows ({len(rows):,})")


def _ruled(source: Source, rule: HoldoutRule, seed: int, *, whole: bool, anew: bool) -> Seal:
    """Apply a temporal or grouped rule to other data; `whole` keeps windows of rows unbroken."""
    rows, learnable = _held_out(source, rule)
    fits = bool(len(rows) and learnable)
    if rule.field is not None and (anew or (rule.split.kind == "temporal" and not fits)):
        values = read_columns(source, Schema((rule.field,)))[0][rule.field.name]
        rule = _drawn(rule, values)
        rows, learnable = _held_out(source, rule)
    sentence = rule.split.describe()
    if not (len(rows) and learnable):
        side = "hold out" if learnable else "learn from"
        raise DataError(f"{source.name} has no row to {side}: sealed are {sentence}.")
    judged = rows
    if not whole and len(rows) > _HOLDOUT_AT_MOST:
        judged = np.sort(rows[np.argsort(row_hash(rows.astype(np.int64), seed))[:_HOLDOUT_AT_MOST]])
    of = "" if len(judged) == len(rows) else f" of {len(rows):,}"
    return Seal(judged, rule, f"{sentence} ({len(judged):,}{of} rows)")


def _drawn(rule: HoldoutRule, values: Array) -> HoldoutRule:
    """Return the rule with the cutoff, or the groups, of these values of its column."""
    split = rule.split
    if split.kind == "temporal":
        return replace(rule, split=replace(split, cutoff=time_cutoff(values, split.fraction)))
    drawn = replace(split, seed=split.seed + 1)  # groups of the old draw may all be set apart
    return replace(rule, split=drawn)


def _held_out(source: Source, rule: HoldoutRule) -> tuple[IntArray, int]:
    """Return the sealed row numbers, and how many rows may be learned from."""
    found, learnable = [np.zeros(0, dtype=np.int64)], 0
    for first, table in source.batches([] if rule.field is None else [rule.field.name]):
        numbers = np.arange(first, first + table.num_rows)
        sides = _sides(rule, numbers, table)
        found.append(numbers[sides == HOLDOUT])
        learnable += int((sides == TRAIN).sum())
    return np.concatenate(found), learnable


def _sides(rule: HoldoutRule, rows: IntArray, table: pa.Table) -> Array:
    fields = [] if rule.field is None else Schema((rule.field,)).to_json()
    return rule.sides(rows, Columns(parse_columns(table, fields) if fields else {}))
