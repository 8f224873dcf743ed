"""What is asked beside names that have a class, and how well probabilities fit such a stream."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from promise.data.columns import Columns, FloatArray, IntArray
from promise.kernels.scores import ece_rows
from promise.models.hashed import HashedLinear
from promise.pipeline.pipeline import Pipeline
from promise.workloads.domains.calibration import given_known
from promise.workloads.domains.held import names_of, taken_batch
from promise.workloads.domains.split import STRANGE

_BLOCK = 4096


@dataclass(frozen=True)
class Stream:
    """Unknown names among those that are asked, as they are answered.

    Parameters
    ----------
    share
        Share of unknown names that the probabilities are calibrated for.
    gaps
        Mean confidence of unknown names, each in the column of its bin, float64 (n_bins,).
    """

    share: float
    gaps: FloatArray


def stream_of(pipeline: Pipeline) -> Stream | None:
    """Answer the unknown names that a version keeps and never learned from; None without any."""
    score = pipeline.score
    if not isinstance(score, HashedLinear) or score.kept is None or score.unknown_share is None:
        return None
    rows = np.flatnonzero(score.kept.sides == STRANGE)
    texts = names_of(taken_batch(score.kept.batch, rows)).texts()
    if not texts:
        return None
    field, gaps = pipeline.task.request.names[0], []
    for first in range(0, len(texts), _BLOCK):
        asked = np.array(texts[first : first + _BLOCK], dtype=object)
        output = pipeline.output(Columns({field: asked}))
        gaps.append(ece_rows(np.full(len(asked), -1), output).sum(axis=0))  # none has a class
    return Stream(score.unknown_share, np.sum(gaps, axis=0) / len(texts))


def calibration_told(
    codes: IntArray, output: FloatArray, stream: Stream | None
) -> dict[str, float]:
    """Return the calibration error given that a name has a class, and in the stated stream.

    Where no share of unknown names is stated there is nothing to say beside the plain error.
    """
    if stream is None:
        return {}
    known = ece_rows(codes, output).mean(axis=0)
    mixed = (1.0 - stream.share) * known + stream.share * stream.gaps
    given = ece_rows(codes, given_known(output)).mean(axis=0)
    return {
        "ece_given_class": float(np.abs(given).sum()),
        "ece_in_stream": float(np.abs(mixed).sum()),
    }
