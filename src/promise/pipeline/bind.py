"""A pipeline compiled for serving: buffers and native predictors made once for each thread."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from promise.data.answer import Class, Decision, Labels, Number, Ranking
from promise.data.columns import Columns, FloatArray
from promise.data.schema import Field, Schema
from promise.errors import ConfigError
from promise.features.keyed import SEEN, Keyed
from promise.features.one import OneRow, compile_row
from promise.features.values import Read, column_of, reader
from promise.features.views import Views
from promise.kernels.calibrating import apply_temperature
from promise.models.blend import Blend
from promise.models.single_row import Answer, bind_model, same
from promise.pipeline.answers import answer_rows, class_answer, labels_answer
from promise.pipeline.explain import explain
from promise.pipeline.one import One, Values
from promise.pipeline.order import workload_named
from promise.pipeline.pipeline import Pipeline
from promise.pipeline.policy import PREDICTION, Threshold
from promise.pipeline.request import with_order

BLOCK_ROWS = 4096
"""How many rows of a batch are in memory as matrices at once."""

logger = logging.getLogger(__name__)


class Bound:
    """Answers rows in schema order; one row takes the fast path where every stage has one.

    The fast path gives the digits of `Pipeline.predict`, bit for bit: it is tried on probes first,
    and left aside where they differ.

    Parameters
    ----------
    pipeline
        Shared between threads; a Bound is not.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._schema = pipeline.task.request
        self._one = one_row(pipeline)
        if self._one is not None and not self._agrees(self._one):
            logger.warning("single rows take the columnar path", extra={"reason": "digits differ"})
            self._one = None

    @property
    def fast(self) -> bool:
        """Whether single rows take the fast path."""
        return self._one is not None

    def one(self, values: Values, seen: FloatArray | None = None) -> dict[str, Any]:
        """Answer one row: `prediction`, and for classes `probability` by class.

        Parameters
        ----------
        seen
            For pipelines over keyed features: the features at this event, (n_features,).
        """
        if self._one is not None:
            return self._one.answer(values, seen)
        return self.many([values], None if seen is None else seen[None, :])[0]

    def many(self, rows: Sequence[Values], seen: FloatArray | None = None) -> list[dict[str, Any]]:
        """Answer several rows by the columnar path, in bounded blocks.

        Rows that have an order are seen as a whole, since a row may depend on those before it.

        Parameters
        ----------
        seen
            For pipelines over keyed features: the features at each event, (n_rows, n_features).
        """
        ordered = self._schema.find("time") is not None
        size = max(1, len(rows)) if ordered else BLOCK_ROWS
        answers: list[dict[str, Any]] = []
        for first in range(0, len(rows), size):
            request = columns_of(rows[first : first + size], self._schema)
            if seen is not None:
                request = request.with_columns({SEEN: seen[first : first + size]})
            answers += answer_rows(self._pipeline, self._pipeline.predict(request))
        return answers

    def explain(self, rows: Sequence[Values]) -> list[dict[str, Any]]:
        """Say how much each input moved each answer.

        Raises
        ------
        ConfigError
            When no model of the pipeline can tell.
        """
        request = columns_of(rows, self._schema)
        return [explanation.to_json() for explanation in explain(self._pipeline, request)]

    def _agrees(self, one: One) -> bool:
        """Say whether probes get the same raw output on both paths."""
        for number, values in enumerate(probes(self._pipeline)):
            request = columns_of([values], self._schema)
            seen = self._probe_seen(number)
            if seen is not None:
                request = request.with_columns({SEEN: seen[None, :]})
            with np.errstate(all="ignore"):  # probes are larger than most tables' numbers
                slow = self._pipeline.output(request)
                fast = one.output(values, seen)
            if not same(fast, slow.reshape(-1).tolist()):
                return False
        return True

    def _probe_seen(self, number: int) -> FloatArray | None:
        """Return keyed features of all sizes, with and without gaps; None where none are read."""
        if not isinstance(self._pipeline.featurize, Keyed):
            return None
        rng = np.random.default_rng(number)
        seen = rng.normal(size=len(self._pipeline.featurize.features.columns)) * 10.0 ** (
            number - 3
        )
        seen[rng.random(len(seen)) < 0.2 * (number % 3)] = np.nan
        return seen


def bind(pipeline: Pipeline) -> Bound:
    """Compile a pipeline for the calling thread."""
    return Bound(pipeline)


@dataclass(frozen=True)
class OneAnswer:
    """The fast path: from the values of one row to its answer, without columns.

    Parameters
    ----------
    reads
        Places whose values are read before any view sees them; plain numbers are not.
    views
        The compiled views that the members need.
    members
        Each member's weight and bound model.
    """

    pipeline: Pipeline
    reads: tuple[tuple[int, Read], ...]
    views: tuple[OneRow, ...]
    members: tuple[tuple[float, Answer], ...]
    temperature: float | None
    multipliers: tuple[float, ...] | None

    def output(self, values: Values, seen: FloatArray | None = None) -> list[float]:  # noqa: ARG002 — no keyed features
        """Return the scorer's raw output: one number, or a probability for each class."""
        row: Sequence[Any] = values
        if self.reads:
            row = list(values)
            for place, read in self.reads:
                row[place] = read(row[place])
        for view in self.views:
            view.encode(row)
        parts = [[weight * share for share in model()] for weight, model in self.members]
        total = parts[0]
        for part in parts[1:]:
            total = [a + b for a, b in zip(total, part, strict=True)]
        if self.temperature is None:
            return total
        softened: list[float] = apply_temperature(np.array([total]), self.temperature)[0].tolist()
        return softened

    def answer(self, values: Values, seen: FloatArray | None = None) -> dict[str, Any]:
        """Return the answer as `answer_rows` formats it."""
        output = self.output(values, seen)
        answer = self.pipeline.task.answer
        if not isinstance(answer, Class):
            return {PREDICTION: output[0]}
        weighted = output
        if self.multipliers is not None:
            weighted = [a * b for a, b in zip(output, self.multipliers, strict=True)]
        return class_answer(answer, answer.classes[weighted.index(max(weighted))], output)


def one_row(pipeline: Pipeline) -> One | None:
    """Compile a pipeline for single rows, as its workload does; None without a fast path."""
    if isinstance(pipeline.featurize, Views):
        return _one_table_row(pipeline)
    try:
        compiled = workload_named(pipeline.task.workload).one
    except ConfigError:  # a workload that is not installed here can still be answered
        return None
    return None if compiled is None else compiled(pipeline)


def _one_table_row(pipeline: Pipeline) -> OneAnswer | None:
    views, blend, decide = pipeline.featurize, pipeline.score, pipeline.decide
    if not isinstance(views, Views) or not isinstance(blend, Blend) or not blend.members:
        return None
    if not isinstance(decide, Threshold) or not isinstance(decide.answer, Number | Class):
        return None
    if pipeline.retrieve is not None or decide.answer != pipeline.task.answer:
        return None
    fields = pipeline.task.request.fields
    compiled: dict[str, OneRow] = {}
    for name in dict.fromkeys(member.view for member in blend.members):
        row = compile_row(views.views[name], fields)
        if row is None:
            return None
        compiled[name] = row
    return OneAnswer(
        pipeline,
        reads=tuple((i, reader(f)) for i, f in enumerate(fields) if f.type != "number"),
        views=tuple(compiled.values()),
        members=tuple(
            (m.weight, bind_model(m.fitted, compiled[m.view].matrix)) for m in blend.members
        ),
        temperature=blend.temperature,
        multipliers=decide.multipliers,
    )


def columns_of(rows: Sequence[Values], schema: Schema) -> Columns:
    """Return the typed columns of rows; every value is read by itself, whatever its neighbours.

    Examples
    --------
    >>> from promise.data.schema import Field
    >>> columns_of([(1,), (True,), (None,)], Schema((Field("a", "number"),)))["a"]
    array([ 1.,  1., nan])
    """
    cells = zip(*rows, strict=True) if rows else [()] * len(schema)
    arrays = {f.name: column_of(v, f) for f, v in zip(schema.fields, cells, strict=True)}
    return with_order(Columns(arrays), schema)


def probes(pipeline: Pipeline) -> list[Values]:
    """Return rows on which the two paths are compared: gaps, unseen values, odd and plain ones."""
    views = pipeline.featurize.views.values() if isinstance(pipeline.featurize, Views) else ()
    words: dict[str, list[str]] = {}
    for part in (part for view in views for part in view.state["parts"]):
        if part["kind"] == "category" and len(part["sources_read"]) == 1:
            words[part["sources_read"][0]] = list(part["vocabulary"])[:2]
        if part["kind"] == "text":
            words[part["column"]] = [" ".join(list(part["vocabulary"])[:40])]
    kinds = {
        "number": (0.0, -1.5, 1e3, None, 3.3e38, True),
        "boolean": (True, False, None),
        "date": ("2024-02-29", "1969-12-31T23:59:59", None, 0),
    }

    def value(field: Field, number: int) -> Any:
        seen = words.get(field.name, ())
        other = (None,) if field.type == "text" else (None, 3)
        among = kinds.get(field.type) or (*seen, "never seen", *other)
        return among[number % len(among)]

    return [
        tuple(value(f, number + place) for place, f in enumerate(pipeline.task.request))
        for number in range(8)
    ]


def heuristic_answer(pipeline: Pipeline) -> dict[str, Any]:
    """Return the workload's answer of last resort, without the model.

    It is the task's own where it names one, else what the training rows say alone: the usual
    number, or each class's share. Without either, every class is as likely, and no number is known.
    Of several actions it is the middle one: a person looks at what no model could.
    """
    answer = pipeline.task.answer
    output = pipeline.task.heuristic or training_shares(pipeline)
    if isinstance(answer, Decision):
        return {PREDICTION: answer.actions[1]}
    if isinstance(answer, Ranking):
        return {PREDICTION: []}
    if isinstance(answer, Labels):
        return labels_answer(answer, [], list(output) or [0.5] * len(answer.labels))
    if not isinstance(answer, Class):
        return {PREDICTION: float(output[0]) if output else None}
    shares = list(output) or [1.0 / answer.n_classes] * answer.n_classes
    decided = answer.unknown or pipeline.decide.many(Columns({}), np.array([shares]))[PREDICTION][0]
    return class_answer(answer, str(decided), shares)


def training_shares(pipeline: Pipeline) -> tuple[float, ...]:
    """Return the mean label of the rows that the features learned from, or nothing."""
    if not isinstance(pipeline.featurize, Views) or not pipeline.featurize.views:
        return ()
    state = next(iter(pipeline.featurize.views.values())).state
    center, answer = [float(v) for v in state["center"]], pipeline.task.answer
    if not isinstance(answer, Class):
        return tuple(center)
    shares = dict(zip(state["targets"], center, strict=True))
    rest = answer.n_classes - len(shares)
    left = max(0.0, 1.0 - sum(center)) / max(rest, 1)
    return tuple(shares.get(code, left) for code in range(answer.n_classes))
