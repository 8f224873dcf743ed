"""Suffix rules: the longest known ending of a name answers at once, and says why.

A rule ends a name at a label: `t.me` answers for `a.t.me`, not for `tt.me`. Rules are learned from
labelled names, or given as a list; either way an answer names its rule.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from promise.data.columns import Array, Columns, FloatArray, IntArray
from promise.errors import ConfigError, near
from promise.features.names import NAME, Names, normalise, normalise_many, pinned_suffixes
from promise.kernels.ngrams_names import filled, hash_bytes, match_names
from promise.models.hashed import RULED, SURE

RULE = "\0rule"
"""The column of which rule answered: objects, None where none did."""


@dataclass(frozen=True)
class Rules:
    """Endings of names and the classes they stand for.

    Parameters
    ----------
    hashes
        Of the endings, uint64 (m,).
    codes
        Classes, int32 (m,).
    rows
        How many labelled names ended so, int32 (m,); 0 for a rule that was given.
    sure
        Probability of the class, float64 (m,).
    """

    hashes: Array
    codes: IntArray
    rows: IntArray
    sure: FloatArray

    def __len__(self) -> int:
        return len(self.hashes)

    @cached_property
    def table(self) -> tuple[Array, Array]:
        """The rules as the open-addressed table that `match_one` reads."""
        numbers = np.arange(1, len(self) + 1, dtype=np.int32)
        table: tuple[Array, Array] = filled(self.hashes, numbers)
        return table

    def matched(self, names: Names) -> IntArray:
        """Return rule (counted from 1; 0 for none) and where it begins, int32 (n, 2)."""
        found: IntArray = match_names(names.data, names.offsets, *self.table)
        return found

    def told(self, rule: int, suffix: str) -> dict[str, Any]:
        """Say which rule answered and what it rests on."""
        rows = int(self.rows[rule])
        return {"suffix": suffix, "source": "learned" if rows else "given", "rows": rows}

    def where(self, kept: Array) -> Rules:
        """Return the rules at which this mask is true."""
        return Rules(*(array[kept] for array in self.arrays))

    def before(self, other: Rules) -> Rules:
        """Return both; where they speak of the same ending, these count."""
        kept = ~np.isin(other.hashes, self.hashes)
        return Rules(*(
            np.concatenate([mine, theirs[kept]])
            for mine, theirs in zip(self.arrays, other.arrays, strict=True)
        ))  # fmt: skip

    @property
    def arrays(self) -> tuple[Array, ...]:
        """The four arrays, in the order of the fields."""
        return self.hashes, self.codes, self.rows, self.sure


NO_RULES = Rules(
    np.empty(0, np.uint64), np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0, np.float64)
)


def given_rules(path: Path, classes: Mapping[str, int]) -> Rules:
    """Read a list of rules: an ending and its class on each line, apart by a blank or a comma.

    Raises
    ------
    ConfigError
        For a line that is none, an ending that is no name, or a class that is not among these.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--set rules={path}: not readable as text ({error}).") from error
    found: dict[int, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        ending, _, label = line.strip().replace("\t", " ").replace(",", " ", 1).partition(" ")
        name, label = normalise(ending), label.strip()
        if name.kind != "name" or not label:
            raise ConfigError(
                f"{path}, line {number}: expected an ending and its class, such as "
                f"`whatsapp.net whatsapp`; came {line[:80]!r}."
            )
        if label not in classes:
            raise ConfigError(
                f"{path}, line {number}: {label!r} is not a class; {near(label, classes)}"
            )
        raw = np.frombuffer(name.text.encode("ascii"), np.uint8)
        found[int(hash_bytes(raw, 0, len(raw)))] = classes[label]
    return Rules(
        np.array(list(found), np.uint64),
        np.array(list(found.values()), np.int32),
        np.zeros(len(found), np.int32),
        np.ones(len(found)),
    )


@dataclass(frozen=True)
class SuffixRules:
    """Retrieve stage: normalises each name, and answers where a rule does.

    Parameters
    ----------
    field
        The request's field that holds names.
    """

    kind: ClassVar[str] = "suffix_rules"
    kind_version: ClassVar[int] = 1
    field: str
    rules: Rules = NO_RULES

    def needs(self, request: Columns) -> tuple[str, ...]:  # noqa: ARG002 — the stage's signature
        """Return nothing: names have no keyed state."""
        return ()

    def many(
        self,
        request: Columns,
        state: Mapping[str, bytes],  # noqa: ARG002 — the stage's signature
        at: datetime | None,  # noqa: ARG002
    ) -> Columns:
        """Return the request with `NAME`, and where there are rules `RULED`, `SURE` and `RULE`."""
        names = normalise_many(request[self.field], pinned_suffixes())
        texts = names.texts()
        arrays: dict[str, Array] = {NAME: np.array(texts, dtype=object)}
        if len(self.rules):
            arrays |= self._ruled(names, texts)
        return request.with_columns(arrays)

    def _ruled(self, names: Names, texts: list[str]) -> dict[str, Array]:
        found = self.rules.matched(names)
        rule = found[:, 0] - 1
        rows = np.flatnonzero(rule >= 0)
        codes, sure = np.full(len(rule), -1, np.int32), np.zeros(len(rule))
        codes[rows], sure[rows] = self.rules.codes[rule[rows]], self.rules.sure[rule[rows]]
        told = np.full(len(rule), None, dtype=object)
        for row in rows.tolist():
            told[row] = self.rules.told(int(rule[row]), texts[row][found[row, 1] :])
        return {RULED: codes, SURE: sure, RULE: told}

    def save(self, folder: Path) -> None:
        """Write the rules as arrays."""
        for name, array in zip(("hashes", "codes", "rows", "sure"), self.rules.arrays, strict=True):
            np.save(folder / f"{name}.npy", array)
        (folder / "rules.json").write_text(json.dumps({"field": self.field}), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote."""
        told = json.loads((folder / "rules.json").read_text(encoding="utf-8"))
        names = ("hashes", "codes", "rows", "sure")
        return cls(told["field"], Rules(*(np.load(folder / f"{name}.npy") for name in names)))
