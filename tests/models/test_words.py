"""Word vectors: those of gensim to the bit, read back without it, the same each time."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from promise.errors import DataError, MissingExtra
from promise.job import Job
from promise.models.words import SubwordVectors, WordVectors, learn_subwords, learn_words

SENTENCES = [["alpha", "beta", "com"], ["alpha", "gamma", "net"], ["beta", "gamma", "com"]] * 20
UNSEEN = ["alphabet", "bücher", "a", "", "com"]


def subwords(seed: int = 7) -> SubwordVectors:
    """Learn small subword vectors."""
    pytest.importorskip("gensim", reason="needs the words extra")
    return learn_subwords(
        SENTENCES, size=8, min_count=5, window=3, shortest=3, longest=6, n_buckets=512,
        job=Job(seed=seed),
    )  # fmt: skip


def test_seen_and_unseen_words_have_gensims_vectors() -> None:
    models = pytest.importorskip("gensim.models", reason="needs the words extra")
    theirs = models.FastText(
        vector_size=8, window=3, min_count=5, min_n=3, max_n=6, bucket=512, seed=7, workers=1
    )
    theirs.build_vocab(SENTENCES)
    theirs.train(SENTENCES, total_examples=len(SENTENCES), epochs=5)
    words = ["alpha", "net", *UNSEEN]
    np.testing.assert_array_equal(subwords().many(words), [theirs.wv[word] for word in words])


def test_word_vectors_are_gensims_and_unseen_ones_are_zero() -> None:
    models = pytest.importorskip("gensim.models", reason="needs the words extra")
    mine = learn_words(SENTENCES, size=8, min_count=5, window=5, job=Job())
    theirs = models.Word2Vec(SENTENCES, vector_size=8, min_count=5, seed=7, workers=1)
    np.testing.assert_array_equal(mine.many(["alpha", "com"]), theirs.wv[["alpha", "com"]])
    np.testing.assert_array_equal(mine.many(["unseen"]), np.zeros((1, 8)))
    assert dict(zip(mine.words, mine.counts.tolist(), strict=True))["com"] == 40


def test_a_seed_gives_the_same_vectors_and_another_others() -> None:
    first, again, other = subwords(), subwords(), subwords(8)
    np.testing.assert_array_equal(first.table, again.table)
    np.testing.assert_array_equal(first.known.vectors, again.known.vectors)
    assert (first.table != other.table).any()


@pytest.mark.slow
def test_saved_vectors_are_read_back_without_gensim(tmp_path: Path) -> None:
    vectors = subwords()
    vectors.save(tmp_path)
    np.testing.assert_array_equal(SubwordVectors.load(tmp_path).many(UNSEEN), vectors.many(UNSEEN))
    code = (
        "import sys; from pathlib import Path; from promise.models.words import SubwordVectors; "
        f"SubwordVectors.load(Path({str(tmp_path)!r})).many({UNSEEN!r}); "
        "assert 'gensim' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert {path.suffix for path in tmp_path.iterdir()} == {".npy", ".json"}


def test_without_frequent_words_there_is_nothing_to_learn() -> None:
    pytest.importorskip("gensim", reason="needs the words extra")
    with pytest.raises(DataError, match="no word comes 5 times"):
        learn_words([["once", "only"]], size=4, min_count=5, window=5, job=Job())


def test_without_gensim_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gensim", None)
    with pytest.raises(MissingExtra, match=r"promise-ml\[words\]"):
        learn_words(SENTENCES, size=4, min_count=5, window=5, job=Job())


def test_no_words_have_no_vectors() -> None:
    empty = WordVectors(("a",), np.ones((1, 3), np.float32), np.ones(1, np.int64))
    assert empty.many([]).shape == (0, 3)
