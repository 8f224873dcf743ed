"""The fast path of articles: one text through the compiled loops, without matrices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from promise.data.answer import Class, Labels
from promise.data.columns import FloatArray
from promise.data.schema import Field
from promise.features.values import column_of
from promise.kernels.multilabel import decided
from promise.pipeline.answers import class_answer, labels_answer
from promise.pipeline.one import One, Values
from promise.pipeline.pipeline import Pipeline
from promise.workloads.articles.reading import ArticleText, read_article
from promise.workloads.articles.reviewing import CONFIDENCE, REVIEW, Reviewing, confidence
from promise.workloads.articles.score import ArticleScore


@dataclass(frozen=True)
class OneArticle:
    """Answers one article with the digits of the pipeline.

    Parameters
    ----------
    fields
        Role to the field's place among the values, and the field itself.
    """

    fields: Mapping[str, tuple[int, Field]]
    score: ArticleScore
    decide: Reviewing

    def output(self, values: Values, seen: FloatArray | None = None) -> list[float]:  # noqa: ARG002 — articles have no keyed features
        """Return the probability of each class or label."""
        shares: list[float] = self._shares(values)[0].tolist()
        return shares

    def answer(self, values: Values, seen: FloatArray | None = None) -> dict[str, Any]:  # noqa: ARG002 — articles have no keyed features
        """Return the answer as `answer_rows` formats it."""
        shares, policy = self._shares(values), self.decide
        sure, code = confidence(policy.answer, shares, policy.multipliers)
        row: list[float] = shares[0].tolist()
        if isinstance(policy.answer, Labels):
            given = np.flatnonzero(decided(shares, policy.multipliers)[0]).tolist()
            told = labels_answer(policy.answer, [policy.answer.labels[i] for i in given], row)
        else:
            assert isinstance(policy.answer, Class)
            told = class_answer(policy.answer, policy.answer.classes[code[0]], row)
        least = policy.thresholds[code[0]] if policy.thresholds else 0.0
        told[CONFIDENCE] = float(sure[0])
        told[REVIEW] = bool(sure[0] < least)
        return told

    def _shares(self, values: Values) -> FloatArray:
        cells = {role: _text(values[place], field) for role, (place, field) in self.fields.items()}
        return self.score.one(*read_article(cells))


def _text(value: Any, field: Field) -> str | None:
    """Return a cell as the columns would hold it."""
    if value is None or type(value) is str:
        return value
    read: str | None = column_of((value,), field)[0]
    return read


def one_article(pipeline: Pipeline) -> One | None:
    """Compile a pipeline of articles for single rows; None where its stages are of other kinds."""
    read, score, decide = pipeline.featurize, pipeline.score, pipeline.decide
    if not isinstance(read, ArticleText) or not isinstance(score, ArticleScore):
        return None
    if not isinstance(decide, Reviewing) or pipeline.retrieve is not None:
        return None
    places = {field.name: (place, field) for place, field in enumerate(pipeline.task.request)}
    return OneArticle({role: places[name] for role, name in read.names.items()}, score, decide)
