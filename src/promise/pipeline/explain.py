"""Why one answer came out as it did: native contributions, summed back to the table's columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from promise.data.columns import Array, Columns
from promise.errors import ConfigError
from promise.features.keyed import VIEW, Keyed
from promise.features.views import Views
from promise.kernels.scores import decide
from promise.models.base import MATRIX, Explainable
from promise.models.blend import Blend, Member, matrix_column
from promise.models.calibrate import Calibrated
from promise.pipeline.pipeline import Pipeline


@dataclass(frozen=True)
class Explanation:
    """How much each input moved one answer, on the margin scale of the models that can tell.

    Parameters
    ----------
    contributions
        Input to contribution, the largest first; with `base` they sum to the margin.
    base
        The margin of an average row.
    explained
        Share of the blend's weight whose members give native contributions.
    of_class
        The class that was explained; None for a number.
    """

    contributions: dict[str, float]
    base: float
    explained: float
    of_class: str | None

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary."""
        return dict(vars(self))


def explain(pipeline: Pipeline, request: Columns) -> list[Explanation]:
    """Explain each row of a request by the contributions of its models.

    An input that feeds several matrix columns gets their sum; a matrix column made of several
    inputs is shared evenly among them.

    Events are explained by their features, on the calibrated log-odds of the second outcome; where
    the members' scale allows no contributions, by the small model that gives their reasons, with
    `explained` 0.

    Parameters
    ----------
    request
        For keyed pipelines with the features that were seen.

    Raises
    ------
    ConfigError
        When no member of the pipeline can give contributions.
    """
    if isinstance(pipeline.featurize, Keyed) and isinstance(pipeline.score, Calibrated):
        return _explained_events(pipeline, pipeline.featurize, pipeline.score, request)
    blend, views = pipeline.score, pipeline.featurize
    if not isinstance(blend, Blend) or not isinstance(views, Views):
        raise ConfigError("this pipeline has no table features, so it cannot be explained.")
    members = [m for m in blend.members if isinstance(m.fitted, Explainable)]
    if not members:
        kinds = ", ".join(sorted({m.fitted.kind for m in blend.members}))
        raise ConfigError(f"native contributions do not exist for {kinds}.")
    share = sum(m.weight for m in members)
    columns = views.many(request, {}, None)
    output = pipeline.score.many(columns)
    decided = decide(output, pipeline.multipliers) if output.ndim == 2 else None
    totals: list[dict[str, float]] = [{} for _ in range(request.n_rows)]
    bases = np.zeros(request.n_rows)
    for member in members:
        parts = _contributions(member, columns, decided) * (member.weight / share)
        bases += parts[:, -1]
        sources = views.views[member.view].sources
        for row, values in enumerate(parts[:, :-1]):
            for names, value in zip(sources, values, strict=True):
                for name in names:
                    totals[row][name] = totals[row].get(name, 0.0) + float(value) / len(names)
    classes = getattr(pipeline.task.answer, "classes", ())
    return [
        Explanation(
            contributions=dict(sorted(total.items(), key=lambda item: -abs(item[1]))),
            base=float(bases[row]),
            explained=float(share),
            of_class=None if decided is None else str(classes[decided[row]]),
        )
        for row, total in enumerate(totals)
    ]


def _explained_events(
    pipeline: Pipeline, keyed: Keyed, score: Calibrated, request: Columns
) -> list[Explanation]:
    columns = keyed.many(request, {}, None)
    outcomes = getattr(pipeline.task.answer, "outcomes", (None, None))
    reasons = getattr(pipeline.decide, "reasons", None)
    if score.scale == "logit" and score.explained:
        parts, share = score.contributions(columns)[VIEW], score.explained
    elif reasons is not None:
        parts, share = reasons.contributions(columns[matrix_column(VIEW)]), 0.0
    else:
        raise ConfigError("no member of this blend splits its answer into contributions.")
    names = keyed.features.columns
    found = []
    for row in parts:
        order = np.argsort(-np.abs(row[:-1]), kind="stable").tolist()
        told = {names[place]: float(row[place]) for place in order}
        found.append(Explanation(told, float(row[-1]), share, outcomes[1]))
    return found


def _contributions(member: Member, columns: Columns, decided: Array | None) -> Array:
    """Return (n, d + 1) for the decided class; for two classes the second's margin decides."""
    fitted: Any = member.fitted
    found: Array = fitted.contributions(Columns({MATRIX: columns[matrix_column(member.view)]}))
    if decided is None:
        return found
    if found.ndim == 3:
        return found[np.arange(len(found)), decided]
    return np.where(decided[:, None] == 1, found, -found)
