"""Which labelled answers a retraining learns from, and which are set aside to judge by."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from promise.data.columns import Array, Columns
from promise.data.schema import Schema
from promise.data.split import HOLDOUT
from promise.data.target import labelled
from promise.features.text_cache import normal_text
from promise.kernels.rows import text_hash
from promise.pipeline.holdout import HoldoutRule
from promise.records.source import ID
from promise.retraining.base import Base, rows_of
from promise.retraining.logged import Logged

SET_ASIDE = 0.2
"""Share of labelled answers that is never learned from, so that versions can be compared."""

_SEED = 0x7E7A  # one draw for all models and runs: a row once set aside stays so


@dataclass(frozen=True)
class Sides:
    """Which logged answers are learned from and which judge; some do neither.

    Parameters
    ----------
    cutoff_s
        Where time sets them apart: answers from then on judge.
    """

    learned: Array
    judging: Array
    cutoff_s: float | None = None


@dataclass(frozen=True)
class Seen:
    """What the requests of the version's own rows say, hashed, uint64.

    Parameters
    ----------
    learned, sealed
        Of its rows to learn from, and of those that judge.
    """

    learned: Array
    sealed: Array

    @classmethod
    def of(cls, learned: Iterable[Columns], sealed: Iterable[Columns], asked: Schema) -> Seen:
        """Read both sides, a batch in memory at a time."""

        def hashed(parts: Iterable[Columns]) -> Array:
            found = [content_hashes(part, asked) for part in parts]
            return np.unique(np.concatenate([np.zeros(0, np.uint64), *found]))

        return cls(hashed(learned), hashed(sealed))


def content_fields(request: Schema) -> Schema:
    """Return the columns that say what is asked about: the texts, or all where there are none."""
    texts = tuple(field.name for field in request if field.type == "text")
    return request.only(texts) if texts else request


def content_hashes(columns: Columns, asked: Schema) -> Array:
    """Return a hash of what each row asks, uint64; case and blanks do not tell rows apart.

    Examples
    --------
    >>> from promise.data.schema import Field
    >>> names = Columns({"domain": np.array(["A.example", "a.example ", "b.example"], object)})
    >>> hashes = content_hashes(names, Schema((Field("domain", "category"),)))
    >>> bool(hashes[0] == hashes[1]), bool(hashes[0] == hashes[2])
    (True, False)
    """
    cells = [columns[field.name].tolist() for field in asked]
    said = np.empty(columns.n_rows, dtype=object)
    said[:] = [
        "\x1f".join("" if cell is None else normal_text(str(cell)).lower() for cell in row)
        for row in zip(*cells, strict=True)
    ]
    return np.asarray(text_hash(said, _SEED))


def sides_of(
    logged: Logged,
    rule: HoldoutRule | None,
    base: Base,
    asked: Schema | None,
    schema: Schema,
    *,
    ordered: bool,
) -> Sides:
    """Set answers apart as the version's own rows were.

    Parameters
    ----------
    rule
        What sealed the version's rows; None where the workload has a rule of its own.
    asked
        The columns that say what was asked; None where each answer counts by itself.
    schema
        Of all rows.
    ordered
        Whether rows look back on one another.
    """
    if not ordered and rule is not None and rule.grouped:
        return sides_by_group(logged, rule)
    by_time = None
    if ordered or (rule is not None and rule.split.kind == "temporal"):
        gap_s = 0.0 if rule is None else rule.split.gap_s
        by_time = sides_by_time(logged, gap_s=gap_s, floor_s=base.cutoff_s)
    if asked is None:
        return by_time or sides_by_id(logged)
    seen = Seen.of(rows_of(base.history, schema), rows_of(base.sealed, schema), asked)
    if by_time is not None:
        return without_copies(by_time, logged, asked, seen)
    return sides_by_content(logged, asked, seen)


def sides_by_time(logged: Logged, *, gap_s: float, floor_s: float | None) -> Sides:
    """Set the newest answers aside, as the model will meet what comes after it.

    Parameters
    ----------
    gap_s
        Answers so shortly before the cutoff are learned from neither.
    floor_s
        Answers before it may have been learned from already, so the cutoff is not before it.

    Rows without a label are on the side of their time, and do not move the cutoff.
    """
    at_s = logged.at_s
    if not logged.n_labelled:
        return Sides(np.zeros(len(at_s), dtype=np.bool_), np.zeros(len(at_s), dtype=np.bool_),
                     floor_s)  # fmt: skip
    newest = float(np.quantile(at_s[logged.labelled], 1 - SET_ASIDE, method="higher"))
    cutoff_s = newest if floor_s is None else max(newest, floor_s)
    return Sides(at_s < cutoff_s - gap_s, at_s >= cutoff_s, cutoff_s)


def sides_by_id(logged: Logged) -> Sides:
    """Set a fixed share aside by the hash of each id: once set aside, always set aside.

    For tables: a few distinct rows that come again and again are all on both sides then, as they
    are in the data.
    """
    judging = _drawn(text_hash(logged.columns[ID], _SEED))
    return Sides(~judging, judging)


def sides_by_content(logged: Logged, asked: Schema, seen: Seen) -> Sides:
    """Set a fixed share aside by the hash of what was asked, however often it was asked.

    What the version learned from never judges, and what it sealed is never learned from; it judges
    already. Of several answers to one request that judge, the newest does.

    Parameters
    ----------
    logged
        Oldest first.
    asked
        The columns that say what was asked.
    """
    hashes = content_hashes(logged.columns, asked)
    known, sealed = np.isin(hashes, seen.learned), np.isin(hashes, seen.sealed)
    drawn = _drawn(hashes) & ~known & ~sealed
    judging = drawn & _newest(hashes)
    return Sides(~drawn & ~sealed, judging)


def sides_by_group(logged: Logged, rule: HoldoutRule) -> Sides:
    """Set aside the answers of the groups that the first version sealed.

    An answer that tells no group goes by the hash of its id.
    """
    assert rule.field is not None, "a grouped rule has its column"
    by_id = sides_by_id(logged)
    told = labelled(logged.columns[rule.field.name])
    found = rule.sides(np.arange(logged.columns.n_rows), logged.columns)
    judging = np.where(told, found == HOLDOUT, by_id.judging)
    return Sides(~judging, judging)


def without_copies(sides: Sides, logged: Logged, asked: Schema, seen: Seen) -> Sides:
    """Let nothing judge that was asked before, where time sets the sides apart.

    Parameters
    ----------
    logged
        Oldest first.
    """
    hashes = content_hashes(logged.columns, asked)
    before = np.concatenate([hashes[~sides.judging], seen.learned, seen.sealed])
    new = sides.judging & ~np.isin(hashes, before)
    return replace(sides, judging=new & _newest(hashes))


def _drawn(hashes: Array) -> Array:
    return np.asarray(hashes < np.uint64(SET_ASIDE * 2**64))


def _newest(hashes: Array) -> Array:
    """Return which rows are the last of their hash.

    Examples
    --------
    >>> _newest(np.array([5, 7, 5])).tolist()
    [False, True, True]
    """
    last = np.unique(hashes[::-1], return_index=True)[1]
    found = np.zeros(len(hashes), dtype=np.bool_)
    found[len(hashes) - 1 - last] = True
    return found
