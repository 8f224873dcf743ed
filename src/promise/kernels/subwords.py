"""The character n-grams of words, hashed into buckets as fastText hashes them (FNV-1a).

Bojanowski et al. 2017, "Enriching Word Vectors with Subword Information", section 3.2: a word is
put between `<` and `>` and cut into all n-grams of a few lengths. Characters are those of UTF-8;
bytes from 128 are sign-extended before they are hashed, as fastText's own code has it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]

_BASIS = 2166136261
_PRIME = 16777619
_BLOCK = 20_000  # words whose n-grams are hashed at once


def word_ngrams(word: str, shortest: int, longest: int) -> list[str]:
    """Return a word's n-grams by their start, shorter ones first.

    Examples
    --------
    >>> word_ngrams("ab", 3, 4)
    ['<ab', '<ab>', 'ab>']
    """
    whole = f"<{word}>"
    return [
        whole[start : start + length]
        for start in range(len(whole))
        for length in range(shortest, longest + 1)
        if start + length <= len(whole)
    ]


def ngram_bucket(ngram: str, n_buckets: int) -> int:
    """Return the bucket of one n-gram; the slow twin of `hash_ngrams`."""
    found = _BASIS
    for byte in ngram.encode():
        extended = byte if byte < 128 else byte | 0xFFFFFF00
        found = ((found ^ extended) * _PRIME) & 0xFFFFFFFF
    return found % n_buckets


def hash_ngrams(
    words: Sequence[str], shortest: int, longest: int, n_buckets: int
) -> tuple[IntArray, IntArray]:
    """Return offsets (n + 1,) and the buckets of all words' n-grams, in `word_ngrams`' order.

    Parameters
    ----------
    shortest
        At least 2: a single `<` says nothing.

    Examples
    --------
    >>> offsets, buckets = hash_ngrams(["ab", ""], 3, 4, 1000)
    >>> offsets.tolist()
    [0, 3, 3]
    >>> buckets.tolist() == [ngram_bucket(ngram, 1000) for ngram in ("<ab", "<ab>", "ab>")]
    True
    """
    counts: list[IntArray] = [np.zeros(1, np.int64)]
    buckets: list[IntArray] = [np.zeros(0, np.int64)]
    for start in range(0, len(words), _BLOCK):
        block = _hash_block(words[start : start + _BLOCK], shortest, longest, n_buckets)
        counts.append(block[0])
        buckets.append(block[1])
    return np.cumsum(np.concatenate(counts)), np.concatenate(buckets)


def _hash_block(
    words: Sequence[str], shortest: int, longest: int, n_buckets: int
) -> tuple[IntArray, IntArray]:
    """Return the number of n-grams of each word, and all their buckets."""
    wrapped = [f"<{word}>" for word in words]
    raw = np.frombuffer("".join(wrapped).encode(), np.uint8)
    first = np.append(np.flatnonzero((raw & 0xC0) != 0x80), len(raw))  # of each character
    lengths = np.array([len(word) for word in wrapped], np.int64)
    ends = np.repeat(np.cumsum(lengths), lengths)  # (n_characters,): where its word ends
    start = np.arange(len(ends))[:, None]
    stop = start + np.arange(shortest, longest + 1)[None, :]
    whole = stop <= ends[:, None]
    begin = np.broadcast_to(first[start], whole.shape)[whole]
    end = first[stop[whole]]
    signed = raw.view(np.int8).astype(np.int32).view(np.uint32)
    found = np.full(len(begin), _BASIS, np.uint32)
    for offset in range(int((end - begin).max(initial=0))):
        live = begin + offset < end
        hashed = (found[live] ^ signed[begin[live] + offset]) * np.uint32(_PRIME)
        found[live] = hashed
    owners = np.repeat(np.arange(len(words)), lengths)
    per_word = np.bincount(owners, weights=whole.sum(axis=1), minlength=len(words))
    return per_word.astype(np.int64), (found % np.uint32(n_buckets)).astype(np.int64)
