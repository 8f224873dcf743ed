"""How good names are answered on three sealed parts, beside what needs no model."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from promise.data.answer import Class
from promise.data.columns import Array, Columns, FloatArray, IntArray
from promise.kernels.ngrams_names import hash_names
from promise.metrics.intervals import bootstrap_interval
from promise.metrics.pointwise import metric_named
from promise.pipeline.pipeline import Pipeline
from promise.workloads.domains.naming import UNKNOWN
from promise.workloads.domains.parts import Part, taken_names
from promise.workloads.domains.split import RULES, SIDE_OF, TRAIN, NameSplit, Rule
from promise.workloads.domains.stream import Stream, calibration_told, stream_of

JUDGED, LEAST_JUDGED = 200_000, 2_000
CELLS = 20_000_000
"""At most so many probabilities of a kind are kept (160 MB): of many classes fewer names."""

COVERAGES = (0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
BLOCK = 4096
_SHOWN = ("accuracy", "f1_macro", "ece")


@dataclass(frozen=True)
class Judged:
    """Sealed names of one kind, with what was answered.

    Parameters
    ----------
    codes, output
        Class and probabilities of each name, (n,) and (n, k).
    predicted
        What the policy answered: class names or `unknown`.
    rows
        Numbers of the source's rows.
    brands
        Hash of each name's brand; intervals resample whole brands.
    suffix
        What the class most frequent under the name's suffix is, int64 (n,).
    """

    texts: list[str]
    codes: IntArray
    output: FloatArray
    predicted: Array
    path: Array
    rows: IntArray
    brands: IntArray
    suffix: IntArray

    @property
    def n_rows(self) -> int:
        """How many names there are."""
        return len(self.codes)


@dataclass
class Suffixes:
    """Which class is most frequent under each public suffix: the baseline that needs no model."""

    counts: dict[int, IntArray]
    majority: int

    @classmethod
    def learned(cls, parts: Iterable[Part], n_classes: int) -> Suffixes:
        """Count classes by suffix on the names to learn from."""
        counts: dict[int, IntArray] = {}
        for part in parts:
            rows = np.flatnonzero(part.sides == TRAIN)
            hashes = suffix_hash(part)[rows]
            known, group = np.unique(hashes, return_inverse=True)
            table = np.bincount(
                group * n_classes + part.codes[rows], minlength=len(known) * n_classes
            ).reshape(len(known), n_classes)
            for key, row in zip(known.tolist(), table, strict=True):
                counts[key] = counts[key] + row if key in counts else row
        total = np.sum(list(counts.values()), axis=0) if counts else np.zeros(n_classes)
        return cls(counts, int(total.argmax()))

    def told(self, hashes: Array) -> IntArray:
        """Return the class of each suffix; the most frequent of all where it is new."""
        best = {key: int(row.argmax()) for key, row in self.counts.items()}
        return np.array([best.get(key, self.majority) for key in hashes.tolist()], dtype=np.int64)


def suffix_hash(part: Part) -> Array:
    """Return the hash of each name's public suffix."""
    found: Array = hash_names(part.names.data, part.names.offsets, part.names.cuts[:, 1])
    return found


def judge(pipeline: Pipeline, parts: Iterable[Part], suffixes: Suffixes) -> dict[Rule, Judged]:
    """Answer the sealed names of each kind as they would be answered when served.

    At most `most_judged` of a kind are, the first by hash.
    """
    found: dict[Rule, list[Judged]] = {rule: [] for rule in RULES}
    answer, seen = pipeline.task.answer, dict.fromkeys(RULES, 0)
    most = most_judged(answer.n_classes) if isinstance(answer, Class) else JUDGED
    for part in parts:
        for rule in RULES:
            rows = np.flatnonzero(part.sides == SIDE_OF[rule])[: most - seen[rule]]
            seen[rule] += len(rows)
            for first in range(0, len(rows), BLOCK):
                found[rule].append(_judged(pipeline, part, rows[first : first + BLOCK], suffixes))
    return {rule: joined(pieces) for rule, pieces in found.items() if pieces}


def most_judged(n_classes: int) -> int:
    """Return how many sealed names of a kind are judged at most.

    Examples
    --------
    >>> most_judged(42), most_judged(1_000), most_judged(10_000)
    (200000, 20000, 2000)
    """
    return max(LEAST_JUDGED, min(JUDGED, CELLS // n_classes))


def _judged(pipeline: Pipeline, part: Part, rows: IntArray, suffixes: Suffixes) -> Judged:
    texts = taken_names(part.names, rows).texts()
    field = pipeline.task.request.names[0]
    answers = pipeline.predict(Columns({field: np.array(texts, dtype=object)}))
    return Judged(
        texts=texts,
        codes=part.codes[rows],
        output=answers["probability"],
        predicted=answers["prediction"],
        path=answers["path"],
        rows=part.rows[rows],
        brands=part.names.brand_hashes[rows].view(np.int64),
        suffix=suffixes.told(suffix_hash(part)[rows]),
    )


def joined(pieces: list[Judged]) -> Judged:
    """Return several pieces as one."""
    return Judged(
        texts=[text for piece in pieces for text in piece.texts],
        **{
            name: np.concatenate([getattr(piece, name) for piece in pieces])
            for name in ("codes", "output", "predicted", "path", "rows", "brands", "suffix")
        },
    )


def report(
    judged: dict[Rule, Judged],
    answer: Class,
    split: NameSplit,
    majority: int,
    stream: Stream | None,
) -> dict[Rule, dict[str, Any]]:
    """Return what `promise train --json` says of each split, the chosen one first."""
    order = sorted(judged, key=lambda rule: rule != split.rule)
    return {
        rule: _told(judged[rule], answer, split, rule, majority)
        | calibration_told(judged[rule].codes, judged[rule].output, stream)
        for rule in order
    }


def _told(
    judged: Judged, answer: Class, split: NameSplit, rule: Rule, majority: int
) -> dict[str, Any]:
    scores = {
        name: metric_named(name, answer).score(judged.codes, judged.output) for name in _SHOWN
    }
    low, high = bootstrap_interval(
        metric_named("accuracy", answer),
        judged.codes,
        judged.output,
        seed=split.seed,
        groups=judged.brands,
    )
    known = judged.predicted != answer.unknown
    right = judged.predicted == np.array(answer.classes, dtype=object)[judged.codes]
    return {
        "split": split.describe(rule),
        "rows": judged.n_rows,
        **scores,
        "ci": [low, high],
        "baselines": {
            "majority": _plain(np.full(judged.n_rows, majority), judged.codes, answer),
            "suffix": _plain(judged.suffix, judged.codes, answer),
        },
        "answered": float(known.mean()),
        "precision_answered": float(right[known].mean()) if known.any() else None,
        "by_rule": float((judged.path == "rule").mean()),
        "coverage": coverage_curve(judged.codes, judged.output),
    }


def _plain(codes: IntArray, truth: IntArray, answer: Class) -> dict[str, float]:
    output = np.zeros((len(codes), answer.n_classes))
    output[np.arange(len(codes)), codes] = 1.0
    return {
        name: metric_named(name, answer).score(truth, output) for name in ("accuracy", "f1_macro")
    }


def coverage_curve(codes: IntArray, output: FloatArray) -> list[dict[str, float]]:
    """Return precision and threshold where only the surest share of names is answered.

    Examples
    --------
    >>> shares = np.array([[0.9, 0.1], [0.4, 0.6]])
    >>> coverage_curve(np.array([0, 0]), shares)[2]
    {'coverage': 0.5, 'precision': 1.0, 'threshold': 0.9}
    """
    top = output.max(axis=1)
    right = (output.argmax(axis=1) == codes)[np.argsort(-top, kind="stable")]
    top = -np.sort(-top)
    told = []
    for coverage in COVERAGES:
        n = max(1, round(coverage * len(codes)))
        precision = float(right[:n].mean())
        told.append({"coverage": coverage, "precision": precision, "threshold": float(top[n - 1])})
    return told


def class_table(judged: Judged, answer: Class, learned: IntArray) -> list[dict[str, Any]]:
    """Return precision, recall and F1 of each class, the most frequent first."""
    predicted = judged.output.argmax(axis=1)
    k = answer.n_classes
    hits = np.bincount(judged.codes[predicted == judged.codes], minlength=k)
    truth, said = np.bincount(judged.codes, minlength=k), np.bincount(predicted, minlength=k)
    return [
        {
            "class": answer.classes[code],
            "learned": int(learned[code]),
            "rows": int(truth[code]),
            "precision": _ratio(hits[code], said[code]),
            "recall": _ratio(hits[code], truth[code]),
            "f1": _ratio(2 * hits[code], truth[code] + said[code]),
        }
        for code in np.argsort(-learned, kind="stable").tolist()
    ]


def _ratio(part: int, whole: int) -> float | None:
    return float(part / whole) if whole else None


def more_metrics(pipeline: Pipeline, y: Array, output: Array, request: Columns) -> dict[str, float]:
    """Return how many names are answered and how precisely, for `promise evaluate`."""
    answers = pipeline.predict(request)
    answer = pipeline.task.answer
    if not isinstance(answer, Class):
        return {}
    known = answers["prediction"] != (answer.unknown or UNKNOWN)
    right = answers["prediction"] == np.array(answer.classes, dtype=object)[y]
    half = coverage_curve(y, output)[2]["precision"]
    precision = float(right[known].mean()) if known.any() else float("nan")
    return {
        "answered": float(known.mean()),
        "precision_answered": precision,
        "precision_at_half": half,
    } | calibration_told(y, output, stream_of(pipeline))
