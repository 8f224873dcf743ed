"""Gowalla's official split, and what is right among twenty for every test user."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import pyarrow.parquet as pq

from bench.datasets import data_folder
from promise.models.interactions import Interactions

Array = np.ndarray
AT = 20
BLOCK = 512


@dataclass(frozen=True)
class Split:
    """Who chose whom, before and after; no time is known."""

    train: Interactions
    test: Interactions

    @property
    def users(self) -> Array:
        """Who is judged: everyone with something in the test part."""
        return np.flatnonzero(self.test.counts)


def gowalla() -> Split:
    """Read the split that published results use."""
    parts = []
    for side in ("train", "test"):
        table = pq.read_table(data_folder() / f"recommend/gowalla_lightgcn_{side}.parquet")
        parts.append(tuple(table[name].to_numpy() for name in ("user", "item")))
    shape = tuple(1 + max(int(part[place].max()) for part in parts) for place in (0, 1))
    train, test = (Interactions.from_pairs(*part, shape=shape) for part in parts)
    return Split(train, test)


def held_out(of: Interactions, share: float, seed: int) -> Split:
    """Cut a random share of each pair off, so that choices are made without the test part."""
    late = np.random.default_rng(seed).random(of.nnz) < share
    return Split(of.where(~late), of.where(late))


@numba.njit(cache=True, nogil=True)
def top(scores: Array, k: int, found: Array) -> None:
    """Write the places of the `k` largest of each row, best first; the first of equal ones."""
    best = np.empty(k, scores.dtype)
    for row in range(len(scores)):
        kept = 0
        for j in range(scores.shape[1]):
            score = scores[row, j]
            if kept == k and score <= best[k - 1]:
                continue
            place = min(kept, k - 1)
            while place > 0 and score > best[place - 1]:
                best[place], found[row, place] = best[place - 1], found[row, place - 1]
                place -= 1
            best[place], found[row, place] = score, j
            kept = min(kept + 1, k)


@numba.njit(cache=True, nogil=True)
def _hide(rows: Array, starts: Array, others: Array, scores: Array) -> None:
    for i in range(len(rows)):
        for entry in range(starts[rows[i]], starts[rows[i] + 1]):
            scores[i, others[entry]] = -np.inf


def ranked(scores_of: Any, split: Split) -> Array:
    """Return each test user's first twenty of everything not seen in training."""
    users = split.users
    found = np.zeros((len(users), AT), np.int64)
    for first in range(0, len(users), BLOCK):
        rows = users[first : first + BLOCK]
        scores = np.asarray(scores_of(rows), np.float32)
        _hide(rows, split.train.starts, split.train.others, scores)
        top(scores, AT, found[first : first + BLOCK])
    return found


def judged(found: Array, split: Split) -> dict[str, Any]:
    """Return mean Recall@20 and NDCG@20 over test users, with 95 % intervals of the means."""
    users, at = split.users, found.shape[1]
    discount = 1.0 / np.log2(np.arange(2, at + 2))
    hits = np.zeros(found.shape, bool)
    for i, user in enumerate(users):
        hits[i] = np.isin(found[i], split.test.row(user)[0])
    counts = split.test.counts[users]
    recall = hits.sum(axis=1) / counts
    best = np.concatenate([[0.0], np.cumsum(discount)])[np.minimum(counts, at)]
    ndcg = (hits * discount).sum(axis=1) / best
    half = 1.96 / np.sqrt(len(users))
    return {
        "users": len(users),
        "recall_at_20": float(recall.mean()),
        "recall_ci": float(half * recall.std()),
        "ndcg_at_20": float(ndcg.mean()),
        "ndcg_ci": float(half * ndcg.std()),
    }
