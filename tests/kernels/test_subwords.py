"""Hashed n-grams: equal to their slow twin and to gensim's, for ASCII and beyond."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from promise.kernels.subwords import hash_ngrams, ngram_bucket, word_ngrams

WORDS = st.lists(st.text(max_size=12), max_size=8)


@given(words=WORDS, shortest=st.integers(2, 4), more=st.integers(0, 3))
def test_the_fast_path_equals_its_slow_twin(words: list[str], shortest: int, more: int) -> None:
    offsets, buckets = hash_ngrams(words, shortest, shortest + more, 5003)
    for row, word in enumerate(words):
        expected = [ngram_bucket(g, 5003) for g in word_ngrams(word, shortest, shortest + more)]
        assert buckets[offsets[row] : offsets[row + 1]].tolist() == expected


def test_fnv_1a_known_answers() -> None:
    # the published test vectors of the 32-bit FNV-1a hash
    assert ngram_bucket("", 2**32) == 0x811C9DC5
    assert ngram_bucket("a", 2**32) == 0xE40C292C
    assert ngram_bucket("foobar", 2**32) == 0xBF9CF968


def test_n_grams_equal_gensims() -> None:
    gensim = pytest.importorskip("gensim.models.fasttext", reason="needs the words extra")
    words = ["whatsapp", "a", "", "bücher", "日本語", "x" * 70]
    offsets, buckets = hash_ngrams(words, 3, 6, 2**18)
    for row, word in enumerate(words):
        expected = gensim.ft_ngram_hashes(word, 3, 6, 2**18)
        assert buckets[offsets[row] : offsets[row + 1]].tolist() == expected


def test_many_words_cross_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    words = [f"word{i}" for i in range(50)]
    whole = hash_ngrams(words, 3, 5, 997)
    monkeypatch.setattr("promise.kernels.subwords._BLOCK", 7)
    for one, other in zip(whole, hash_ngrams(words, 3, 5, 997), strict=True):
        np.testing.assert_array_equal(one, other)
