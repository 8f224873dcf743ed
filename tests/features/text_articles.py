"""Generated articles with planted words: each class has its own, and a source it comes from."""

import numpy as np

from promise.data.columns import Columns
from promise.features.text import to_columns

CLASSES = ("money", "science", "sport")
_SYLLABLES = [a + b for a in "bdfgklmnprst" for b in "aeiou"]


def generated(
    n_articles: int, *, seed: int = 5, n_words: int = 40, share: float = 0.15
) -> tuple[list[dict[str, str | None]], list[str]]:
    """Return articles and labels; `share` of an article's words are its class's own."""
    rng = np.random.default_rng(seed)
    fixed = np.random.default_rng(1)
    vocabulary = ["".join(fixed.choice(_SYLLABLES, 3)) for _ in range(360)]
    articles: list[dict[str, str | None]] = []
    labels = []
    for code in rng.integers(len(CLASSES), size=n_articles).tolist():
        own = rng.random(n_words) < share
        drawn = np.where(
            own, 20 * code + rng.integers(20, size=n_words), 60 + rng.integers(300, size=n_words)
        )
        words = [vocabulary[word] for word in drawn.tolist()]
        source = f"paper-{code if rng.random() < 0.7 else rng.integers(3)}"
        articles.append(
            {"title": " ".join(words[:4]), "body": " ".join(words[4:]) + ".", "source": source}
        )
        labels.append(CLASSES[code])
    return articles, labels


def columns(n_articles: int, **options: float) -> tuple[Columns, list[str]]:
    """Return generated articles as columns."""
    articles, labels = generated(n_articles, **options)  # type: ignore[arg-type]
    return to_columns(articles), labels
