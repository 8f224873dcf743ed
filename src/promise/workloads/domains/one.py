"""The fast path of names: one text through the compiled loops, without columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from promise.data.columns import Array, FloatArray, IntArray
from promise.features.names import normalise, suffix_table
from promise.features.names_parts import NameParts
from promise.features.names_rules import SuffixRules
from promise.kernels.hashed import leading
from promise.kernels.ngrams_names import OTHER, clean, match_names, split_names
from promise.models.hashed import HashedLinear, ruled_shares
from promise.pipeline.answers import class_answer
from promise.pipeline.one import One, Values
from promise.pipeline.pipeline import Pipeline
from promise.workloads.domains.naming import PATHS, RIVALS, Naming

_FIRST = np.zeros(1, np.int64)


@dataclass(frozen=True)
class Seen:
    """One name scored.

    Parameters
    ----------
    shares
        Probabilities, float64 (1, k).
    path
        Code into `PATHS`.
    rule
        Which rule answered, as answers tell it.
    """

    shares: FloatArray
    path: int
    rule: dict[str, Any] | None


@dataclass(frozen=True)
class OneName:
    """Answers one name with the digits of the pipeline; each part runs the batch's own loop."""

    rules: SuffixRules
    score: HashedLinear
    decide: Naming
    suffixes: tuple[Array, Array]

    def output(self, values: Values, seen: FloatArray | None = None) -> list[float]:  # noqa: ARG002 — names have no keyed features
        """Return the probability of each class."""
        shares: list[float] = self._seen(values[0]).shares[0].tolist()
        return shares

    def answer(self, values: Values, seen: FloatArray | None = None) -> dict[str, Any]:  # noqa: ARG002 — names have no keyed features
        """Return the answer as `answer_rows` formats it."""
        found, policy = self._seen(values[0]), self.decide
        answer, shares = policy.answer, found.shares
        first = leading(shares, min(RIVALS + 1, shares.shape[1]))[0].tolist()
        row = shares[0].tolist()
        confidence, known = row[first[0]], found.path != 2
        told = found.path == 1 or (known and confidence >= policy.threshold)
        decided = answer.classes[first[0]] if told else answer.unknown
        answered = class_answer(answer, decided, row)  # type: ignore[arg-type]
        answered["path"] = PATHS[found.path]
        answered["rule"] = found.rule
        answered["confidence"] = confidence
        answered["alternatives"] = {answer.classes[code]: row[code] for code in first[1:]}
        for level in policy.levels:
            names = level.told(shares, np.array([known]), policy.threshold)
            answered[level.name] = names[0]
        return answered

    def _seen(self, text: Any) -> Seen:
        data, offsets = _name(text)
        k = self.score.n_classes
        if not len(data):
            return Seen(np.zeros((1, k)), 2, None)
        if len(self.rules.rules):
            rule, start = match_names(data, offsets, *self.rules.rules.table)[0].tolist()
            if rule:
                rules, suffix = self.rules.rules, data[start:].tobytes().decode("ascii")
                codes, sure = rules.codes[rule - 1 : rule], rules.sure[rule - 1 : rule]
                return Seen(ruled_shares(codes, sure, k), 1, rules.told(rule - 1, suffix))
        cuts = split_names(data, offsets, *self.suffixes)
        shares = np.zeros((1, len(self.score.bias)))
        self.score.write(data, offsets, cuts, _FIRST, shares)
        return Seen(np.ascontiguousarray(shares[:, :k]), 0, None)


def _name(text: Any) -> tuple[Array, IntArray]:
    """Return one cell as a normalised name's bytes, none of them where it holds no name."""
    raw = np.frombuffer(bytearray(str("" if text is None else text).encode("utf-8")), np.uint8)
    data, offsets, kinds = clean(raw, np.array([0, len(raw)]))
    if kinds[0] != OTHER:
        return data, offsets
    name = normalise(None if text is None else str(text))
    held = name.text.encode("ascii") if name.kind == "name" else b""
    return np.frombuffer(bytearray(held), np.uint8), np.array([0, len(held)])


def one_name(pipeline: Pipeline) -> One | None:
    """Compile a pipeline of names for single rows; None where its stages are of other kinds."""
    rules, parts, score, decide = (
        pipeline.retrieve, pipeline.featurize, pipeline.score, pipeline.decide,
    )  # fmt: skip
    if not isinstance(rules, SuffixRules) or not isinstance(parts, NameParts):
        return None
    if not isinstance(score, HashedLinear) or not isinstance(decide, Naming):
        return None
    return OneName(rules, score, decide, suffix_table(parts.suffixes))
