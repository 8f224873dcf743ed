"""From the chosen rung to what is registered: learned from all, judged on the sealed articles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from promise.data.answer import Class
from promise.data.columns import Array, FloatArray
from promise.data.infer import read_columns
from promise.metrics.intervals import bootstrap_interval
from promise.metrics.pointwise import all_metrics, metric_named
from promise.pipeline.order import Outcome
from promise.pipeline.pipeline import Pipeline
from promise.workloads.articles.contents import Judged, contents_of
from promise.workloads.articles.curve import Outlook
from promise.workloads.articles.evaluate import baselines, class_table, given_of, review_figures
from promise.workloads.articles.ground import Ground, Tell
from promise.workloads.articles.kept import Kept
from promise.workloads.articles.ladder import Ladder
from promise.workloads.articles.reading import ArticleText
from promise.workloads.articles.reviewing import (
    Reviewing,
    confidence,
    thresholds_of_precision,
    thresholds_of_share,
)
from promise.workloads.articles.rungs import Rung, truth_of
from promise.workloads.articles.score import ArticleScore, Member
from promise.workloads.articles.task import METRIC, TEXT, articles_task
from promise.workloads.articles.terms import Wishes
from promise.workloads.articles.ways import Way


@dataclass(frozen=True)
class Found:
    """What the ladder left.

    Parameters
    ----------
    outlook
        None where no curve was measured.
    """

    ladder: Ladder
    outlook: Outlook | None
    wishes: Wishes


def final_score(
    ground: Ground, rung: Rung, ways: list[Way], kept: Kept, tell: Tell
) -> ArticleScore:
    """Learn the rung from every article that is not sealed."""
    articles = ground.articles.take(ground.train)
    truth = ground.named.truth[ground.train]
    rows = np.arange(len(truth))
    members = []
    for place, (name, setting) in enumerate(rung.ways):
        way = next(way for way in ways if way.name == name)
        tell(f"learning {name} from {len(truth):,} articles")
        read = way.read(articles, kept, ground.job, tell)
        fold = read.fold(rows, truth, ground.named.several, ground.job)
        learner = fold.learn(setting, ground.job.child(f"{name}-all"))
        members.append(Member(name, learner, rung.chances[place]))
    return ArticleScore(tuple(members), rung.last)


def policy_of(ground: Ground, found: Found) -> Reviewing:
    """Return the policy: thresholds are settled on articles that were not learned from."""
    rung, wishes, answer = found.ladder.chosen, found.wishes, ground.named.answer
    assert rung.shares is not None
    sure, code = confidence(answer, rung.shares, rung.multipliers)
    if wishes.precision is not None and isinstance(answer, Class):
        cuts = thresholds_of_precision(answer, sure, code, found.ladder.truth, wishes.precision)
    elif wishes.precision is not None:
        right = (
            given_of(answer, rung.shares, np.array(rung.multipliers)) == found.ladder.truth
        ).all(axis=1)
        whole = Class(("labels",))
        cuts = thresholds_of_precision(whole, sure, code, right[:, None], wishes.precision)
    else:
        cuts = thresholds_of_share(answer, sure, wishes.review)
    return Reviewing(answer, cuts, rung.multipliers)


def pipeline_of(ground: Ground, score: ArticleScore, policy: Reviewing) -> Pipeline:
    """Return the pipeline over the columns that the score reads."""
    learned = ground.named.truth[ground.train].sum(axis=0)
    prior = tuple((learned / max(1, len(ground.train))).tolist())
    task = articles_task(
        ground.sheet, ground.named.answer, ground.split, prior, with_source=score.reads_source
    )
    names = {str(field.role): field.name for field in task.request}
    return Pipeline(task=task, featurize=ArticleText(names), score=score, decide=policy)


def outcome_of(ground: Ground, found: Found, score: ArticleScore, peak_mb: float) -> Outcome:
    """Judge on the sealed articles, once, and return what belongs into the version."""
    pipeline = pipeline_of(ground, score, policy_of(ground, found))
    judged = judge(ground, pipeline, found)
    details = {
        "ladder": found.ladder.to_json() | {"features": score.n_features},
        "next_rung": None if found.outlook is None else found.outlook.to_json(),
        "baselines": judged.baselines,
        "review": judged.review,
        "ci": judged.metrics["ci"],
        "classes": len(ground.named.names),
        "columns": {**ground.sheet.texts, "label": ground.sheet.label},
        "noticed": ground.found,
    }
    return Outcome(
        pipeline=pipeline,
        contents=contents_of(ground, found.ladder, pipeline, judged, details),
        metrics=judged.metrics["all"],
        split=ground.split.describe(),
        rows=len(ground.train),
        peak_memory_mb=peak_mb,
        details=details,
    )


def judge(ground: Ground, pipeline: Pipeline, found: Found) -> Judged:
    """Answer the sealed articles as they would be answered when served."""
    answer, holdout = ground.named.answer, ground.holdout
    request, _ = read_columns(ground.source, pipeline.task.request, ground.rows[holdout])
    output: FloatArray = np.asarray(pipeline.output(request), dtype=np.float64)
    truth: Array = ground.named.truth[holdout]
    y, moved = truth_of(truth, answer), pipeline.multipliers
    metric = metric_named(METRIC, answer)
    policy = pipeline.decide
    assert isinstance(policy, Reviewing)
    review = review_figures(policy, truth, output)
    everything = all_metrics(answer, y, output, moved) | review
    metrics: dict[str, Any] = {
        "metric": METRIC,
        "score": metric.score(y, output, moved),
        "ci": list(
            bootstrap_interval(
                metric, y, output, seed=ground.order.seed, multipliers=moved,
                groups=ground.groups[holdout],
            )
        ),
        "rows": len(y),
        "split": ground.split.describe(),
        "all": everything,
    }  # fmt: skip
    texts = ground.articles[TEXT]
    beside = baselines(
        texts[ground.train].tolist(), ground.named.truth[ground.train], texts[holdout].tolist(),
        truth, answer, linear=found.wishes.baselines,
    )  # fmt: skip
    table = class_table(
        answer, ground.named.truth[ground.train], truth, given_of(answer, output, moved)
    )
    return Judged(y, output, metrics, beside, table, review)
