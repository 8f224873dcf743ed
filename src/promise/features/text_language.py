"""Which language a text is probably in, by its script and its commonest words."""

from __future__ import annotations

import re
from collections import Counter

from promise.features.text import words

_SAMPLE = 5_000  # characters that are looked at
_LISTED = {
    "en": "the and of to in is that for it was with on as are be by this have from not he they",
    "de": "der die und das ist nicht ein eine mit den von zu auf sich für dem auch wird im war",
    "fr": "le les et des est une que dans pour qui sur pas au du il plus avec ce sont par elle",
    "es": "el los y las que una por con para es del se su como más pero no al lo fue este",
    "pt": "o os e que uma para com não do da em por mais foi ao como dos se sua pela são",
    "it": "il che di non una per è con del della sono gli si nel alla anche più ha le dei",
    "nl": "de het een en van is dat op te niet met voor zijn er aan ook maar bij wordt naar",
    "sv": "och att det som är för på en inte med av den har ett om till var från han kan",
    "da": "og at det er ikke til af der en har med den på som de blev et jeg efter også",
    "fi": "ja on ei se että hän oli mutta kun myös ovat tai niin mukaan sen joka kuin ole",
    "pl": "i w nie na się że to jest z do jak o za przez ale po był od dla są",
    "cs": "a se na že je to v s do ale jako pro by za jsou který jeho není také už",
    "tr": "ve bir bu için ile da de çok olarak daha gibi ama en kadar olan sonra değil ne",
    "ro": "și în este că nu pe o la cu din pentru mai care sunt au fost după prin un al",
}
_COMMON = {code: frozenset(listed.split()) for code, listed in _LISTED.items()}
_SCRIPTS = {
    "ja": re.compile(r"[぀-ヿ]"),
    "ko": re.compile(r"[가-힯ᄀ-ᇿ]"),
    "zh": re.compile(r"[一-鿿]"),
    "ar": re.compile(r"[؀-ۿ]"),
    "he": re.compile(r"[֐-׿]"),
    "el": re.compile(r"[Ͱ-Ͽ]"),
    "hi": re.compile(r"[ऀ-ॿ]"),
    "th": re.compile(r"[฀-๿]"),
    "uk": re.compile(r"[іїєґІЇЄҐ]"),
    "ru": re.compile(r"[Ѐ-ӿ]"),
}
_LETTER = re.compile(r"[^\W\d_]")


def language(text: str) -> str | None:
    """Return the code of a cleaned text's language; None where there is too little to tell.

    Fourteen languages in Latin script are told by their commonest words, the others by script, so
    that each script stands for its most usual language: Arabic for Persian, Russian for Bulgarian.

    Examples
    --------
    >>> language("The minister said that it was not the plan."), language("Das ist nicht der Plan")
    ('en', 'de')
    >>> language("Министр сказал"), language("内閣は決めた。それで"), language("42")
    ('ru', 'ja', None)
    """
    sample = text[:_SAMPLE]
    letters = len(_LETTER.findall(sample))
    if not letters:
        return None
    for code, script in () if sample.isascii() else _SCRIPTS.items():
        # Kana and Ukrainian letters are a few among shared ones, other scripts most of a text.
        enough = {"ja": 0.1, "uk": 0.02}.get(code, 0.4)
        if len(script.findall(sample)) >= enough * letters:
            return code
    return _by_words(words(sample))


def _by_words(found: list[str]) -> str | None:
    counts = Counter(found)
    scores = {
        code: sum(counts[word] for word in common if word in counts)
        for code, common in _COMMON.items()
    }
    best, second = sorted(scores, key=lambda code: -scores[code])[:2]
    # At least two common words, a twentieth of all, and more than any other language has.
    if scores[best] < max(2, len(found) / 20) or scores[best] == scores[second]:
        return None
    return best
