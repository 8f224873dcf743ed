"""How well one column alone, and all together, tell the label: small models on a small sample."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from promise.data.answer import Answer, Class
from promise.data.columns import Array, Columns, FloatArray, IntArray
from promise.kernels.rows import hash_fold, row_hash
from promise.kernels.scores import score
from promise.profiling.association import as_numbers, codes, is_missing

_BINS = 64
_FOLDS = 3
_FOLD_SEED = 0x5EED  # samples are cut from the hash of the plain seed: folds need another
_MAX_CLASSES = 12
_MAX_JOINT_COLUMNS = 200
_MAX_CATEGORIES = 200


@dataclass(frozen=True)
class Rows:
    """Labelled rows that checks look at.

    Parameters
    ----------
    columns
        Typed inputs only.
    y
        Float64 quantities, or class codes; rare classes beyond the twelfth are merged.
    n_classes
        0 for a Number.
    rows
        Row numbers in the source.
    labels
        The labels before rare classes were merged.
    """

    columns: Columns
    y: Array
    n_classes: int
    rows: npt.NDArray[np.int64]
    labels: Array
    seed: int = 7

    @property
    def measure(self) -> str:
        """Name the score that `lone_score` and `joint_score` return."""
        return "AUC" if self.n_classes else "R²"

    def only(self, names: Iterable[str]) -> Rows:
        """Return the same rows with these columns."""
        return replace(self, columns=self.columns.only(names))

    @property
    def too_few(self) -> bool:
        """Whether model-based checks would only measure chance."""
        return len(self.y) < 60 or len(np.unique(self.y)) < 2


def choose_rows(
    columns: Columns, y: Array, answer: Answer, rows: IntArray, *, limit: int, seed: int
) -> Rows:
    """Take at most `limit` rows by their hash, whatever order they come in."""
    at = np.arange(len(y))
    if len(at) > limit:
        at = np.sort(np.argsort(row_hash(rows.astype(np.int64), seed), kind="stable")[:limit])
    n_classes = answer.n_classes if isinstance(answer, Class) else 0
    chosen = y[at]
    if n_classes:
        chosen = chosen.astype(np.int64)
        counts = np.bincount(chosen, minlength=n_classes)
        common = np.argsort(-counts, kind="stable")[: _MAX_CLASSES - 1]
        if n_classes > _MAX_CLASSES:
            place = np.full(n_classes, len(common))
            place[common] = np.arange(len(common))
            chosen, n_classes = place[chosen], _MAX_CLASSES
    return Rows(columns.take(at), chosen, n_classes, rows[at].astype(np.int64), y[at], seed)


def skill(value: float, measure: str) -> float:
    """Put AUC and R² on one scale: 0 knows nothing, 1 knows all."""
    return max(0.0, 2 * value - 1 if measure == "AUC" else value)


def lone_score(data: Rows, values: Array) -> float:
    """Return the out-of-fold score of one column alone: a histogram of the label per bin.

    AUC (mean of one class against the others) for classes, R² for a number.
    """
    bins = _binned(values)
    folds = hash_fold(data.rows, _FOLDS, data.seed ^ _FOLD_SEED)
    targets = _targets(data)
    output = np.zeros_like(targets)
    for fold in range(_FOLDS):
        test = folds == fold
        output[test] = _bin_means(bins[~test], targets[~test], bins.max() + 1)[bins[test]]
    return _scored(data, data.y, output)


def lone_scores(data: Rows) -> dict[str, float]:
    """Return `lone_score` of every column."""
    return {name: lone_score(data, data.columns[name]) for name in data.columns}


def tree_score(data: Rows, values: Array) -> float:
    """Return the out-of-fold score of a deep tree on one numeric column alone.

    Finer than `lone_score`: it follows a curve that 64 bins only approach.
    """
    from sklearn.tree import DecisionTreeRegressor

    x = np.nan_to_num(as_numbers(values), nan=-1e300)[:, None].clip(-3e38, 3e38)
    folds = hash_fold(data.rows, _FOLDS, data.seed ^ _FOLD_SEED)
    targets = _targets(data)
    output = np.zeros_like(targets)
    for fold in range(_FOLDS):
        test = folds == fold
        tree = DecisionTreeRegressor(max_leaf_nodes=1024, min_samples_leaf=3, random_state=0)
        tree.fit(x[~test], targets[~test])
        output[test] = tree.predict(x[test]).reshape(targets[test].shape)
    return _scored(data, data.y, output)


@dataclass(frozen=True)
class Joint:
    """What a small boosted model makes of all columns together.

    Parameters
    ----------
    score
        AUC or R² on a third of the rows, learned from the others.
    without
        The same after one column was left out, for the columns that were asked about.
    importance
        Share of the total gain per column.
    """

    score: float
    without: dict[str, float]
    importance: dict[str, float]


def joint_scores(data: Rows, lone: dict[str, float], leave_out: tuple[str, ...] = ()) -> Joint:
    """Learn from all columns (the best 200), then without each that is asked about or leads."""
    names = sorted(data.columns, key=lambda name: -lone[name])[:_MAX_JOINT_COLUMNS]
    x = np.column_stack([numeric(data.columns[name]) for name in names])
    kinds = [data.columns[name].dtype.kind == "O" for name in names]
    value, gains = boosted(data, x, kinds)
    total = max(float(gains.sum()), 1e-12)
    importance = {name: float(g) / total for name, g in zip(names, gains, strict=True)}
    asked = [n for n in leave_out if n in importance]
    asked += [n for n in sorted(names, key=lambda n: -importance[n])[:2] if n not in asked]
    without = {}
    for name in asked if len(names) > 1 else []:
        kept = [at for at, other in enumerate(names) if other != name]
        without[name] = boosted(data, x[:, kept], [kinds[at] for at in kept])[0]
    return Joint(value, without, importance)


def numeric(values: Array) -> FloatArray:
    """Return a column as float64: categories by frequency, rare ones and missing as NaN."""
    if values.dtype.kind != "O":
        return as_numbers(values)
    coded = codes(values)
    counts = np.bincount(coded, minlength=1)
    rank = np.empty(len(counts))
    rank[np.argsort(-counts, kind="stable")] = np.arange(len(counts))
    rank[rank >= _MAX_CATEGORIES] = np.nan
    found: FloatArray = rank[coded]
    found[is_missing(values)] = np.nan
    return found


def boosted(data: Rows, x: FloatArray, categorical: list[bool]) -> tuple[float, FloatArray]:
    """Return the score of a small LightGBM on held-out rows, and its gain per column."""
    import lightgbm

    test = hash_fold(data.rows, _FOLDS, data.seed ^ _FOLD_SEED) == 0
    parameters = {
        "objective": "regression" if not data.n_classes else "multiclass",
        "num_class": max(1, data.n_classes), "learning_rate": 0.15, "num_leaves": 31,
        "min_data_in_leaf": 15, "verbosity": -1, "num_threads": 1, "deterministic": True,
        "force_row_wise": True, "seed": data.seed, "max_bin": 127,
    }  # fmt: skip
    if data.n_classes == 2:
        parameters |= {"objective": "binary", "num_class": 1}
    where = [at for at, is_category in enumerate(categorical) if is_category]
    learned = lightgbm.Dataset(
        x[~test], data.y[~test], categorical_feature=where or "auto", params={"verbosity": -1}
    )
    model = lightgbm.train(parameters, learned, num_boost_round=60 if data.n_classes < 3 else 25)
    output = model.predict(x[test], num_threads=1)
    if data.n_classes == 2:
        output = np.column_stack([1 - output, output])
    gains: FloatArray = model.feature_importance("gain")
    return _scored(data, data.y[test], output), gains


def _targets(data: Rows) -> FloatArray:
    """Return the label as columns: one for a number, one per class (n, k) for classes."""
    if not data.n_classes:
        return data.y.astype(np.float64)
    return np.eye(data.n_classes)[data.y]


def _scored(data: Rows, y: Array, output: FloatArray) -> float:
    """Return AUC or R²; a test part with a single class or value says nothing: 0.5 or 0."""
    if len(np.unique(y)) < 2:
        return 0.5 if data.n_classes else 0.0
    return float(score("roc_auc" if data.n_classes else "r2", y, output))


def _binned(values: Array) -> IntArray:
    """Return bin codes: each category its own; numbers by quantile; missing is the last bin."""
    if values.dtype.kind == "O":
        return codes(values)
    x = as_numbers(values)
    known = ~np.isnan(x)
    distinct = np.unique(x[known])
    if len(distinct) <= 4 * _BINS:
        edges = distinct[1:]
    else:
        edges = np.unique(np.quantile(x[known], np.linspace(0, 1, _BINS + 1)[1:-1]))
    bins = np.searchsorted(edges, x, side="right")
    bins[~known] = len(edges) + 1
    return bins


def _bin_means(bins: IntArray, targets: FloatArray, n_bins: int) -> FloatArray:
    """Return each bin's mean target, drawn towards the mean of all by two rows' weight."""
    wide = targets.reshape(len(targets), -1)
    prior = wide.mean(axis=0)
    counts = np.bincount(bins, minlength=n_bins)[:, None]
    sums = np.column_stack(
        [np.bincount(bins, weights=column, minlength=n_bins) for column in wide.T]
    )
    means: FloatArray = (sums + 2.0 * prior) / (counts + 2.0)
    return means if targets.ndim > 1 else means[:, 0]
