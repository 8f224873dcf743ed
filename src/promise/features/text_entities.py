"""What an article speaks of by the look of it: names, organisations, places, money, dates.

Own rules for texts in Latin script with capitals; lower-cased texts keep only numbers, money,
percentages and dates. The rules see form, not meaning: "Reading" at the start of a sentence is no
name, "May" in "May Day" is a date.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from promise.data.columns import Columns, FloatArray
from promise.features.text_reading import Reading
from promise.job import Job

_NAME = re.compile(
    r"\b[A-Z][\w'-]*(?: (?:(?<=Bank )of |(?<=University )of |(?<=Ministry )of |(?<=House )of |"
    r"(?<=Court )of |(?<=Department )of |de |van |von )?[A-Z][\w'-]*)*"
)
_BEGINS = re.compile(r"(?:^|[.!?:\n]|\n[\"'(])[\s\"'(]*$")
_TITLED = """
mr mrs ms miss dr sir dame lord lady president minister chancellor senator judge professor prof
captain king queen prince princess pope general colonel
"""
_ORGANISED = """
inc ltd llc plc corp corporation co company group holdings bank university college institute
ministry department agency council committee commission association federation union party club
united fc court parliament police foundation trust airlines motors industries systems technologies
media network studios records nations
"""
_OPENING = """
a an the this that these those he she it they we you his her its their our my but and or so if as
when while after before since although because in on at by for from of to with within there then
now yet still also both each every many most some all no not one two what who why how where which
however meanwhile last next according despite under over during
"""
_PLACED = re.compile(r"\b(?:in|at|from|near|across|throughout|outside)\s+$")
_MONTHS = "january|february|march|april|may|june|july|august|september|october|november|december"
_DAYS = "monday|tuesday|wednesday|thursday|friday|saturday|sunday"
_CALENDAR = frozenset((*_MONTHS.split("|"), *_DAYS.split("|")))
_NUMBER = r"\d+(?:[.,]\d+)*"
_BEGUN = rf"\b(?<!\d[.,]){_NUMBER}"  # from its first digit alone: lists of numbers stay linear
_MONEY = re.compile(
    rf"[$£€¥]\s?{_NUMBER}|{_BEGUN}\s?(?:(?:m|bn|million|billion|trillion)\s)?"
    r"(?:dollars?|pounds?|euros?|yen|dlrs|cents|usd|eur|gbp|p|mln dlrs|billion dlrs)\b",
    re.IGNORECASE,
)
_PERCENT = re.compile(rf"{_BEGUN}\s?(?:%|percent\b|per cent\b|pct\b)", re.IGNORECASE)
_DATE = re.compile(
    rf"\b(?:{_MONTHS})\b(?:\s\d{{1,2}}\b)?|\b(?:{_DAYS})\b|\b(?:19|20)\d\d\b"
    r"|\b\d{1,2}[/.-]\d{1,2}[/.-]\d{2,4}\b",
    re.IGNORECASE,
)
_DIGITS = re.compile(_NUMBER)
_TITLES, _ORGANISATIONS, _OPENINGS = (
    frozenset(listed.split()) for listed in (_TITLED, _ORGANISED, _OPENING)
)


@dataclass(frozen=True)
class Entities:
    """Eight densities of things spoken of, per hundred words; nothing is learned.

    Examples
    --------
    >>> body = "On Monday Mr Alan Green of Acme Holdings paid $5m in New York, up 3%."
    >>> found = Entities().transform(Columns({"body": np.array([body], dtype=object)}))
    >>> bool((found > 0).all())
    True
    """

    kind: ClassVar[str] = "entities"
    name: ClassVar[str] = "entities"
    feature_names: ClassVar[tuple[str, ...]] = (
        "names", "people", "organisations", "places", "numbers", "dates", "money", "percentages",
    )  # fmt: skip
    n_features: ClassVar[int] = 8

    def fit(self, articles: Columns | Reading, labels: Any, job: Job) -> Self:  # noqa: ARG002
        """Return itself."""
        return self

    def transform(self, articles: Columns | Reading) -> FloatArray:
        """Return float32 (n, 8), how many of each per hundred words; 0 without words."""
        reading = Reading.of(articles)
        found = np.array([count_entities(text) for text in reading.texts], dtype=np.float64)
        some = np.maximum(reading.words.counts, 1)[:, None]
        return (100.0 * found.reshape(-1, self.n_features) / some).astype(np.float32)

    def save(self, folder: Path) -> None:
        """Write nothing: nothing was learned."""

    @classmethod
    def load(cls, folder: Path) -> Self:  # noqa: ARG003
        """Return what `save` had nothing to write of."""
        return cls()


def count_entities(text: str) -> tuple[int, ...]:
    """Count what a cleaned text speaks of, in the order of `Entities.feature_names`.

    Examples
    --------
    >>> count_entities("He met Sir John Hall in Paris. Microsoft Corp lost 3 per cent.")
    (3, 1, 1, 1, 1, 0, 0, 1)
    """
    numeric = (len(pattern.findall(text)) for pattern in (_DIGITS, _DATE, _MONEY, _PERCENT))
    return (*_names(text), *numeric)


def _names(text: str) -> tuple[int, int, int, int]:
    """Count capitalised spans, and those of them that are people, organisations and places."""
    names = people = organisations = places = 0
    for found in _NAME.finditer(text):
        before = text[max(0, found.start() - 12) : found.start()]
        first = not before.strip() or _BEGINS.search(before) is not None
        for parts in _spans(found.group().split(), first):
            lower = [part.lower() for part in parts]
            names += 1
            if not _ORGANISATIONS.isdisjoint(lower) or _is_acronym(parts):
                organisations += 1
            elif not _TITLES.isdisjoint(lower[:-1]):
                people += 1
            elif parts[0] == found.group().split()[0] and _PLACED.search(before):
                places += 1
    return names, people, organisations, places


def _spans(parts: list[str], first: bool) -> list[list[str]]:
    """Cut a run of capitalised words at days and months; drop what only opens the sentence."""
    if first and (len(parts) == 1 or parts[0].lower() in _OPENINGS):
        parts = parts[1:]
    spans: list[list[str]] = [[]]
    for part in parts:
        if part.lower() in _CALENDAR:
            spans.append([])
        else:
            spans[-1].append(part)
    return [span for span in spans if span and span != ["I"]]


def _is_acronym(parts: list[str]) -> bool:
    return len(parts) == 1 and len(parts[0]) > 1 and parts[0].isupper()
