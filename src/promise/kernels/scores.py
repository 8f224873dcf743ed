"""Scores of raw model output, in NumPy alone; equal to scikit-learn's wherever it has the score.

A score that the data leave undefined (ROC AUC of one class, R² of one row) is NaN, never a guess
and never a warning.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]


def decide(output: Array, multipliers: Array | None = None) -> Codes:
    """Return the class decided per row: the largest probability times its class's multiplier."""
    weighted = output if multipliers is None else output * np.asarray(multipliers)
    return np.asarray(weighted.argmax(axis=1), dtype=np.int64)


def score(name: str, y: Array, output: Array, multipliers: Array | None = None) -> float:
    """Score raw output against the truth by a metric's name.

    `output` is (n,) numbers or (n, k) probabilities; `multipliers` (k,) move the decisions that
    decision metrics are taken of, and nothing else. An empty `y` scores NaN.
    """
    if len(y) == 0:
        return float("nan")
    match name:
        case "accuracy" | "balanced_accuracy" | "f1_macro" | "f1" | "matthews":
            return score_decided(name, y, decide(output, multipliers))
        case "roc_auc":
            return score_roc_auc(y, output)
        case "average_precision":
            return score_average_precision(y, output)
        case "log_loss":
            return float(log_loss_rows(y, output).mean())
        case "brier":
            return float(brier_rows(y, output).mean())
        case "ece":
            return score_ece(y, output)
        case "positive_calibration_error":
            return score_positive_ece(y, output[:, 1])
        case "r2":
            return score_r2(y, output)
        case "rmse":
            return float(np.sqrt(np.square(y - output).mean()))
        case "mae":
            return float(np.abs(y - output).mean())
        case "mape":
            return float(mape_rows(y, output).mean())
        case "rmsle":
            return float(np.sqrt(rmsle_rows(y, output).mean()))
        case "median_absolute_error":
            return float(np.median(np.abs(y - output)))
        case _:
            raise ValueError(f"there is no score {name!r}")


def score_decided(name: str, y: Array, decided: Array) -> float:
    """Score class codes against class codes by a decision metric's name."""
    counts = np.ones(len(y))
    return float(decided_scores(name, y, decided, counts[None, :])[0])


def decided_scores(name: str, y: Array, decided: Array, counts: Array) -> Floats:
    """Score weighted pairs of (true, decided) codes, one score per row of `counts`.

    `counts` is (m, n_pairs): how often each pair occurs in each of m samples. One row of ones
    scores the pairs themselves; bootstrap counts score every resample at once. NaN where a sample
    is empty.
    """
    total = counts.sum(axis=1)
    hit = counts[:, y == decided].sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        if name == "accuracy":
            return np.asarray(hit / total)
        codes, paired = np.unique(np.concatenate([y, decided]), return_inverse=True)
        true, said = paired[: len(y)], paired[len(y) :]
        support = sum_by_code(counts, true, len(codes))  # (m, k)
        claimed = sum_by_code(counts, said, len(codes))
        agreed = sum_by_code(counts * (true == said), true, len(codes))
        if name == "balanced_accuracy":
            return mean_where(agreed / support, support > 0)
        if name == "matthews":
            return matthews_of(total, hit, support, claimed)
        f1 = 2 * agreed / (support + claimed)
        if name == "f1":  # positive is class 1, the last of two; never seen nor claimed scores 0
            positive = f1[:, codes == 1].sum(axis=1)
            return np.asarray(np.where(np.isnan(positive) & (total > 0), 0.0, positive))
        return mean_where(f1, support + claimed > 0)


def sum_by_code(counts: Array, codes: Array, k: int) -> Floats:
    """Sum the columns of `counts` (m, n) that share a code: (m, k)."""
    if len(counts) == 1:
        return np.asarray([np.bincount(codes, weights=counts[0], minlength=k)], dtype=np.float64)
    order = np.argsort(codes, kind="stable")
    present, starts = np.unique(codes[order], return_index=True)
    sums = np.zeros((len(counts), k))
    sums[:, present] = np.add.reduceat(counts[:, order], starts, axis=1)
    return sums


def mean_where(values: Floats, mask: Array) -> Floats:
    """Return the mean per row of the values under the mask; NaN where there are none."""
    return np.asarray(np.where(mask, values, 0.0).sum(axis=1) / mask.sum(axis=1))


def matthews_of(total: Array, hit: Array, support: Array, claimed: Array) -> Floats:
    """Return Matthews' correlation for k classes (Gorodkin 2004, eq. 8); 0 where it is 0/0."""
    covariance = hit * total - (support * claimed).sum(axis=1)
    spread = (total**2 - (support**2).sum(axis=1)) * (total**2 - (claimed**2).sum(axis=1))
    return np.asarray(np.where(spread > 0, covariance / np.sqrt(np.maximum(spread, 1e-300)), 0.0))


def score_roc_auc(y: Array, output: Array) -> float:
    """Return the area under the ROC curve; above two classes the mean of one against the rest.

    Classes absent from `y` are left out of the mean; NaN when only one class is present.
    """
    return mean_over_classes(y, output, binary_roc_auc)


def score_average_precision(y: Array, output: Array) -> float:
    """Return the average precision; above two classes the mean of one against the rest."""
    return mean_over_classes(y, output, binary_average_precision)


def mean_over_classes(y: Array, output: Array, binary: Any) -> float:
    """Average a binary score over the classes in `y`; for two classes that of the last one."""
    present = np.unique(y)
    if len(present) < 2:
        return float("nan")
    classes = [1] if output.shape[1] == 2 else present.tolist()
    return float(np.mean([binary(y == c, output[:, c]) for c in classes]))


def tie_groups(values: Array) -> tuple[Codes, Codes]:
    """Sort descending: (order, where each run of equal values starts)."""
    order = np.argsort(-values, kind="stable")
    changes = np.flatnonzero(np.diff(values[order]) != 0) + 1
    return order, np.concatenate([[0], changes])


def binary_roc_auc(positive: Array, values: Array) -> float:
    """Return the chance that a positive row is valued above a negative one; ties count half."""
    order, starts = tie_groups(values)
    hits = positive[order].astype(np.float64)[None, :]
    return float(roc_auc_of_counts(hits, np.ones_like(hits), starts)[0])


def binary_average_precision(positive: Array, values: Array) -> float:
    """Return the sum over thresholds of precision times the recall gained."""
    order, starts = tie_groups(values)
    hits = positive[order].astype(np.float64)[None, :]
    return float(average_precision_of_counts(hits, np.ones_like(hits), starts)[0])


def sum_runs(counts: Array, starts: Codes) -> Array:
    """Sum the columns of (m, n) over runs; without ties there is nothing to sum."""
    return counts if len(starts) == counts.shape[1] else np.add.reduceat(counts, starts, axis=1)


def roc_auc_of_counts(hits: Array, counts: Array, starts: Codes) -> Floats:
    """Return one AUC per row of weighted counts, columns sorted descending by value.

    `hits` (m, n) are the weights of positive rows, `counts` (m, n) those of all rows, `starts`
    the runs of equal values.
    """
    tp_gained = sum_runs(hits, starts)
    fp_gained = sum_runs(counts, starts) - tp_gained
    above = tp_gained.cumsum(axis=1)
    tp, fp = tp_gained.sum(axis=1), fp_gained.sum(axis=1)
    above -= tp_gained / 2  # a tie counts half
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.einsum("ij,ij->i", fp_gained, above) / (tp * fp))


def average_precision_of_counts(hits: Array, counts: Array, starts: Codes) -> Floats:
    """Return one average precision per row; arguments as for `roc_auc_of_counts`."""
    gained = sum_runs(hits, starts)
    tp = gained.cumsum(axis=1)
    seen = sum_runs(counts, starts).cumsum(axis=1)
    precision = tp / np.maximum(seen, 1)  # before the first row is seen there are no hits either
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.einsum("ij,ij->i", gained, precision) / tp[:, -1])


def log_loss_rows(y: Array, output: Array) -> Floats:
    """Return the negative log probability of each row's true class, clipped by machine epsilon."""
    p = output[np.arange(len(y)), y]
    eps = np.finfo(p.dtype).eps
    return np.asarray(-np.log(np.clip(p, eps, 1 - eps)), dtype=np.float64)


def brier_rows(y: Array, output: Array) -> Floats:
    """Return each row's squared distance from the truth; for two classes that of the last one."""
    if output.shape[1] == 2:
        return np.asarray(np.square(output[:, 1] - (y == 1)), dtype=np.float64)
    true = output[np.arange(len(y)), y]
    return np.asarray(np.square(output).sum(axis=1) + 1 - 2 * true, dtype=np.float64)


def score_ece(y: Array, output: Array, n_bins: int = 15) -> float:
    """Return the expected calibration error of the most probable class (Guo et al. 2017, eq. 3).

    The mean gap between confidence and accuracy over equally wide bins, weighted by their rows.
    """
    return float(np.abs(ece_rows(y, output, n_bins).sum(axis=0)).sum() / len(y))


def score_positive_ece(y: Array, chance: Array, n_bins: int = 15) -> float:
    """Return the mean gap between chances of the positive class and its share, over equal bins.

    The error of the likelier class lets gaps on either side of one half cancel out.
    """
    gaps = gaps_by_bin(chance, y == 1, n_bins)
    return float(np.abs(gaps.sum(axis=0)).sum() / len(y))


def ece_rows(y: Array, output: Array, n_bins: int = 15) -> Floats:
    """Return each row's confidence minus correctness, in the column of its bin: (n, n_bins)."""
    return gaps_by_bin(output.max(axis=1), output.argmax(axis=1) == y, n_bins)


def positive_ece_rows(y: Array, output: Array, n_bins: int = 15) -> Floats:
    """Return each row's chance of the positive class minus its truth, in the column of its bin."""
    return gaps_by_bin(output[:, 1], y == 1, n_bins)


def gaps_by_bin(chance: Array, truth: Array, n_bins: int) -> Floats:
    """Return each row's chance minus its truth, in the column of the chance's bin: (n, n_bins)."""
    bins = np.clip(np.ceil(chance * n_bins).astype(np.int64) - 1, 0, n_bins - 1)
    gaps = np.zeros((len(truth), n_bins))
    gaps[np.arange(len(truth)), bins] = chance - truth
    return gaps


def score_r2(y: Array, output: Array) -> float:
    """Return R²; on a constant target 1 when exact and 0 otherwise; NaN below two rows."""
    if len(y) < 2:
        return float("nan")
    residual = np.square(y - output).sum()
    total = np.square(y - y.mean()).sum()
    if total == 0:
        return float(residual == 0)
    return float(1 - residual / total)


def mape_rows(y: Array, output: Array) -> Floats:
    """Return absolute errors relative to the truth, whose size is at least machine epsilon."""
    return np.asarray(np.abs(y - output) / np.maximum(np.abs(y), np.finfo(np.float64).eps))


def rmsle_rows(y: Array, output: Array) -> Floats:
    """Return squared differences of log(1 + value); NaN where the truth is -1 or less.

    Predictions below zero count as zero, since the score is for quantities that never are.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        truth = np.where(y > -1, np.log1p(y), np.nan)
    return np.asarray(np.square(truth - np.log1p(np.maximum(output, 0.0))))
