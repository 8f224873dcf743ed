"""Probabilities that mean what they say, and class multipliers that decide well by a metric."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize, minimize_scalar

from promise.kernels.dense import sigmoid, softmax
from promise.kernels.scores import score

SMALLEST = 1e-9
FOLDS = 8
CELLS = 20_000_000
SHARPNESS = (0.25, 0.5, 0.75, 1.0)
STEPS = (-1.2, -0.6, -0.3, -0.15, 0.15, 0.3, 0.6, 1.2)


def fit_temperature(probabilities: np.ndarray, y: np.ndarray) -> float:
    """Return the temperature that makes the log-loss least (Guo et al. 2017, section 4.2).

    Above 1 the probabilities were too sure. Few rows pull it toward 1. Of very many rows and
    classes an even part is enough for one number.
    """
    step = -(-probabilities.size // CELLS) or 1
    probabilities, y = probabilities[::step], y[::step]
    logits = np.log(np.maximum(probabilities, SMALLEST))
    index, codes = np.arange(len(y)), y.astype(np.int64)

    def loss(log_temperature: float) -> float:
        shares = softmax(logits * np.exp(-log_temperature))
        total = -np.log(np.maximum(shares[index, codes], SMALLEST)).sum()
        return float(total + 2.0 * log_temperature**2)

    found = minimize_scalar(loss, bounds=(-2.3, 2.3), method="bounded", options={"xatol": 1e-4})
    temperature = float(np.exp(found.x))
    return temperature if loss(float(found.x)) < loss(0.0) else 1.0


def apply_temperature(probabilities: np.ndarray, t: float) -> np.ndarray:
    """Return probabilities softened (t above 1) or sharpened; their order in a row stays."""
    if t == 1.0:
        return probabilities
    return softmax(np.log(np.maximum(probabilities, SMALLEST)) / t)


def fit_platt(probabilities: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Return slope and offset on the log-odds of two classes (Platt 1999, with his targets)."""
    odds = log_odds(probabilities)
    positive = y.astype(np.int64) == 1
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    goal = np.where(positive, (n_positive + 1) / (n_positive + 2), 1 / (n_negative + 2))

    def loss(line: np.ndarray) -> tuple[float, np.ndarray]:
        margins = line[0] * odds + line[1]
        value = float((np.logaddexp(0.0, margins) - goal * margins).sum())
        residual = sigmoid(margins) - goal
        return value, np.array([residual @ odds, residual.sum()])

    found = minimize(loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B")
    return float(found.x[0]), float(found.x[1])


def apply_platt(probabilities: np.ndarray, slope: float, offset: float) -> np.ndarray:
    """Return the two classes' probabilities along the fitted line."""
    positive = sigmoid(slope * log_odds(probabilities) + offset)
    return np.stack([1.0 - positive, positive], axis=1)


def log_odds(probabilities: np.ndarray) -> np.ndarray:
    """Return log(p1 / p0), finite."""
    kept = np.log(np.maximum(probabilities, SMALLEST))
    odds: np.ndarray = kept[:, 1] - kept[:, 0]
    return odds


def fit_multipliers(
    probabilities: np.ndarray, y: np.ndarray, metric: str, seed: int = 7
) -> np.ndarray:
    """Return a multiplier per class, whose argmax of probability × multiplier scores best.

    They are fitted on each of eight parts left out, tried on the part itself, and averaged. Unless
    the gain on the parts is clear (above its standard error), all multipliers stay 1.
    """
    codes, k = y.astype(np.int64), probabilities.shape[1]
    ones = np.ones(k)
    if len(codes) < 5 * FOLDS or len(np.unique(codes)) < 2:
        return ones
    part = np.random.default_rng(seed).permutation(len(codes)) % FOLDS
    gains, fitted = [], []
    for fold in range(FOLDS):
        rows, apart = part != fold, part == fold
        found = search_multipliers(probabilities[rows], codes[rows], metric)
        better = score(metric, codes[apart], probabilities[apart], np.exp(found))
        gains.append(better - score(metric, codes[apart], probabilities[apart], ones))
        fitted.append(found)
    gain, error = float(np.mean(gains)), float(np.std(gains, ddof=1)) / np.sqrt(FOLDS)
    if not gain > max(error, 1e-6):
        return ones
    mean: np.ndarray = np.exp(np.mean(fitted, axis=0))
    return mean


def search_multipliers(probabilities: np.ndarray, codes: np.ndarray, metric: str) -> np.ndarray:
    """Return the log multipliers that score best on these rows.

    First along the classes' rarity, which a metric that counts classes alike asks for; then class
    by class while there are few. Two classes have one threshold, which is searched finely.
    """
    k = probabilities.shape[1]
    if k == 2:
        return search_threshold(probabilities, codes, metric)
    counts = np.bincount(codes, minlength=k) + 1.0
    rare = -np.log(counts / counts.mean())
    best, best_score = np.zeros(k), score(metric, codes, probabilities, np.ones(k))
    for sharpness in SHARPNESS:
        reached = score(metric, codes, probabilities, np.exp(sharpness * rare))
        if reached > best_score:
            best, best_score = sharpness * rare, reached
    for column in np.argsort(counts) if k <= 20 else []:
        start = best
        for step in STEPS:
            trial = start.copy()
            trial[column] += step
            reached = score(metric, codes, probabilities, np.exp(trial))
            if reached > best_score:
                best, best_score = trial, reached
    centred: np.ndarray = best - best.mean()
    return centred


def search_threshold(probabilities: np.ndarray, codes: np.ndarray, metric: str) -> np.ndarray:
    """Return log multipliers of two classes: the middle of the best stretch of thresholds."""
    odds = log_odds(probabilities)
    cuts = np.unique(np.append(np.quantile(odds, np.linspace(0.01, 0.99, 79)), 0.0))
    scores = np.array(
        [score(metric, codes, probabilities, np.array([1.0, np.exp(-cut)])) for cut in cuts]
    )
    # Averaged over neighbours: a broad top is worth more than a lucky spike.
    smooth = np.convolve(np.pad(scores, 2, mode="edge"), np.ones(5) / 5.0, mode="valid")
    cut = float(cuts[int(smooth.argmax())])
    return np.array([cut / 2.0, -cut / 2.0])
