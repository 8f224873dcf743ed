"""Scores of the keyword rules that a user wrote down: a first layer under what is learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from promise.data.columns import Columns, FloatArray
from promise.errors import ConfigError
from promise.features.text import clean
from promise.features.text_reading import Lexicon, Reading, Words
from promise.job import Job
from promise.kernels.model_files import load_state, save_state

_LONGEST = 8  # words that a rule may have


@dataclass(frozen=True, eq=False)
class FittedRules:
    """Counts the words and phrases that a user wrote down for each class.

    Parameters
    ----------
    feature_names
        One for each column.
    rules
        Words and phrases of the first columns' classes.
    """

    kind: ClassVar[str] = "rules"
    name: ClassVar[str] = "rules"
    feature_names: tuple[str, ...]
    rules: Mapping[str, tuple[str, ...]]

    @property
    def n_features(self) -> int:
        """How many columns there are."""
        return len(self.feature_names)

    @cached_property
    def _cues(self) -> dict[int, tuple[Lexicon, FloatArray]]:
        """For each length in words: the rules of that length, and the columns they speak for."""
        columns: dict[int, dict[int, set[int]]] = {}
        for column, cues in enumerate(self.rules.values()):
            cut = Words.of([clean(cue) for cue in cues])
            for length in np.unique(cut.counts).tolist():
                hashes, ends = cut.runs(length, length)
                for row in np.flatnonzero(cut.counts == length).tolist():
                    at = columns.setdefault(length, {})
                    at.setdefault(int(hashes[ends[row]]), set()).add(column)
        return {length: self._listed(at) for length, at in columns.items()}

    def _listed(self, columns: dict[int, set[int]]) -> tuple[Lexicon, FloatArray]:
        belongs = np.zeros((len(columns), self.n_features))
        for place, chosen in enumerate(columns.values()):
            belongs[place, sorted(chosen)] = 1.0
        return Lexicon(np.array(list(columns), dtype=np.uint64)), belongs

    def transform(self, articles: Columns | Reading) -> FloatArray:
        """Return float32 (n, n_features): ln(1 + how often a rule of the class applies)."""
        reading = Reading.of(articles)
        total = np.zeros((len(reading), self.n_features))
        for length, (lexicon, belongs) in self._cues.items():
            hashes, ends = reading.words.runs(length, length)
            total += lexicon.counts(hashes, ends) @ belongs
        scores: FloatArray = np.log1p(total).astype(np.float32)
        return scores

    def save(self, folder: Path) -> None:
        """Write the rules."""
        listed = {name: list(cues) for name, cues in self.rules.items()}
        save_state({"feature_names": list(self.feature_names), "rules": listed}, folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote."""
        state = load_state(folder)
        rules = {name: tuple(cues) for name, cues in state["rules"].items()}
        return cls(tuple(state["feature_names"]), rules)


@dataclass(frozen=True)
class Rules:
    """Scores of the user's own keyword rules, class by class.

    Parameters
    ----------
    rules
        Words and phrases of each class. With more classes than columns those count whose rules
        apply to most of the training articles. Without rules the columns are zero.

    Examples
    --------
    >>> articles = Columns({"body": np.array(["Interest rates rise", None], dtype=object)})
    >>> fitted = Rules({"money": ["interest rates", "rates"]}).fit(articles, ["a", "b"], Job())
    >>> np.expm1(fitted.transform(articles))[:, 0].round().tolist()
    [2.0, 0.0]
    """

    name: ClassVar[str] = "rules"
    rules: Mapping[str, Sequence[str]] | None = None
    n_features: int = 5

    def fit(self, articles: Columns | Reading, labels: Any, job: Job) -> FittedRules:  # noqa: ARG002
        """Choose whose rules count; labels are not used.

        Raises
        ------
        ConfigError
            When a rule has no word, or too many; when a class has a text in place of a list.
        """
        given = self.rules or {}
        for name, cues in given.items():
            _check(name, cues)
        rules = {name: tuple(cues) for name, cues in given.items()}
        if len(rules) > self.n_features:
            applied = (FittedRules(tuple(rules), rules).transform(articles) > 0).sum(axis=0)
            chosen = np.argsort(-applied, kind="stable")[: self.n_features]
            kept = {list(rules)[place] for place in chosen.tolist()}
            rules = {name: cues for name, cues in rules.items() if name in kept}
        spare = range(len(rules), self.n_features)
        names = [*(f"rule_{name}" for name in rules), *(f"rule_unused_{i + 1}" for i in spare)]
        return FittedRules(tuple(names), rules)


def _check(name: str, cues: Sequence[str]) -> None:
    if isinstance(cues, str):
        raise ConfigError(
            f"the rules of {name!r} are one text; give a list, for example [{cues!r}]."
        )
    for cue in cues:
        n_words = int(Words.of([clean(cue)]).counts[0])
        if not 0 < n_words <= _LONGEST:
            raise ConfigError(
                f"the rule {cue!r} of {name!r} has {n_words} words; a rule has 1 to {_LONGEST}."
            )
