"""The local index: how far the log was read, what was answered, and what came true of it.

It is one SQLite file of this machine, and the only truth of a collector: whatever is published is
a pure function of it and replaces what was published before. A kill at any moment therefore loses
nothing and counts nothing twice.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sqlalchemy as sa

from promise.kernels.multilabel import MARK
from promise.metrics.drift import add_counts

BLOCK_ROWS = 256
"""Joined labels are published in blocks of so many rows, in the order in which labels came."""
_IDS_AT_ONCE = 2_000


@dataclass(frozen=True)
class Answered:
    """What is kept of one answered row until its label comes.

    Parameters
    ----------
    at
        When it was answered, in seconds since 1970.
    arm
        As what the version answered: `live`, `canary`, `shadow`, `experiment`, …
    """

    id: str
    model: str
    version: int
    at: float
    arm: str
    output: list[float]
    groups: dict[str, str | None]


@dataclass(frozen=True)
class Came:
    """A label of one prediction, newest of its id by number."""

    id: str
    number: int
    value: Any


@dataclass(frozen=True)
class Joined:
    """A label and the answer that it is about.

    Parameters
    ----------
    number
        The label's; of two for one answer the larger counts.
    y
        Class code, number, or codes of several labels as one text; None takes an outcome back: the
        newest label is none that the version knows.
    """

    answer: Answered
    number: int
    y: float | str | None

    @property
    def key(self) -> tuple[str, str, int]:
        """What tells this outcome from the others."""
        return self.answer.id, self.answer.model, self.answer.version

    @property
    def columns(self) -> dict[str, Any]:
        """The key as columns."""
        return dict(zip(("id", "model", "version"), self.key, strict=True))

    @property
    def values(self) -> dict[str, Any]:
        """Everything else that is kept, as columns."""
        return {"number": self.number, "y": kept_truth(self.y), **_stored(self.answer)}


@dataclass
class Index:
    """Reads and changes the index inside one transaction."""

    connection: sa.Connection

    def fact(self, key: str, default: str = "") -> str:
        """Return a remembered fact."""
        query = sa.text("SELECT value FROM facts WHERE key = :key")
        found = self.connection.execute(query, {"key": key}).scalar()
        return default if found is None else str(found)

    def remember(self, key: str, value: str) -> None:
        """Keep a fact in the place of the one before."""
        self._run("INSERT OR REPLACE INTO facts VALUES (:key, :value)", key=key, value=value)

    def places(self, model: str) -> dict[str, int]:
        """Return how many bytes of each segment were read."""
        rows = self._run("SELECT segment, read FROM places WHERE model = :model", model=model)
        return {row.segment: int(row.read) for row in rows}

    def move(self, model: str, places: dict[str, int], gone: Iterable[str]) -> None:
        """Remember how far each segment was read; forget those that are gone."""
        if places:
            rows = [{"m": model, "s": segment, "r": read} for segment, read in places.items()]
            self._many("INSERT OR REPLACE INTO places VALUES (:m, :s, :r)", rows)
        for segment in gone:
            query = "DELETE FROM places WHERE model = :m AND segment = :s"
            self._run(query, m=model, s=segment)

    def keep(self, answers: Sequence[Answered]) -> None:
        """Keep answers until their labels come; the same again replaces."""
        rows = [
            {
                "id": answer.id,
                "model": answer.model,
                "version": answer.version,
                **_stored(answer),
            }
            for answer in answers
        ]
        if rows:
            self._many(
                "INSERT OR REPLACE INTO answers "
                "VALUES (:id, :model, :version, :at, :arm, :output, :groups)",
                rows,
            )

    def count(self, model: str, version: int, begun: str, counts: dict[str, Any]) -> None:
        """Add counts by feature to those of a period, which is told by its beginning."""
        key = {"model": model, "version": version, "begun": begun}
        query = (
            "SELECT feature, counts FROM drift "
            "WHERE model = :model AND version = :version AND begun = :begun"
        )
        kept = {row.feature: json.loads(row.counts) for row in self._run(query, **key)}
        rows = []
        for feature, found in counts.items():
            total = add_counts(kept[feature], found) if feature in kept else found
            rows.append({**key, "feature": feature, "counts": json.dumps(total)})
        if rows:
            self._many(
                "INSERT INTO drift (model, version, feature, begun, counts, dirty) "
                "VALUES (:model, :version, :feature, :begun, :counts, 1) "
                "ON CONFLICT (model, version, feature, begun) DO UPDATE SET "
                "counts = excluded.counts, dirty = drift.dirty + 1",
                rows,
            )

    def answers(self, ids: Sequence[str]) -> list[Answered]:
        """Return what is kept of these predictions; a shadow's answer stands beside the live."""
        found = []
        for row in self._of_ids("SELECT * FROM answers WHERE id IN :ids", ids):
            output = np.frombuffer(row.output, dtype="<f8").tolist()
            groups = json.loads(row.groups)
            found.append(Answered(row.id, row.model, row.version, row.at, row.arm, output, groups))
        return found

    def came(self, ids: Sequence[str]) -> list[Came]:
        """Return the labels that have come for these predictions."""
        rows = self._of_ids("SELECT id, number, value FROM came WHERE id IN :ids", ids)
        return [Came(row.id, row.number, json.loads(row.value)) for row in rows]

    def note(self, came: Iterable[Came], at: float) -> None:
        """Keep labels for lines of their predictions that are read later."""
        rows = [
            {"id": c.id, "number": c.number, "value": json.dumps(c.value), "at": at} for c in came
        ]
        if rows:
            self._many("INSERT OR REPLACE INTO came VALUES (:id, :number, :value, :at)", rows)

    def join(self, joined: Sequence[Joined]) -> None:
        """Join labels to answers; a newer label takes the place of the one before."""
        kept = {
            (row.id, row.model, row.version): row
            for row in self._of_ids(
                "SELECT id, model, version, block, number FROM outcomes WHERE id IN :ids",
                list({one.answer.id for one in joined}),
            )
        }
        newer = [one for one in joined if (k := kept.get(one.key)) and k.number < one.number]
        if newer:
            self._many(
                "UPDATE outcomes SET number = :number, y = :y "
                "WHERE id = :id AND model = :model AND version = :version",
                [{**one.columns, "number": one.number, "y": one.y} for one in newer],
            )
            blocks = {(*one.key[1:], kept[one.key].block) for one in newer}
            self._many(
                "UPDATE blocks SET dirty = dirty + 1 "
                "WHERE model = :model AND version = :version AND block = :block",
                [{"model": m, "version": v, "block": block} for m, v, block in sorted(blocks)],
            )
        first = [one for one in joined if one.key not in kept and one.y is not None]
        for model, version in sorted({one.key[1:] for one in first}):
            self._append(model, version, [one for one in first if one.key[1:] == (model, version)])

    def _append(self, model: str, version: int, joined: Sequence[Joined]) -> None:
        """Put new outcomes of one version behind the others, block by block."""
        key = {"model": model, "version": version}
        last = self._run(
            "SELECT block, n_rows FROM blocks WHERE model = :model AND version = :version "
            "ORDER BY block DESC LIMIT 1",
            **key,
        ).first()
        block, place = (0, 0) if last is None else (last.block, last.n_rows)
        filled: dict[int, int] = {}
        rows = []
        for one in joined:
            if place >= BLOCK_ROWS:
                block, place = block + 1, 0
            rows.append({**one.columns, **one.values, "block": block, "place": place})
            place += 1
            filled[block] = place
        self._many(
            "INSERT INTO outcomes VALUES (:id, :model, :version, :block, :place, :number, :y, "
            ":output, :groups, :at, :arm)",
            rows,
        )
        self._many(
            "INSERT INTO blocks VALUES (:model, :version, :block, :n_rows, 1) "
            "ON CONFLICT (model, version, block) DO UPDATE SET "
            "n_rows = excluded.n_rows, dirty = blocks.dirty + 1",
            [{**key, "block": number, "n_rows": n} for number, n in filled.items()],
        )

    def strange(self, model: str, value: Any) -> None:
        """Count a label that is no class or number of the version that it is about."""
        self._run(
            "INSERT INTO strange VALUES (:model, :value, 1) "
            "ON CONFLICT (model, value) DO UPDATE SET n = strange.n + 1",
            model=model,
            value=str(value)[:80],
        )

    def prune(self, before: float) -> None:
        """Forget answers and labels older than a moment, and whole blocks of old outcomes."""
        self._run("DELETE FROM answers WHERE at < :before", before=before)
        self._run("DELETE FROM came WHERE at < :before", before=before)
        self._run(
            "DELETE FROM outcomes WHERE (model, version, block) IN ("
            "SELECT o.model, o.version, o.block FROM outcomes o JOIN blocks b "
            "ON o.model = b.model AND o.version = b.version AND o.block = b.block "
            "WHERE b.dirty = 0 AND b.n_rows >= :full "
            "GROUP BY o.model, o.version, o.block HAVING MAX(o.at) < :before)",
            before=before, full=BLOCK_ROWS,
        )  # fmt: skip

    def forget_periods(self, before: str) -> None:
        """Forget the drift counts of periods that began before, once they are published."""
        self._run("DELETE FROM drift WHERE begun < :before AND dirty = 0", before=before)

    def _of_ids(self, query: str, ids: Sequence[str]) -> list[Any]:
        statement = sa.text(query).bindparams(sa.bindparam("ids", expanding=True))
        found: list[Any] = []
        for first in range(0, len(ids), _IDS_AT_ONCE):
            part = list(ids[first : first + _IDS_AT_ONCE])
            result = self.connection.execute(statement, {"ids": part})
            found += result.all() if result.returns_rows else []
        return found

    def _run(self, query: str, **values: Any) -> sa.CursorResult[Any]:
        return self.connection.execute(sa.text(query), values)

    def _many(self, query: str, rows: list[dict[str, Any]]) -> None:
        self.connection.execute(sa.text(query), rows)


def kept_truth(y: float | str | None) -> float | str | None:
    """Return a truth as the column keeps it, which would turn a text like `3` into a number."""
    return f"{y}{MARK}" if isinstance(y, str) else y


def read_truth(kept: float | str | None) -> float | str | None:
    """Return a truth that `kept_truth` wrote.

    Examples
    --------
    >>> [read_truth(kept_truth(y)) for y in (2.0, "3", "1;2", "", None)]
    [2.0, '3', '1;2', '', None]
    """
    return kept.removesuffix(MARK) if isinstance(kept, str) else kept


def _stored(answer: Answered) -> dict[str, Any]:
    return {
        "at": answer.at,
        "arm": answer.arm,
        "output": np.asarray(answer.output, dtype="<f8").tobytes(),
        "groups": json.dumps(answer.groups) if answer.groups else "{}",
    }
