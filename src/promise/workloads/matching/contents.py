"""What a matching version keeps beside its stages: golden requests, scores by person, card."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from promise.data.columns import Array
from promise.data.rows import even_rows
from promise.data.source import Source
from promise.metrics.pointwise import OF_RANKINGS
from promise.pipeline.artifact import Contents
from promise.pipeline.figures import figure, span
from promise.state.moments import to_text
from promise.workloads.matching.evaluate import Judged
from promise.workloads.matching.ground import Ground
from promise.workloads.matching.learn import Learnt
from promise.workloads.matching.task import METRIC

_GOLDEN = 32


def contents_of(
    source: Source, ground: Ground, learnt: Learnt, judged: Judged, *, number: int, seed: int
) -> Contents:
    """Gather everything that is stored with the version.

    Parameters
    ----------
    number
        Of the last event of the model's log that it has learned from.
    """
    interval = judged.intervals.get(METRIC)
    metrics = {
        "metric": METRIC,
        "score": judged.metrics.get(METRIC),
        "ci": None if interval is None else list(interval),
        "rows": judged.requests.n,
        "split": ground.cut.describe(),
        "all": judged.metrics,
    }
    return Contents(
        lineage={
            "source": source.name,
            "fingerprint": source.fingerprint(),
            "reader": source.reader,
            "n_source_rows": int(ground.deeds.n),
            "rows_used": ground.n_decisions,
            "people": ground.people.n,
            "seed": seed,
            "split": ground.cut.describe(),
            "cut": ground.cut.to_json(),
            "roles": ground.columns,
            "log": {"number": number, "until": _until(ground)},
        },
        recipe=recipe_of(learnt),
        golden=golden(ground),
        evaluation=evaluation(judged),
        notes={"told": list(ground.told), "importance": importance(learnt), **learnt.notes},
        card=card(source, ground, learnt, judged),
        metrics=metrics,
    )


def _until(ground: Ground) -> str | None:
    """Return when the last event happened that was learned from, in UTC; None without times."""
    last_us = int(ground.deeds.at_us.max(initial=0))
    return to_text(datetime.fromtimestamp(last_us / 1e6, UTC)) if last_us else None


def golden(ground: Ground) -> pa.Table:
    """Return ids that lists are kept for, to check a copy: evenly spread over everybody."""
    rows = even_rows(ground.people.n, _GOLDEN)
    return pa.table({"id": pa.array(ground.people.ids[rows].tolist(), pa.string())})


def evaluation(judged: Judged) -> dict[str, Array]:
    """Return each judged person with their scores, so that versions can be compared."""
    scores = {
        f"output_{place}": np.asarray(judged.each[metric.name], dtype=np.float64)
        for place, metric in enumerate(OF_RANKINGS)
    }
    return {"row": judged.requests.rows, "y": np.ones(judged.requests.n), **scores}


def recipe_of(learnt: Learnt) -> dict[str, Any]:
    """Return what was chosen, JSON-ready."""
    return {
        "preset": learnt.preset.name,
        "source": None if learnt.source is None else learnt.source.name,
        "plan": learnt.plan.to_json(),
        "rung": learnt.rung,
        "rule": learnt.rule,
        "explored": learnt.explored,
    }


def importance(learnt: Learnt) -> list[dict[str, Any]]:
    """Return how much each feature counts; nothing where the heuristic ranks."""
    found = getattr(learnt.scorer, "importance", None)
    return [] if found is None else list(found())


def card(source: Source, ground: Ground, learnt: Learnt, judged: Judged) -> str:
    """Return the model card."""
    interval = judged.intervals.get(METRIC, (float("nan"), float("nan")))
    chosen = "none" if learnt.source is None else learnt.source.name
    rungs = [f"- {one.rung.name}: {one.why}" for one in learnt.ladder]
    baselines = [
        f"- {name}: {figure(told[METRIC]['value'])}"
        for name, told in judged.details.get("baselines", {}).items()
    ]
    lines = [
        "# Who should meet whom",
        "",
        f"- data: {source.name}, {ground.people.n:,} people, {ground.n_decisions:,} decisions",
        f"- candidates: {learnt.plan.size} by {chosen}, likeness and chance",
        f"- ranked by: {learnt.rung}; both directions: {learnt.rule}",
        f"- {METRIC}: {figure(judged.metrics.get(METRIC))} ({span(*interval)}, "
        f"{judged.requests.n:,} people, full ranking over everybody eligible)",
        f"- split: {ground.cut.describe()}",
        *(f"- {line}" for line in ground.told),
        "",
        "Rungs:",
        "",
        *rungs,
        "",
        f"Without learning ({METRIC}):",
        "",
        *baselines,
        "",
        "All metrics on the sealed part:",
        "",
        *(f"- {name}: {figure(value)}" for name, value in judged.metrics.items()),
        "",
        "The figures are of the recipe as it was learned until the sealed part begins. What is "
        "served has the same recipe, learned from everything, so that its figures on these very "
        "data would flatter it.",
    ]
    return "\n".join(lines) + "\n"
