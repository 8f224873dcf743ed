"""Which columns to combine: arithmetic and crossed categories, kept only where they help.

A small boosted model is cross-validated on a sample. Candidates are screened by what they say
about its out-of-fold residuals, and the best stay only if the model with them loses clearly less.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from promise.kernels.encoding import encode, encode_train, fit_encoding
from promise.kernels.encoding_numbers import term_values
from promise.kernels.rows import hash_fold, row_hash

Arrays = dict[str, npt.NDArray[Any]]
Floats = npt.NDArray[np.float64]

SAMPLE_ROWS = 5_000
FOLDS = 3
BINS = 16
MAX_NUMBERS = 8
MAX_CATEGORIES = 6
MAX_CLASSES = 30
TRIAL_PLAN = MappingProxyType(
    {
        "categories": "onehot", "onehot_limit": 4, "numbers": "raw", "missing_indicators": False,
        "arithmetic": (), "crosses": (),
    }
)  # fmt: skip
"""What the small model reads, whichever model the features are for."""
CLEARLY = 1.5
"""Standard errors by which the loss must fall for a combination to stay."""


@dataclass(frozen=True)
class Trial:
    """A sample of a table on which combinations are tried."""

    columns: Arrays
    fields: list[dict[str, Any]]
    y: npt.NDArray[Any]
    n_classes: int
    rows: npt.NDArray[np.int64]
    seed: int

    @property
    def folds(self) -> npt.NDArray[np.int64]:
        """The fold of every row."""
        return hash_fold(self.rows, FOLDS, self.seed + 2)


@dataclass(frozen=True)
class Outcome:
    """What cross-validation says of one plan: a loss and residuals per row, a gain per column."""

    losses: Floats
    residuals: Floats  # (n, outputs)
    gains: dict[str, float]


def choose_interactions(
    columns: Arrays,
    fields: list[dict[str, Any]],
    y: npt.NDArray[Any],
    n_classes: int,
    rows: npt.NDArray[np.int64],
    plan: dict[str, Any],
    *,
    n_arithmetic: int,
    n_crosses: int,
    seed: int,
) -> tuple[list[list[str]], list[list[str]]]:
    """Return the arithmetic terms and the crossed pairs worth adding to a plan, best first.

    Both are empty where nothing helps, and above 30 classes, where a trial would take too long.
    """
    kept = np.argsort(row_hash(rows, seed + 1), kind="stable")[:SAMPLE_ROWS]
    usable = [f for f in fields if f["type"] in ("number", "boolean", "category")]
    sample = {f["name"]: columns[f["name"]][kept] for f in usable}
    trial = Trial(sample, usable, y[kept], n_classes, rows[kept], seed)
    numbers = [f["name"] for f in usable if f["type"] == "number"]
    categories = [f["name"] for f in usable if f["type"] == "category"]
    if n_classes > MAX_CLASSES or (len(numbers) < 2 and len(categories) < 2):
        return [], []
    plan = {**plan, **TRIAL_PLAN}
    base = assess(trial, plan)
    terms = screen_arithmetic(trial, base, strongest(base, numbers, MAX_NUMBERS), n_arithmetic)
    if terms and not helps(base, assess(trial, {**plan, "arithmetic": terms})):
        terms = []
    pairs = screen_crosses(trial, base, strongest(base, categories, MAX_CATEGORIES), n_crosses)
    if pairs and not helps(base, assess(trial, {**plan, "crosses": pairs})):
        pairs = []
    return terms, pairs


def helps(base: Outcome, other: Outcome) -> bool:
    """Say whether the loss falls by clearly more than chance, row by row."""
    gain = base.losses - other.losses
    return bool(gain.mean() > CLEARLY * gain.std() / len(gain) ** 0.5)


def strongest(base: Outcome, names: list[str], n: int) -> list[str]:
    """Return the columns that the model gained most from, strongest first."""
    used = [name for name in names if base.gains.get(name, 0) > 0]
    return sorted(used, key=lambda name: -base.gains[name])[:n]


def assess(trial: Trial, plan: dict[str, Any]) -> Outcome:
    """Cross-validate a small boosted model on the matrix of a plan."""
    import lightgbm as lgb

    k = trial.n_classes if trial.n_classes > 2 else 1
    objective = {0: "regression", 2: "binary"}.get(trial.n_classes, "multiclass")
    parameters = {
        "objective": objective, "learning_rate": 0.1, "num_leaves": 15, "min_data_in_leaf": 10,
        "num_class": k, "num_threads": 1, "seed": trial.seed, "deterministic": True,
        "force_row_wise": True, "verbosity": -1, "cat_smooth": 10,
    }  # fmt: skip
    rounds = 50 if k == 1 else max(8, 90 // k)
    predicted = np.zeros((len(trial.y), k))
    gains: dict[str, float] = {}
    scale = (float(np.std(trial.y)) or 1.0) if trial.n_classes == 0 else 1.0
    y = trial.y / scale
    for fold in range(FOLDS):
        train, test = trial.folds != fold, trial.folds == fold
        if not test.any() or not train.any():
            continue
        inside = {name: values[train] for name, values in trial.columns.items()}
        outside = {name: values[test] for name, values in trial.columns.items()}
        args = (y[train], trial.n_classes, trial.rows[train], plan, trial.seed)
        state = fit_encoding(inside, trial.fields, *args)
        matrix = encode_train(inside, y[train], trial.rows[train], state)
        data = lgb.Dataset(matrix, y[train], categorical_feature=state["categorical"])
        model = lgb.train(parameters, data, rounds)
        predicted[test] = model.predict(encode(outside, state), num_threads=1).reshape(-1, k)
        for source, gain in zip(state["sources"], model.feature_importance("gain"), strict=True):
            for name in source:
                gains[name] = gains.get(name, 0.0) + float(gain)
    return outcome(predicted, y, trial.n_classes, gains)


def outcome(
    predicted: Floats, y: npt.NDArray[Any], n_classes: int, gains: dict[str, float]
) -> Outcome:
    """Return squared errors of quantities, log losses of classes, and residuals of both."""
    if n_classes == 0:
        residuals = y[:, None] - predicted
        return Outcome((residuals**2)[:, 0], residuals, gains)
    if n_classes == 2:
        predicted = np.concatenate([1 - predicted, predicted], axis=1)
    codes = y.astype(np.int64)
    losses = -np.log(np.maximum(predicted[np.arange(len(codes)), codes], 1e-9))
    residuals = (codes[:, None] == np.arange(n_classes)).astype(np.float64) - predicted
    return Outcome(losses, residuals[:, 1:] if n_classes == 2 else residuals, gains)


def screen_arithmetic(trial: Trial, base: Outcome, names: list[str], n: int) -> list[list[str]]:
    """Return the terms whose bins explain most of the residuals, at most two of each pair."""
    terms = [
        term
        for a, b in combinations(names, 2)
        for term in ([a, "/", b], [b, "/", a], [a, "*", b], [a, "-", b], [a, "+", b])
    ]
    alone = {name: explained(bins(trial.columns[name]), base.residuals) for name in names}
    scored = []
    for term in terms if n else ():
        score = explained(bins(term_values(trial.columns, term)), base.residuals)
        if score > max(alone[term[0]], alone[term[2]], 0):
            scored.append((score, term))
    chosen: list[list[str]] = []
    pairs: list[set[str]] = []
    for _, term in sorted(scored, key=lambda found: (-found[0], found[1])):
        pair = {term[0], term[2]}
        if len(chosen) < n and pairs.count(pair) < 2:
            chosen.append(term)
            pairs.append(pair)
    return chosen


def bins(values: Floats) -> npt.NDArray[np.int64]:
    """Cut values at quantiles; missing ones share a bin of their own."""
    known = values[np.isfinite(values)]
    if len(known) == 0:
        return np.zeros(len(values), dtype=np.int64)
    edges = np.unique(np.quantile(known, np.arange(1, BINS) / BINS))
    cuts = np.searchsorted(edges, values, side="right")
    return np.where(np.isfinite(values), cuts, BINS).astype(np.int64)


def explained(groups: npt.NDArray[np.int64], residuals: Floats) -> float:
    """Return the share of residual variance between groups, less what chance would give.

    Adjusted in the manner of epsilon squared; the largest share over the outputs.
    """
    n = len(groups)
    counts = np.bincount(groups)
    used = counts > 0
    free = int(used.sum()) - 1
    best = 0.0
    for column in residuals.T:
        centred = column - column.mean()
        sums = np.bincount(groups, centred)[used]
        total = float((centred**2).sum())
        if total > 0 and n > free + 1:
            share = float((sums**2 / counts[used]).sum()) / total
            best = max(best, share - free * (1 - share) / (n - free - 1))
    return best


def screen_crosses(trial: Trial, base: Outcome, names: list[str], n: int) -> list[list[str]]:
    """Return the pairs of categories whose joint values explain most of the residuals."""
    scored = []
    for a, b in combinations(sorted(names), 2) if n else ():
        joint = [f"{x}\x1f{y}" for x, y in zip(trial.columns[a], trial.columns[b], strict=True)]
        groups = np.unique(np.array(joint), return_inverse=True)[1].reshape(-1)
        score = explained(groups, base.residuals)
        if score > 0:
            scored.append((score, [a, b]))
    return [pair for _, pair in sorted(scored, key=lambda found: (-found[0], found[1]))[:n]]
