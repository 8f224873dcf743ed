"""Whether an article's words are kind or harsh, by a short list of English words.

Limits: the list was written for news and is English only; other languages score 0. It knows single
words and a negation up to three words before, not irony, comparison or who speaks. "Strike",
"record" and other words that are good news in one section and bad in another are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from promise.data.columns import Array, Columns, FloatArray
from promise.features.text_reading import Lexicon, Reading, Words
from promise.job import Job

POSITIVE = """
able accomplish accomplished achieve achieved achievement acclaim acclaimed admire admired
advantage agreed amazing applaud applauded appreciate appreciated approve approved award awarded
awesome beautiful beauty beneficial benefit benefited benefits best better boom boost boosted
brave bright brilliant calm celebrate celebrated celebration champion champions cheer cheered
clean comfort comfortable confident congratulate cure cured delight delighted eager ease eased
effective efficient elegant encourage encouraged encouraging enjoy enjoyed enthusiasm enthusiastic
excellent exciting fabulous fair famous fantastic favourite favorite fortunate free freedom fresh
friendly fun gain gained gains generous glad glory good graceful grateful great growth happy
happiness harmony healthy heal help helped helpful helping hero heroes honest honour honoured
honor honored hope hoped hopeful ideal impress impressed impressive improve improved improvement
improving innovative inspire inspired inspiring joy keen kind laugh love loved lovely loyal lucky
magnificent marvellous merit miracle nice optimism optimistic outstanding peace peaceful perfect
pleasant pleased pleasure popular positive praise praised pride prize profit profitable profits
progress promising prosper prosperity proud recover recovered recovery relief relieved remarkable
rescue rescued resolve resolved respect respected reward rewarding rich safe safer safety
satisfied satisfy secure skilled smart smile smooth solid solution solve solved splendid stable
strength strong stronger strongest succeed succeeded success successes successful superb superior
support supported surge talent talented terrific thank thanks thrilled thriving top triumph
triumphant trust trusted upbeat valuable victory vibrant warm welcome welcomed win winner winners
winning wins wise won wonderful worthy
"""
"""Words that speak well of something."""

NEGATIVE = """
abandon abandoned abuse abused accident accidents accuse accused accuses afraid aggressive
allegation allegations alleged angry anger anxiety anxious appalling arrest arrested ashamed
attack attacked attacks awful bad ban bankrupt bankruptcy banned battle battered bitter blame
blamed bleak blow bomb bombing breach broke broken brutal burden bust chaos chaotic cheat cheated
clash clashes collapse collapsed complain complained complaint complaints condemn condemned
conflict confusion controversial controversy corrupt corruption costly crash crashed crime crimes
criminal crisis critic critical criticise criticised criticism criticize criticized cruel cut cuts
damage damaged damaging danger dangerous dead deadly death deaths debt debts decline declined
defeat defeated deficit delay delayed denied deny despair desperate destroy destroyed destruction
die died difficult difficulties difficulty dirty disappoint disappointed disappointing
disappointment disaster disastrous disease dismal dispute disputes disturbing doubt doubts dread
drop dropped emergency enemy epidemic error errors evil explosion fail failed failing fails
failure failures fake fall fallen falling falls false fatal fault fear feared fears fell fierce
fight fighting fine fined flaw flawed fraud fraudulent frustrated frustrating frustration furious
grief grim guilty harm harmed harmful harsh hate hated hatred helpless horrible horror hostile
hostility hurt hurts ill illegal illness injured injuries injury insult jail jailed kill killed
killing kills lack lawsuit lie lied lies lose loser loses losing loss losses lost mess misery
mistake mistakes murder murdered negative nightmare outrage pain painful panic penalty plague
plunge plunged poison poor poverty pressure prison problem problems protest protests punish
punished punishment racism rage recession refuse refused regret reject rejected resign resigned
riot risk risks risky ruin ruined sad sadly sadness scandal scare scared serious severe shame
shock shocked shocking shortage sick slump slumped sorry spam steal stole stolen storm struggle
struggled struggling stupid sue sued suffer suffered suffering suspect suspected suspicion
terrible terror terrorism terrorist terrorists theft threat threaten threatened threatening
threats tragedy tragic trouble troubled troubles ugly unable unfair unhappy upset urgent victim
victims violation violence violent virus war warn warned warning warnings wars waste weak weaker
weakness worried worries worry worse worsen worst worthless wound wounded wrong
"""
"""Words that speak ill of something, or of something ill."""

_NEGATIONS = """
not no never neither nor none nobody nothing hardly barely without cannot can't don't doesn't
didn't isn't aren't wasn't weren't won't wouldn't shouldn't couldn't haven't hasn't hadn't
"""
_REACH = 3  # words behind a negation that it turns around


@dataclass(frozen=True)
class Sentiment:
    """Five numbers of an article's tone; nothing is learned.

    Examples
    --------
    >>> bodies = np.array(["A great win.", "Not a great win. A terrible loss."], dtype=object)
    >>> Sentiment().transform(Columns({"body": bodies}))[:, 2].tolist()
    [1.0, -1.0]
    """

    kind: ClassVar[str] = "sentiment"
    name: ClassVar[str] = "sentiment"
    feature_names: ClassVar[tuple[str, ...]] = (
        "positive_share", "negative_share", "polarity", "polarity_spread", "title_polarity",
    )  # fmt: skip
    n_features: ClassVar[int] = 5

    def fit(self, articles: Columns | Reading, labels: Any, job: Job) -> Self:  # noqa: ARG002
        """Return itself."""
        return self

    def transform(self, articles: Columns | Reading) -> FloatArray:
        """Return float32 (n, 5).

        Kind and harsh words per hundred, their difference over their sum (-1 … 1), how far the
        sentences' own polarities lie from each other, and the title's polarity. 0 without words.
        """
        reading = Reading.of(articles)
        words = reading.words
        tone = tones(words)
        rows, n = words.rows, len(words)
        kind = np.bincount(rows, tone > 0, n)
        harsh = np.bincount(rows, tone < 0, n)
        some = np.maximum(words.counts, 1)
        columns = (
            100.0 * kind / some, 100.0 * harsh / some, _polarity(kind, harsh),
            _spread(words, tone), _titles(reading),
        )  # fmt: skip
        return np.stack(columns, axis=1).astype(np.float32)

    def save(self, folder: Path) -> None:
        """Write nothing: nothing was learned."""

    @classmethod
    def load(cls, folder: Path) -> Self:  # noqa: ARG003
        """Return what `save` had nothing to write of."""
        return cls()


def tones(words: Words) -> Array:
    """Return each word's tone, int8 (n_words,): 1, -1 or 0, turned around behind a negation."""
    tone = _tone_of()[_lexicon().find(words.hashes)]
    negates = tone == 2
    behind = np.zeros(len(tone), dtype=bool)
    rows = words.rows
    for distance in range(1, _REACH + 1):
        same = (rows[distance:] == rows[:-distance]) & (
            words.sentences[distance:] == words.sentences[:-distance]
        )
        behind[distance:] |= negates[:-distance] & same
    tone[negates] = 0
    tone[behind] *= -1
    return tone


@lru_cache(maxsize=1)
def _lexicon() -> Lexicon:
    return Lexicon.of([*POSITIVE.split(), *NEGATIVE.split(), *_NEGATIONS.split()])


def _tone_of() -> Array:
    """Return the tone of each listed word, 2 for a negation; the last is of unknown words."""
    sizes = (*(len(text.split()) for text in (POSITIVE, NEGATIVE, _NEGATIONS)), 1)
    return np.repeat(np.array([1, -1, 2, 0], np.int8), sizes)


def _polarity(kind: Array, harsh: Array) -> FloatArray:
    found: FloatArray = (kind - harsh) / np.maximum(kind + harsh, 1.0)
    return found


def _titles(reading: Reading) -> FloatArray:
    words = reading.title_words
    tone, n = tones(words), len(words)
    return _polarity(np.bincount(words.rows, tone > 0, n), np.bincount(words.rows, tone < 0, n))


def _spread(words: Words, tone: Array) -> FloatArray:
    """Return the deviation of the sentences' polarities, of those that have a tone at all."""
    wide = int(words.sentences.max(initial=0)) + 1
    cells, sentence = np.unique(words.rows * wide + words.sentences, return_inverse=True)
    kind, harsh = np.bincount(sentence, tone > 0), np.bincount(sentence, tone < 0)
    toned = kind + harsh > 0
    rows, polarity = (cells // wide)[toned], _polarity(kind, harsh)[toned]
    n = np.maximum(np.bincount(rows, minlength=len(words)), 1)
    mean = np.bincount(rows, polarity, len(words)) / n
    square = np.bincount(rows, polarity**2, len(words)) / n
    spread: FloatArray = np.sqrt(np.maximum(square - mean**2, 0.0))
    return spread
