"""Speed dating: does asking both sides tell matches apart better than asking one?

Run as `python -m bench matching_quality`; `PROMISE_DATA` names the folder of public data.

Whole waves are held out in turn, so that every pair is scored by a ranker that has seen nobody of
its evening. Only what people told of themselves before the evening is read. The chance of a match
is the chooser's yes alone (one-sided), or both yeses joined; the interval of the paired difference
resamples whole waves.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from promise.data.source import open_source
from promise.features.pairs import UNARY
from promise.job import Job
from promise.pipeline.order import Order
from promise.workloads.matching.arena import Arena
from promise.workloads.matching.ground import Ground, lay_ground
from promise.workloads.matching.kinds import is_positive
from promise.workloads.matching.moment import Moment
from promise.workloads.matching.ranker import (
    Rows,
    boosted,
    fit_ranker,
    logistic,
    tuned_logistic,
)
from promise.workloads.matching.rules import joint

Floats = NDArray[np.float64]
_DRAWS = 2_000


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folds", type=int, default=7, help="parts of whole waves")
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args(arguments)
    data = Path(os.environ.get("PROMISE_DATA", "../shared/data")) / "matching/speed_dating.csv"
    ground = lay_ground(open_source(data), Order("bench", Path("unused"), seed=args.seed))
    pairs = Pairs.of(ground)
    table = Table(title=f"Speed dating, {args.folds} parts of whole waves held out in turn")
    for title in ("ranker", "yes AUC", "match AUC, one-sided", "product", "harmonic",
                  "gain of harmonic, 95 % by waves", "verdict"):  # fmt: skip
        table.add_column(title)
    for name, there in scored(pairs, args.folds, args.seed).items():
        table.add_row(name, *row(pairs, there, args.seed))
    console = Console(width=150)
    console.print(table)
    console.print(
        f"{len(pairs.yes):,} decisions, {int(pairs.match.sum()):,} of {len(pairs.match):,} ordered "
        f"pairs are matches, {len(np.unique(pairs.wave))} waves; "
        f"{pairs.features.shape[1]} features of profiles."
    )


class Pairs:
    """Decided pairs whose other side decided too, with features known before the evening."""

    def __init__(self, ground: Ground, rows: NDArray[np.int64], other: NDArray[np.int64]) -> None:
        deeds = ground.deeds.take(rows)
        moment = Moment(Arena(ground.people, ground.deeds.take(slice(0, 0))), 0, None)
        a, b = deeds.chooser.astype(np.int64), deeds.chosen.astype(np.int64)
        self.names = moment.names
        self.features = moment.features(a, b, None)
        self.chooser, self.wave, self.other = a, deeds.group, other
        self.yes = is_positive(deeds.kind).astype(np.int64)
        self.match = (self.yes == 1) & (self.yes[other] == 1)

    @classmethod
    def of(cls, ground: Ground) -> Pairs:
        """Keep the pairs of which both sides are known."""
        n = ground.people.n
        keys = ground.deeds.chooser.astype(np.int64) * n + ground.deeds.chosen
        turned = ground.deeds.chosen.astype(np.int64) * n + ground.deeds.chooser
        rows = np.flatnonzero(np.isin(turned, keys))
        place = {key: i for i, key in enumerate(keys[rows].tolist())}
        return cls(ground, rows, np.array([place[key] for key in turned[rows].tolist()]))


def scored(pairs: Pairs, folds: int, seed: int) -> dict[str, Floats]:
    """Return the chance of a yes of every pair, by rankers that have not seen its wave."""
    fold = np.random.default_rng(seed).permutation(int(pairs.wave.max()) + 1)[pairs.wave] % folds
    found = {name: np.empty(len(pairs.yes)) for name in (
        "first design (nine features, C = 1)", "default (pairs, tuned)", "boosted trees",
        "scikit-learn, C = 1")}  # fmt: skip
    rows = Rows(pairs.features, pairs.yes, pairs.chooser)
    for part in range(folds):
        here = fold == part
        train, x = rows.take(~here), pairs.features[here]
        arms = (
            fit_ranker(logistic(), train, pairs.names, UNARY, Job(seed)),
            fit_ranker(tuned_logistic(), train, pairs.names, pairs.names, Job(seed)),
            fit_ranker(boosted(), train, pairs.names, pairs.names, Job(seed)),
        )
        for name, ranker in zip(found, arms, strict=False):
            found[name][here] = ranker.chances(x)
        peer = make_pipeline(
            SimpleImputer(strategy="median", keep_empty_features=True),
            StandardScaler(),
            LogisticRegression(C=1.0, max_iter=2_000),
        )
        peer.fit(train.matrix, train.yes)
        chance = peer.predict_proba(x)[:, 1]
        found["scikit-learn, C = 1"][here] = chance
    return found


def row(pairs: Pairs, there: Floats, seed: int) -> tuple[str, ...]:
    """Return the cells of one ranker."""
    both = {rule: joint(there, there[pairs.other], rule) for rule in ("product", "harmonic")}
    one = roc_auc_score(pairs.match, there)
    gains = _gains(pairs, there, both["harmonic"], seed)
    low, high = np.quantile(gains, [0.025, 0.975])
    verdict = "better" if low > 0 else ("worse" if high < 0 else "tie")
    return (
        f"{roc_auc_score(pairs.yes, there):.4f}",
        f"{one:.4f}",
        *(f"{roc_auc_score(pairs.match, score):.4f}" for score in both.values()),
        f"{roc_auc_score(pairs.match, both['harmonic']) - one:+.4f} ({low:+.4f} to {high:+.4f})",
        verdict,
    )


def _gains(pairs: Pairs, one: Floats, both: Floats, seed: int) -> Floats:
    """Return the difference of the two AUC on resampled waves."""
    rng, waves = np.random.default_rng(seed), np.unique(pairs.wave)
    rows = {wave: np.flatnonzero(pairs.wave == wave) for wave in waves.tolist()}
    found = []
    for _ in range(_DRAWS):
        drawn = np.concatenate([rows[w] for w in rng.choice(waves, len(waves)).tolist()])
        y = pairs.match[drawn]
        found.append(roc_auc_score(y, both[drawn]) - roc_auc_score(y, one[drawn]))
    return np.array(found)


if __name__ == "__main__":
    main()
