"""What articles are called: one class or several labels each, read and looked through."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

import numpy as np

from promise.data.answer import Answer, Class, Labels
from promise.data.columns import Array, IntArray
from promise.errors import ConfigError, DataError
from promise.kernels.multilabel import MARK, json_list, label_sets

_COMPARED = 400
"""So many names at most are compared letter by letter."""

_ALIKE = 0.84
_RARE = 0.1
"""Only a name this much rarer than the other is taken for a slip of it."""


@dataclass(frozen=True)
class Named:
    """The labels of all labelled rows.

    Parameters
    ----------
    answer
        `Class` or `Labels`, names in alphabetical order.
    truth
        Bool (n, n_names).
    known
        Positions of these rows among all that were read.
    """

    answer: Class | Labels
    truth: Array
    known: IntArray

    @property
    def names(self) -> tuple[str, ...]:
        """What can be answered."""
        return names_of(self.answer)

    @property
    def several(self) -> bool:
        """Whether a row may have several."""
        return isinstance(self.answer, Labels)


def names_of(answer: Answer) -> tuple[str, ...]:
    """Return the classes or labels of an answer."""
    if isinstance(answer, Labels):
        return answer.labels
    assert isinstance(answer, Class)
    return answer.classes


def read_labels(
    values: Sequence[Any], column: str, kind: str, known: Answer | None = None
) -> Named:
    """Read a column of labels: lists, or texts that may hold several, joined by `;`.

    Parameters
    ----------
    kind
        `one`, `many`, or `auto`: several where the column holds lists, or where the parts of texts
        joined by `;` come again in others.
    known
        The answer of the version that is trained again: its names keep their places.

    Raises
    ------
    DataError
        When there are fewer than two names.

    Examples
    --------
    >>> found = read_labels(["sport", None, "news"], "topic", "auto")
    >>> found.names, found.known.tolist()
    (('news', 'sport'), [0, 2])
    >>> read_labels([["a", "b"], ["b"]], "tags", "auto").truth.tolist()
    [[True, True], [False, True]]
    """
    if kind not in ("auto", "one", "many"):
        raise ConfigError(f"--set labels={kind}: expected one, many or auto.")
    several = kind == "many" or (kind == "auto" and _several(values))
    if isinstance(known, Labels):
        several = True
    rows = [_parts(value, several) for value in values]
    place = [row for row, parts in enumerate(rows) if parts is not None]
    given = {name for parts in rows if parts for name in parts}
    if len(given | set(() if known is None else names_of(known))) < 2:
        shown = f"one class ({next(iter(given))!r})" if given else "no label"
        raise DataError(
            f"column {column!r} has {shown} in {len(values):,} rows; give articles of at least two "
            "classes."
        )
    names = tuple(sorted(given | set(() if known is None else names_of(known))))
    codes = {name: code for code, name in enumerate(names)}
    truth = np.zeros((len(place), len(names)), dtype=np.bool_)
    for at, row in enumerate(place):
        for name in rows[row] or ():
            truth[at, codes[name]] = True
    answer: Class | Labels = Labels(names) if several else Class(names)
    return Named(answer, truth, np.array(place, dtype=np.int64))


def _several(values: Sequence[Any]) -> bool:
    if any(isinstance(value, list | tuple | np.ndarray) for value in values):
        return True
    texts = [value for value in values if isinstance(value, str)]
    if any(json_list(text) is not None for text in texts[:1000]):
        return True
    joined = [str(value) for value in values if value is not None and MARK in str(value)]
    if len(joined) < max(2, len(values) / 100):
        return False
    parts = Counter(part for text in joined for part in label_sets([text])[0])
    return sum(n > 1 for n in parts.values()) * 2 > len(parts)


def _parts(value: Any, several: bool) -> tuple[str, ...] | None:
    """Return the names in a cell; None where nothing is said."""
    if value is None:
        return None
    if isinstance(value, float) and np.isnan(value):
        return None
    if several:
        return label_sets([value])[0]
    text = str(value).strip()
    return (text,) if text else None


@dataclass(frozen=True)
class Spelling:
    """Two names that may be one class, and how often each comes."""

    names: tuple[str, str]
    counts: tuple[int, int]
    why: str

    def told(self) -> str:
        """Say it in a sentence."""
        (rare, often), (few, many) = self.names, self.counts
        return (
            f"label {rare!r} ({few:,}) looks like {often!r} ({many:,} articles): {self.why}; they "
            "are learned as two classes unless you write them alike."
        )


def spellings(named: Named) -> list[Spelling]:
    """Return names that differ in case, blanks or marks, or rare ones a slip away from others.

    Examples
    --------
    >>> cells = ["sport"] * 30 + ["Sport ", "sprot", "news", "news"]
    >>> [each.names for each in spellings(read_labels(cells, "topic", "one"))]
    [('Sport', 'sport'), ('sprot', 'sport')]
    """
    counts = named.truth.sum(axis=0).tolist()
    often = sorted(range(len(counts)), key=lambda code: (-counts[code], named.names[code]))
    keys = ["".join(c for c in name.casefold() if c.isalnum()) for name in named.names]
    found = []
    for place, code in enumerate(often[:_COMPARED]):
        for other in often[:place]:
            why = _why(keys[code], keys[other], counts[code], counts[other])
            if why:
                pair = (named.names[code], named.names[other])
                found.append(Spelling(pair, (counts[code], counts[other]), why))
                break
    return found


def _why(rare: str, often: str, few: int, many: int) -> str:
    if rare == often and rare:
        return "they differ in case, blanks or marks only"
    if few > max(1, _RARE * many) or min(len(rare), len(often)) < 4:
        return ""
    matcher = SequenceMatcher(None, rare, often, autojunk=False)
    if matcher.real_quick_ratio() < _ALIKE - 0.05 or abs(len(rare) - len(often)) > 2:
        return ""
    swapped = sorted(rare) == sorted(often)
    if swapped or matcher.ratio() >= _ALIKE:
        return "a few letters apart, and rare"
    return ""
