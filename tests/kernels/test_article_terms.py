"""Terms of texts beside a plain reading of the same rules; what learns on them."""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from sklearn.svm import LinearSVC

from promise.job import Job
from promise.models.text_linear import Margins, class_weights, fit_logistic, fit_support
from promise.models.text_terms import Terms, count

TEXTS = [
    "To be, or not to be: that is the question.",
    "Äpfel und Birnen — 3.5% mehr",
    "",
    "a b",
    "私は元気です " + "x" * 300,
]


def plainly(text: str) -> list[int]:
    """Return how often each distinct term comes, in any order: words, pairs, n-grams."""
    words = re.findall(r"[a-z0-9\x80-\U0010ffff]+", text.lower().replace("—", " "))
    terms = [("w", word) for word in words]
    terms += [("p", pair) for pair in pairwise(words)]
    for word in words:
        cut = word.encode()[:48].decode(errors="ignore")
        padded = f" {cut} "
        for size in (3, 4, 5):
            terms += [("g", padded[i : i + size]) for i in range(len(padded) - size + 1)]
    return sorted(Counter(terms).values())


@pytest.mark.parametrize("text", TEXTS)
def test_terms_are_those_of_a_plain_reading(text: str) -> None:
    found = count([text], grams=True)
    assert sorted(found.counts.astype(int).tolist()) == plainly(text)


def test_rows_have_length_one_and_do_not_depend_on_their_neighbours() -> None:
    counted = count(TEXTS, grams=True)
    terms = Terms.fit(counted, np.arange(len(TEXTS)), grams=True)
    whole = terms.transform(TEXTS)
    lengths = np.sqrt(np.asarray(whole.multiply(whole).sum(axis=1))).ravel()
    np.testing.assert_allclose(lengths, [1, 1, 0, 1, 1], atol=1e-6)
    for row, text in enumerate(TEXTS):
        alone = terms.transform([text])
        np.testing.assert_array_equal(alone.toarray()[0], whole[row].toarray()[0])


@pytest.mark.parametrize("n", [5, 2_100])
def test_all_rows_are_weighed_in_parts_as_they_are_at_once(
    n: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("promise.models.text_terms._TEXTS", 2 if n == 5 else 900)
    texts = [TEXTS[row % 5] + f" n{row % 1_700}" for row in range(n)]
    counted = count(texts, grams=True)
    whole = Terms.fit(counted, np.arange(n), grams=True)
    terms, rows = Terms.fit_weighed(texts, grams=True)
    np.testing.assert_array_equal(terms.buckets, whole.buckets)
    np.testing.assert_array_equal(terms.worth, whole.worth)
    expected = whole.weighed(counted)
    np.testing.assert_array_equal(rows.indptr, expected.indptr)
    np.testing.assert_array_equal(rows.indices, expected.indices)
    np.testing.assert_array_equal(rows.data, expected.data)


def test_unknown_terms_are_passed_over() -> None:
    terms = Terms.fit(count(["oil price"], grams=False), np.array([0]), grams=False)
    assert terms.n_features == 3
    assert terms.transform(["oil tanker"]).nnz == 1


def test_weights_of_frequent_terms_are_scikit_learns() -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer

    rng = np.random.default_rng(4)
    words = np.array([f"w{i}" for i in range(80)])
    texts = ["all " + " ".join(rng.choice(words, 25)) for _ in range(40)]
    counted = count(texts, grams=False)
    terms = Terms.fit(counted, np.arange(40), grams=False, least=2, most_texts=36)
    theirs = TfidfVectorizer(
        ngram_range=(1, 2), min_df=2, max_df=0.9, sublinear_tf=True, token_pattern=r"\w+"
    )
    expected, found = theirs.fit_transform(texts), terms.transform(texts)
    assert found.shape == expected.shape
    # Columns have another order; products between rows do not depend on it.
    np.testing.assert_allclose(
        (found @ found.T).toarray(), (expected @ expected.T).toarray(), atol=1e-5
    )
    few = Terms.fit(counted, np.arange(40), grams=False, most_terms=5)
    assert few.n_features == 5
    assert few.transform(["all"]).nnz == 1


def test_support_vectors_are_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    words = np.array([f"w{i}" for i in range(60)])
    y = rng.integers(0, 3, 90)
    texts = [" ".join(rng.choice(words[c * 15 : c * 15 + 30], 12)) for c in y]
    counted = count(texts, grams=False)
    terms = Terms.fit(counted, np.arange(90), grams=False)
    features = terms.weighed(counted)
    truth = np.eye(3, dtype=bool)[y]
    ours = fit_support(features, truth, strength=1.0, power=0.0, job=Job(seed=1)).of(features)
    theirs = LinearSVC(C=1.0, tol=1e-5).fit(features, y).decision_function(features)
    assert np.abs(ours - theirs).max() < 0.1
    assert (ours.argmax(axis=1) == theirs.argmax(axis=1)).mean() > 0.97


def test_two_classes_are_asked_once_and_mirror_one_another() -> None:
    counted = count(["a b c", "d e f", "a c", "d f"], grams=False)
    features = Terms.fit(counted, np.arange(4), grams=False).weighed(counted)
    truth = np.eye(2, dtype=bool)[[0, 1, 0, 1]]
    margins = fit_support(features, truth, strength=1.0, power=0.0, job=Job()).of(features)
    np.testing.assert_array_equal(margins[:, 0], -margins[:, 1])
    assert (margins.argmax(axis=1) == [0, 1, 0, 1]).all()


def test_logistic_regression_separates_and_counts_missing_classes_out() -> None:
    rng = np.random.default_rng(0)
    y = np.repeat([0, 2], 30)
    features = (rng.normal(size=(60, 5)) + y[:, None]).astype(np.float32)
    truth = np.eye(3, dtype=bool)[y]
    linear = fit_logistic(features, truth, strength=100.0, power=0.0, several=False)
    assert (linear.of(features).argmax(axis=1) == y).mean() > 0.95
    tagged = fit_logistic(features, truth, strength=100.0, power=1.0, several=True)
    assert ((tagged.of(features) > 0)[:, 2] == truth[:, 2]).mean() > 0.9
    assert class_weights(truth, 0.0).tolist() == [1.0, 1.0, 1.0]


def test_margins_of_dense_rows_do_not_depend_on_the_batch() -> None:
    rng = np.random.default_rng(0)
    linear = Margins(
        rng.normal(size=(50, 4)).astype(np.float32), rng.normal(size=4).astype(np.float32)
    )
    rows = rng.normal(size=(9, 50)).astype(np.float32)
    whole = linear.of(rows)
    np.testing.assert_array_equal(whole[3:4], linear.of(rows[3:4]))
