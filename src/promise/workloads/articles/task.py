"""What is asked of articles: their texts in a request, and a class or labels in the answer."""

from __future__ import annotations

from promise.data.answer import Class, Labels
from promise.data.schema import Schema
from promise.pipeline.task import Task
from promise.workloads.articles.roles import Sheet
from promise.workloads.articles.split import ArticleSplit

NAME_OF_WORKLOAD = "articles"
METRIC = "f1_macro"

TEXT = "\0text"
"""The column of an article's whole text, cleaned; no file has such a column name."""


def articles_task(
    sheet: Sheet,
    answer: Class | Labels,
    split: ArticleSplit,
    prior: tuple[float, ...],
    *,
    with_source: bool,
) -> Task:
    """Return the task: an article is asked; its class, or its labels, are answered.

    Parameters
    ----------
    with_source
        Whether the model reads who published it.
    """
    return Task(
        workload=NAME_OF_WORKLOAD,
        request=sheet.with_source if with_source else sheet.request,
        answer=answer,
        label=sheet.label,
        metric=METRIC,
        split={
            **split.by_time,
            "articles": split.to_json(),
            "label_field": Schema((sheet.label_field,)).to_json()[0],
        },
        heuristic=prior,
    )
