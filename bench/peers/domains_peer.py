"""What else classifies names: python -m bench.peers.domains_peer SYSTEM FOLDER.

Reads `train.parquet` (name, code) and `test.parquet` (name) in the folder, writes `SYSTEM.npz`
(best: class codes, sure: their probability or margin) and prints the seconds of both as JSON.

`fasttext-style` is no release of fastText, which has no wheel for this Python, but its model
(Joulin et al. 2017, "Bag of Tricks for Efficient Text Classification"): the mean of the embeddings
of hashed character n-grams and of the whole name, a softmax over classes, SGD with a falling rate.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pyarrow.parquet as pq

from promise.kernels.subwords import hash_ngrams

Array = np.ndarray
Scores = Callable[[Sequence[str]], Array]
"""From names to one number for each class, (n, n_classes)."""

SHORTEST, LONGEST, BUCKETS = 2, 5, 2**20
SIZE, EPOCHS, RATE = 50, 10, 1.0  # the best of 5 to 25 passes and 0.5 to 1.0 on apps
_BLOCK = 20_000


def fit_fasttext_style(names: Sequence[str], codes: Array, n_classes: int) -> Scores:
    """Learn embeddings of n-grams and of classes together."""
    table = np.random.default_rng(7).uniform(-1 / SIZE, 1 / SIZE, (BUCKETS, SIZE))
    inner, outer = table.astype(np.float32), np.zeros((n_classes, SIZE), np.float32)
    offsets, buckets = terms(names)
    rows = np.random.default_rng(7)
    total = EPOCHS * len(names)
    for epoch in range(EPOCHS):
        order = rows.permutation(len(names))
        learn(offsets, buckets, codes, order, inner, outer, RATE, epoch * len(names), total)

    def scores(asked: Sequence[str]) -> Array:
        found = np.empty((len(asked), n_classes), np.float32)
        for start in range(0, len(asked), _BLOCK):
            ends, hashed = terms(asked[start : start + _BLOCK])
            found[start : start + _BLOCK] = read(ends, hashed, inner, outer)
        return found

    return scores


def terms(names: Sequence[str]) -> tuple[Array, Array]:
    """Return offsets and buckets of each name's n-grams."""
    offsets, buckets = hash_ngrams(names, SHORTEST, LONGEST, BUCKETS)
    return offsets, buckets.astype(np.int32)


@numba.njit(nogil=True)
def hidden(buckets: Array, first: int, last: int, inner: Array, out: Array) -> None:
    """Write the mean embedding of one name."""
    out[:] = 0.0
    for at in range(first, last):
        for k in range(len(out)):
            out[k] += inner[buckets[at], k]
    for k in range(len(out)):
        out[k] /= max(1, last - first)


@numba.njit(nogil=True)
def softmax(outer: Array, mean: Array, out: Array) -> None:
    """Write the probability of each class."""
    most = np.float32(-1e30)
    for c in range(len(out)):
        total = np.float32(0.0)
        for k in range(len(mean)):
            total += outer[c, k] * mean[k]
        out[c] = total
        most = max(most, total)
    scale = np.float32(0.0)
    for c in range(len(out)):
        out[c] = np.exp(out[c] - most)
        scale += out[c]
    for c in range(len(out)):
        out[c] /= scale


@numba.njit(nogil=True)
def learn(
    offsets: Array, buckets: Array, codes: Array, order: Array, inner: Array, outer: Array,
    rate: float, done: int, total: int,
) -> None:  # fmt: skip
    """Go once over the names."""
    size, n_classes = inner.shape[1], outer.shape[0]
    mean, shares = np.empty(size, np.float32), np.empty(n_classes, np.float32)
    back = np.empty(size, np.float32)
    for number in range(len(order)):
        row = order[number]
        first, last = offsets[row], offsets[row + 1]
        step = np.float32(rate * (1.0 - (done + number) / total))
        hidden(buckets, first, last, inner, mean)
        softmax(outer, mean, shares)
        back[:] = 0.0
        for c in range(n_classes):
            slope = step * ((1.0 if c == codes[row] else 0.0) - shares[c])
            for k in range(size):
                back[k] += slope * outer[c, k]
                outer[c, k] += slope * mean[k]
        for k in range(size):
            back[k] /= max(1, last - first)
        for at in range(first, last):
            for k in range(size):
                inner[buckets[at], k] += back[k]


@numba.njit(nogil=True)
def read(offsets: Array, buckets: Array, inner: Array, outer: Array) -> Array:
    """Return the probabilities of all names."""
    found = np.empty((len(offsets) - 1, outer.shape[0]), np.float32)
    mean = np.empty(inner.shape[1], np.float32)
    for row in range(len(found)):
        hidden(buckets, offsets[row], offsets[row + 1], inner, mean)
        softmax(outer, mean, found[row])
    return found


def hashed_ngrams(*, signed: bool) -> Any:
    """Return scikit-learn's hashed character 2- to 5-grams of names between marks."""
    from sklearn.feature_extraction.text import HashingVectorizer

    return HashingVectorizer(
        analyzer="char",
        ngram_range=(SHORTEST, LONGEST),
        n_features=BUCKETS,
        alternate_sign=signed,
        lowercase=False,
        dtype=np.float32,
        preprocessor=lambda name: f"<{name}>",
    )


def fit_linear_svc(names: Sequence[str], codes: Array, n_classes: int) -> Scores:
    """Learn scikit-learn's linear SVC, one class against the rest."""
    from sklearn.svm import LinearSVC

    return _sparse(LinearSVC(random_state=7), names, codes, n_classes, signed=True)


def fit_complement_nb(names: Sequence[str], codes: Array, n_classes: int) -> Scores:
    """Learn scikit-learn's Complement NB."""
    from sklearn.naive_bayes import ComplementNB

    return _sparse(ComplementNB(), names, codes, n_classes, signed=False)


def _sparse(
    model: Any, names: Sequence[str], codes: Array, n_classes: int, *, signed: bool
) -> Scores:
    cut = hashed_ngrams(signed=signed)
    model.fit(cut.transform(names), codes)
    margin = getattr(model, "decision_function", None) or model.predict_joint_log_proba

    def scores(asked: Sequence[str]) -> Array:
        found = np.full((len(asked), n_classes), -np.inf)
        for start in range(0, len(asked), _BLOCK):
            some = np.asarray(margin(cut.transform(asked[start : start + _BLOCK])))
            wide = np.column_stack([-some, some]) if some.ndim == 1 else some
            found[start : start + _BLOCK, model.classes_] = wide
        return found

    return scores


SYSTEMS: dict[str, Callable[[Sequence[str], Array, int], Scores]] = {
    "fasttext-style": fit_fasttext_style,
    "linear-svc": fit_linear_svc,
    "complement-nb": fit_complement_nb,
}


def main(system: str, folder: Path) -> None:
    """Learn, answer, and tell how long both took."""
    train = pq.read_table(folder / "train.parquet")
    names, codes = train["name"].to_pylist(), train["code"].to_numpy()
    asked = pq.read_table(folder / "test.parquet")["name"].to_pylist()
    began = time.perf_counter()
    scores = SYSTEMS[system](names, codes, int(codes.max()) + 1)
    fitted = time.perf_counter()
    found = scores(asked)
    ended = time.perf_counter()
    np.savez(folder / f"{system}.npz", best=found.argmax(axis=1), sure=found.max(axis=1))
    print(json.dumps({"fit_s": fitted - began, "predict_s": ended - fitted}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
