"""The presets that learn from a list of names: how each makes features and scores of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from promise.data.columns import IntArray
from promise.job import Job
from promise.pipeline.stages import Featurize, Score
from promise.workloads.domains.reference import beside_reference, fit_reference, fit_reference_tree

Tell = Callable[[str], None]


class Fit(Protocol):
    """Learns both stages from normalised names."""

    def __call__(
        self,
        names: Sequence[str],
        codes: IntArray,
        classes: tuple[str, ...],
        job: Job,
        tell: Tell,
    ) -> tuple[Featurize, Score]:
        """Return what makes features of the column `NAME`, and what scores them.

        Parameters
        ----------
        names
            Normalised, in the order in which they are to be learned from.
        codes
            Class codes, int64 (n,).
        """
        ...


class Beside(Protocol):
    """Learns further scores over the same features, to be told beside the preset's own."""

    def __call__(
        self,
        featurize: Featurize,
        names: Sequence[str],
        codes: IntArray,
        classes: tuple[str, ...],
        job: Job,
        tell: Tell,
    ) -> dict[str, Score]:
        """Return score stages by what they are called in the details of a training."""
        ...


@dataclass(frozen=True)
class Preset:
    """A way to learn from names, beside the default one.

    Parameters
    ----------
    summary
        What it is, as listings and cards show it.
    beside
        What its own score is judged beside on the chosen holdout; None where there is nothing.
    """

    name: str
    summary: str
    fit: Fit
    beside: Beside | None = None


PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset(
            "reference",
            "subword embeddings, rare tokens and structure in 25 features, LightGBM in batches",
            fit_reference,
            beside_reference,
        ),
        Preset(
            "reference-tree",
            "averaged token embeddings and structure, a decision tree of depth 15",
            fit_reference_tree,
        ),
    )
}
"""Name to preset; the default preset streams instead and is not among them."""
