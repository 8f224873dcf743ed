"""Decide stage: the likeliest class, or `unknown`, with its path, its rivals and what it is of."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from promise.data.answer import Class, answer_from_json, answer_to_json
from promise.data.columns import Array, Columns, FloatArray, IntArray
from promise.features.names import NAME
from promise.features.names_rules import RULE
from promise.kernels.hashed import leading, likeliest_above
from promise.models.hashed import RULED
from promise.pipeline.policy import PREDICTION, PROBABILITY

UNKNOWN = "unknown"
RIVALS = 3
"""How many further classes an answer names."""

PATHS = ("model", "rule", "none")
"""How an answer came about; `none` where the request's text is no name."""


@dataclass(frozen=True)
class Level:
    """What the classes belong to, one step up: a company above its apps, a category above all.

    Parameters
    ----------
    of
        Code into `names` for each class; -1 for a class that belongs to none.
    """

    name: str
    names: tuple[str, ...]
    of: tuple[int, ...]

    def told(self, shares: FloatArray, known: Array, threshold: float) -> Array:
        """Return the likeliest name of this level for each row; None where that is unsure."""
        best, sure = likeliest_above(shares, np.array(self.of, np.int32), len(self.names))
        found: Array = np.array([*self.names, None], dtype=object)[
            np.where((sure >= threshold) & known, best, len(self.names))
        ]
        return found


@dataclass(frozen=True)
class Naming:
    """Answers the likeliest class where its probability reaches the threshold, else `unknown`.

    Parameters
    ----------
    answer
        Its `unknown` is what is answered below the threshold.
    threshold
        Least probability of an answer, for classes and for the names of each level: where the
        class is unsure its company may still be sure.
    levels
        From the nearest up.
    """

    kind: ClassVar[str] = "naming"
    kind_version: ClassVar[int] = 1
    answer: Class
    threshold: float = 0.0
    levels: tuple[Level, ...] = ()

    def many(self, columns: Columns, output: Array) -> Columns:
        """Return prediction, probability, `path`, `rule`, `confidence`, `alternatives`, levels."""
        n = len(output)
        first = leading(output, min(RIVALS + 1, output.shape[1]))
        confidence = output[np.arange(n), first[:, 0]]
        names = np.array([*self.answer.classes, self.answer.unknown], dtype=object)
        known = np.ones(n, bool) if NAME not in columns else columns[NAME] != ""
        path = np.where(known, 0, 2)
        if RULED in columns:
            path[columns[RULED] >= 0] = 1
        told = (confidence >= self.threshold) & known
        decided = np.where(told | (path == 1), first[:, 0], len(names) - 1)
        rule = columns[RULE] if RULE in columns else np.full(n, None, dtype=object)
        return Columns(
            {
                PREDICTION: names[decided],
                PROBABILITY: output,
                "path": np.array(PATHS, dtype=object)[path],
                "rule": rule,
                "confidence": confidence,
                "alternatives": rivals(self.answer.classes, output, first),
            }
            | {level.name: level.told(output, known, self.threshold) for level in self.levels}
        )

    def extras(self) -> dict[str, Any]:
        """Return the JSON schema of what stands beside the prediction."""
        share = {"type": "number", "minimum": 0, "maximum": 1}
        rule = {
            "type": ["object", "null"],
            "title": "Rule",
            "description": "The ending that answered, and how many names it was learned from.",
        }
        return {
            "path": {"enum": list(PATHS), "title": "Path"},
            "rule": rule,
            "confidence": {**share, "title": "Confidence"},
            "alternatives": {
                "type": "object",
                "title": "Alternatives",
                "description": f"The {RIVALS} likeliest classes after the first.",
                "additionalProperties": share,
            },
        } | {
            level.name: {"enum": [*level.names, None], "title": level.name} for level in self.levels
        }

    def to_json(self) -> dict[str, Any]:
        """Return the policy as `policy.json` shows it."""
        levels = [{"name": one.name, "names": one.names, "of": one.of} for one in self.levels]
        return {
            "answer": answer_to_json(self.answer),
            "threshold": self.threshold,
            "levels": levels,
        }

    def save(self, folder: Path) -> None:
        """Write the policy as JSON."""
        (folder / "naming.json").write_text(json.dumps(self.to_json()), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote."""
        told = json.loads((folder / "naming.json").read_text(encoding="utf-8"))
        levels = tuple(
            Level(one["name"], tuple(one["names"]), tuple(one["of"])) for one in told["levels"]
        )
        answer: Any = answer_from_json(told["answer"])
        return cls(answer, told["threshold"], levels)


def rivals(classes: tuple[str, ...], output: Array, first: IntArray) -> Array:
    """Return for each row the classes after the likeliest, with their probabilities."""
    codes = first[:, 1:].astype(np.int64)
    names = np.array(classes, dtype=object)[codes].T.tolist()
    shares = np.take_along_axis(output, codes, axis=1).T.tolist()
    found = np.empty(len(output), dtype=object)
    if len(names) == RIVALS == 3:  # written out, since this is the dearest line of a large batch
        found[:] = [{a: x, b: y, c: z} for a, b, c, x, y, z in zip(*names, *shares, strict=True)]
        return found
    for row in range(len(output)):
        found[row] = {name[row]: share[row] for name, share in zip(names, shares, strict=True)}
    return found
