"""The first design's classifier on extracted features, and its versions in a folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from promise.data.answer import Class
from promise.data.columns import Columns, FloatArray, IntArray
from promise.errors import ArtifactError, ConfigError, DataError
from promise.features.text import text_or_none
from promise.job import Job
from promise.kernels.scores import decide
from promise.metrics.intervals import bootstrap_interval
from promise.metrics.pointwise import all_metrics, metric_named
from promise.models.base import MATRIX, Examples
from promise.models.linear import FittedLinear, Linear
from promise.state.files import whole_folder, write_json
from promise.workloads.articles.reference import AdaptiveFeatureExtractor, Article

Rows = FloatArray | Sequence[Article]
"""A matrix of features (n, d), or articles where the classifier has an extractor."""


@dataclass
class MLClassifier:
    """Logistic regression on the features of articles.

    Parameters
    ----------
    extractor
        Makes features of articles; without one the classifier takes matrices.
    metadata
        What is kept beside a version: its number, time, dataset size, configuration, F1 and
        number of features.

    Examples
    --------
    >>> x = np.array([[0.0], [0.1], [0.9], [1.0]] * 10, dtype=np.float32)
    >>> classifier = MLClassifier()
    >>> classifier.train(x, ["low", "low", "high", "high"] * 10)["f1_macro"]
    1.0
    >>> classifier.classes, classifier.predict_proba(x[:1]).argmax(axis=1).tolist()
    (('high', 'low'), [1])
    """

    extractor: AdaptiveFeatureExtractor | None = None
    seed: int = 7
    metadata: Mapping[str, Any] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    _model: FittedLinear | None = None

    def train(self, rows: Rows, labels: Sequence[Any]) -> dict[str, float]:
        """Learn, and return the scores on the same rows; `evaluate` gives honest ones.

        An extractor that was not fitted yet learns from the articles first.

        Raises
        ------
        DataError
            With fewer than two classes, not one label for each row, or a label that is missing.
        """
        extractor = self.extractor
        if extractor is not None and not extractor.fitted and not isinstance(rows, np.ndarray):
            extractor.fit(rows, labels)
        matrix = self._matrix(rows)
        names = label_names(labels)
        classes = tuple(sorted(set(names)))
        if len(classes) < 2:
            raise DataError(
                f"all {len(names)} articles are labelled {', '.join(classes)!r}; "
                "a classifier needs articles of at least two classes."
            )
        self.classes = classes
        examples = Examples(Columns({MATRIX: matrix}), self._codes(names, len(matrix)), self.answer)
        self._model = Linear().fit(examples, None, Job(seed=self.seed).child("classifier"))
        return all_metrics(self.answer, examples.y, self.predict_proba(matrix))

    @property
    def answer(self) -> Class:
        """The classes that are told apart."""
        return Class(self.classes)

    def predict_proba(self, rows: Rows) -> FloatArray:
        """Return the probability of each of `classes`, float64 (n, n_classes)."""
        found: FloatArray = self._fitted().predict(Columns({MATRIX: self._matrix(rows)}))
        return found

    def predict(self, rows: Rows) -> list[str]:
        """Return the most probable class of each row."""
        return [self.classes[code] for code in decide(self.predict_proba(rows), None).tolist()]

    def evaluate(self, rows: Rows, labels: Sequence[Any]) -> dict[str, Any]:
        """Return the scores on rows that were kept apart, with the interval of macro-F1."""
        proba = self.predict_proba(rows)
        codes = self._codes([str(label) for label in labels], len(proba))
        f1 = metric_named("f1_macro", self.answer)
        interval = bootstrap_interval(f1, codes, proba, seed=self.seed)
        return {
            **all_metrics(self.answer, codes, proba),
            "f1_macro_ci": interval,
            "rows": len(codes),
        }

    def _matrix(self, rows: Rows) -> FloatArray:
        if isinstance(rows, np.ndarray):
            return np.asarray(rows, dtype=np.float32)
        if self.extractor is None:
            raise ConfigError(
                "articles came and the classifier has no extractor; give it one, or the matrix "
                "that `transform_batch` returns."
            )
        return self.extractor.transform_batch(rows, show_progress=False)

    def _codes(self, names: Sequence[str], n_rows: int) -> IntArray:
        if len(names) != n_rows:
            raise DataError(f"{n_rows} rows came with {len(names)} labels; give one for each.")
        unknown = sorted(set(names) - set(self.classes))
        if unknown:
            raise DataError(
                f"{', '.join(unknown[:5])} are no classes of this model, which knows "
                f"{', '.join(self.classes)}; train it again with the new ones."
            )
        return np.searchsorted(np.array(self.classes), np.array(names)).astype(np.int64)

    def _fitted(self) -> FittedLinear:
        if self._model is None:
            raise ConfigError("the classifier has learned nothing yet; call `train` first.")
        return self._model

    def save(self, folder: Path | str, metadata: Mapping[str, Any] | None = None) -> None:
        """Write classifier, extractor and metadata into a folder; an old one gives way."""
        self.metadata = {**self.metadata, **(metadata or {})}
        with whole_folder(Path(folder), replace=True) as draft:
            told = {"classes": self.classes, "seed": self.seed, "metadata": self.metadata}
            write_json(draft / "classifier.json", told)
            home = draft / "model"
            home.mkdir()
            self._fitted().save(home)
            if self.extractor is not None:
                self.extractor.save(draft / "extractor")

    @classmethod
    def load(cls, folder: Path | str) -> Self:
        """Read back what `save` wrote; probabilities are the same to the last bit."""
        home = Path(folder)
        if not (home / "classifier.json").is_file():
            raise ArtifactError(f"{folder} holds no classifier: there is no classifier.json.")
        told = json.loads((home / "classifier.json").read_text(encoding="utf-8"))
        extractor = home / "extractor"
        return cls(
            AdaptiveFeatureExtractor.load(extractor) if extractor.is_dir() else None,
            told["seed"],
            told["metadata"],
            tuple(told["classes"]),
            FittedLinear.load(home / "model"),
        )


def label_names(labels: Sequence[Any]) -> list[str]:
    """Return labels as names of classes.

    Raises
    ------
    DataError
        When one is missing; says which.
    """
    names = [text_or_none(label) for label in labels]
    if None in names:
        raise DataError(
            f"article {names.index(None)} has no label; leave it out of what is learned from."
        )
    return [str(name) for name in names]


def version_folder(folder: Path | str, version: int) -> Path:
    """Return where a version of a model lives."""
    return Path(folder) / f"v{version}"


def versions_in(folder: Path | str) -> list[int]:
    """Return the numbers of the versions in a model's folder, oldest first."""
    names = (path.parent.name for path in Path(folder).glob("v*/classifier.json"))
    return sorted(int(name[1:]) for name in names if name[1:].isdecimal())


def load_model_version(folder: Path | str, version: int | None = None) -> MLClassifier:
    """Load a version of a model from its folder, the newest unless another is named.

    Raises
    ------
    ArtifactError
        When there is no such version; names those that there are.
    """
    known = versions_in(folder)
    if not known:
        raise ArtifactError(f"{folder} holds no version; train and save one first.")
    chosen = known[-1] if version is None else version
    if chosen not in known:
        there = ", ".join(map(str, known))
        raise ArtifactError(f"{folder} has no version {chosen}; there are: {there}.")
    return MLClassifier.load(version_folder(folder, chosen))


def version_metadata(folder: Path | str, version: int) -> dict[str, Any]:
    """Return what was kept beside a version, without loading it."""
    path = version_folder(folder, version) / "classifier.json"
    told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["metadata"]
    return told
