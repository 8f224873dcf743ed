"""Probabilities that mean what they say: of names that have a class, and in a stream of both kinds.

A list of unknown names says nothing of how many of the names that will be asked are unknown: it is
as long as somebody made it. So that share is stated, and two things are told apart. Which class a
name has, given that it has one, is calibrated on held-out names of classes. Whether it has one
follows from a single offset of the column for names of no class, such that in a stream with the
stated share of unknown names as many are said to be unknown (the correction of Saerens et al. 2002,
"Adjusting the outputs of a classifier to new a priori probabilities", with its offset fitted, since
margins are no log-probabilities).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.optimize import brentq

from promise.data.columns import FloatArray
from promise.kernels.calibrating import fit_temperature
from promise.kernels.dense import sigmoid
from promise.models.hashed import Batch, HashedLinear

UNKNOWN_SHARE = 0.8
"""Share of unknown names among those that will be asked, unless the user states another."""

LEAST_HELD = 30
"""Fewer held-out names say nothing of temperature or threshold."""

_FAR = 50.0
_SMALLEST = 1e-300


def calibrated(
    score: HashedLinear, apart: Batch, of_no_class: Batch | None, share: float
) -> HashedLinear:
    """Return the model with the temperature and the offset that held-out names ask for.

    Parameters
    ----------
    apart
        Held-out names of classes.
    of_no_class
        Held-out names of no class; None where there are none, and no offset then.
    share
        Share of unknown names in the stream, above 0 and below 1.
    """
    if len(apart.codes) < LEAST_HELD:
        return score
    plain = given_known(replace(score, temperature=1.0).of(apart)[:, : score.n_classes])
    score = replace(score, temperature=fit_temperature(plain, apart.codes))
    if of_no_class is None or not len(of_no_class.codes):
        return score
    offset = fit_offset(_odds(score, apart), _odds(score, of_no_class), share)
    lift = np.zeros(len(score.bias), np.float32) if score.lift is None else score.lift.copy()
    lift[score.n_classes :] += np.float32(offset * score.temperature)
    return replace(score, lift=lift, unknown_share=share)


def fit_offset(known: FloatArray, unknown: FloatArray, share: float) -> float:
    """Return what to add to log-odds so that a mixed stream is said to hold the share it holds.

    Parameters
    ----------
    known, unknown
        Log-odds of being of no class, of names that have a class and of names that have none.
    share
        Share of the latter in the stream.

    Examples
    --------
    >>> round(fit_offset(np.array([-2.0, 0.0]), np.array([0.0, 2.0]), 0.5), 6)
    0.0
    >>> round(fit_offset(np.array([0.0]), np.array([0.0]), 0.8), 4)  # the log-odds of the share
    1.3863
    """

    def surplus(offset: float) -> float:
        told = (sigmoid(known + offset).mean(), sigmoid(unknown + offset).mean())
        return float((1.0 - share) * told[0] + share * told[1] - share)

    least, most = min(known.min(), unknown.min()), max(known.max(), unknown.max())
    found: float = brentq(surplus, -most - _FAR, -least + _FAR)
    return found


def given_known(shares: FloatArray) -> FloatArray:
    """Return the probabilities of classes, given that a name has one.

    Parameters
    ----------
    shares
        Probabilities (n, k); what a row lacks of one is that of no class. Zeros stay zeros.

    Examples
    --------
    >>> given_known(np.array([[0.3, 0.1], [0.0, 0.0]]))
    array([[0.75, 0.25],
           [0.  , 0.  ]])
    """
    total = shares.sum(axis=1, keepdims=True)
    found: FloatArray = np.divide(shares, total, out=np.zeros_like(shares), where=total > 0)
    return found


def _odds(score: HashedLinear, batch: Batch) -> FloatArray:
    """Return the log-odds of being of no class."""
    shares, k = score.of(batch), score.n_classes
    none, known = shares[:, k:].sum(axis=1), shares[:, :k].sum(axis=1)
    found: FloatArray = np.log(np.maximum(none, _SMALLEST)) - np.log(np.maximum(known, _SMALLEST))
    return found
