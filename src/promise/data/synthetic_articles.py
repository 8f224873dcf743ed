"""Articles made by a rule, with an answer that is known: for tests, guides and examples."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

TOPICS = ("business", "culture", "politics", "science", "sport", "travel", "health", "weather")
_SYLLABLES = ("ka", "lo", "mi", "ren", "sta", "tor", "vel", "zu", "pra", "den", "os", "uli")
_COMMON = 400
_TELLING = 40
SOURCES = ("Daily", "Herald", "Post", "Wire")


def article_table(
    n_rows: int,
    *,
    n_topics: int = 4,
    clarity: float = 0.15,
    n_words: int = 60,
    several: bool = False,
    seed: int = 7,
) -> pa.Table:
    """Return articles whose topics show in words of their own, strewn among common ones.

    Parameters
    ----------
    clarity
        Share of an article's words that tell its topic; the more, the easier.
    n_words
        Of an article's body, on average.
    several
        Whether an article may have one to three topics, as a list; else it has one.

    Returns
    -------
    `title`, `body`, `source` and `topic`.

    Examples
    --------
    >>> table = article_table(3, seed=1)
    >>> table.column_names, table.num_rows
    (['title', 'body', 'source', 'topic'], 3)
    """
    rng = np.random.default_rng(seed)
    # the language is one: whatever the seed, the same words tell the same topics
    words = _words(_COMMON + _TELLING * len(TOPICS), np.random.default_rng(0))
    common, telling = words[:_COMMON], words[_COMMON:].reshape(len(TOPICS), _TELLING)
    shares = 1.0 / np.arange(1, _COMMON + 1)
    titles, bodies, topics, sources = [], [], [], []
    for _ in range(n_rows):
        n_own = 1 + (int(rng.integers(0, 3)) if several else 0)
        own = np.sort(rng.choice(n_topics, size=min(n_own, n_topics), replace=False))
        length = int(rng.integers(n_words // 2, n_words * 3 // 2 + 1)) + 6
        text = rng.choice(common, size=length, p=shares / shares.sum())
        told = np.flatnonzero(rng.random(length) < clarity)
        text[told] = telling[rng.choice(own, size=len(told)), rng.integers(0, _TELLING, len(told))]
        titles.append(" ".join(text[:6]).capitalize())
        bodies.append(_sentences(text[6:]))
        topics.append([TOPICS[code] for code in own] if several else TOPICS[own[0]])
        sources.append(SOURCES[int(rng.integers(len(SOURCES)))])
    return pa.table({"title": titles, "body": bodies, "source": sources, "topic": topics})


def _words(n: int, rng: np.random.Generator) -> np.ndarray:
    """Return so many different made-up words."""
    found: dict[str, None] = {}
    while len(found) < n:
        found["".join(rng.choice(_SYLLABLES, size=int(rng.integers(2, 5))))] = None
    return np.array(list(found), dtype=object)


def _sentences(words: np.ndarray) -> str:
    parts = [words[first : first + 12] for first in range(0, len(words), 12)]
    return " ".join(" ".join(part).capitalize() + "." for part in parts)
