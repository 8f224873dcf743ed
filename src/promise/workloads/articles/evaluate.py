"""How articles are answered beside what needs no ladder, class by class, and what is reviewed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from promise.data.answer import Class, Labels
from promise.data.columns import Array, Columns, FloatArray
from promise.kernels.multilabel import decided, members
from promise.metrics.pointwise import metric_named
from promise.pipeline.pipeline import Pipeline
from promise.workloads.articles.labels import names_of
from promise.workloads.articles.reviewing import Reviewing
from promise.workloads.articles.rungs import truth_of
from promise.workloads.articles.task import METRIC

BASELINE_ROWS = 20_000
"""The baseline learns from at most so many articles, the first ones."""


def given_of(answer: Class | Labels, output: FloatArray, multipliers: Array | None) -> Array:
    """Return which names are answered, bool (n, k)."""
    if isinstance(answer, Labels):
        return decided(output, multipliers)
    found = np.zeros(output.shape, dtype=np.bool_)
    found[np.arange(len(output)), output.argmax(axis=1)] = True
    return found


def review_figures(policy: Reviewing, truth: Array, output: FloatArray) -> dict[str, float]:
    """Return how many answers are left to people, and how right the others are."""
    answers = policy.many(Columns({}), output)
    kept = ~answers["review"].astype(np.bool_)
    multipliers = None if policy.multipliers is None else np.array(policy.multipliers)
    right = (given_of(policy.answer, output, multipliers) == truth).all(axis=1)
    found = {"review_share": float(1 - kept.mean())}
    if kept.any():
        found["accuracy_without_review"] = float(right[kept].mean())
    return found


def measure(pipeline: Pipeline, y: Array, output: Array, request: Columns) -> dict[str, float]:  # noqa: ARG001 — a workload's signature
    """Return what is reviewed and how right the other answers are, for `promise evaluate`."""
    policy = pipeline.decide
    if not isinstance(policy, Reviewing) or not len(y):
        return {}
    if isinstance(policy.answer, Labels):
        truth = members(y, len(policy.answer.labels))
    else:
        truth = np.zeros(output.shape, dtype=np.bool_)
        truth[np.arange(len(y)), y] = True
    return review_figures(policy, truth, output)


def baselines(
    texts: Sequence[str],
    truth: Array,
    judged: Sequence[str],
    judged_truth: Array,
    answer: Class | Labels,
    *,
    linear: bool,
) -> dict[str, dict[str, float]]:
    """Return what the most frequent class reaches, and TF-IDF with logistic regression."""
    y = truth_of(judged_truth, answer)
    usual = np.zeros((len(judged), truth.shape[1]))
    usual[:, int(truth.sum(axis=0).argmax())] = 1.0
    found = {"majority": _told(answer, y, usual)}
    if linear and len(np.unique(truth.argmax(axis=1))) > 1:
        shares = tfidf_logistic(
            texts[:BASELINE_ROWS], truth[:BASELINE_ROWS], judged, isinstance(answer, Labels)
        )
        found["tfidf_logistic"] = _told(answer, y, shares)
    return found


def tfidf_logistic(
    texts: Sequence[str], truth: Array, judged: Sequence[str], several: bool
) -> FloatArray:
    """Return the probabilities of scikit-learn's words and pairs with logistic regression."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\w+")
    features = vectorizer.fit_transform(texts) if any(texts) else None
    shares = np.zeros((len(judged), truth.shape[1]))
    if features is None:
        return shares
    asked = vectorizer.transform(judged)
    if not several:
        model = LogisticRegression(max_iter=200, tol=1e-3).fit(features, truth.argmax(axis=1))
        shares[:, model.classes_] = model.predict_proba(asked)
        return shares
    for code in range(truth.shape[1]):
        if truth[:, code].any() and not truth[:, code].all():
            model = LogisticRegression(max_iter=200, tol=1e-3).fit(features, truth[:, code])
            shares[:, code] = model.predict_proba(asked)[:, 1]
    return shares


def _told(answer: Class | Labels, y: Array, output: FloatArray) -> dict[str, float]:
    names = (METRIC, "f1_micro") if isinstance(answer, Labels) else (METRIC, "accuracy")
    return {name: metric_named(name, answer).score(y, output) for name in names}


def class_table(
    answer: Class | Labels, learned: Array, truth: Array, given: Array
) -> list[dict[str, Any]]:
    """Return precision, recall and F1 of each class or label, the most frequent first."""
    names = names_of(answer)
    rows = []
    for code in np.argsort(-learned.sum(axis=0), kind="stable").tolist():
        hits = int((truth[:, code] & given[:, code]).sum())
        said, real = int(given[:, code].sum()), int(truth[:, code].sum())
        rows.append(
            {
                "class": names[code],
                "learned": int(learned[:, code].sum()),
                "rows": real,
                "precision": hits / said if said else None,
                "recall": hits / real if real else None,
                "f1": 2 * hits / (said + real) if said + real else None,
            }
        )
    return rows
