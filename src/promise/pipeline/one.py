"""The fast path of a pipeline: from the values of one row to its answer, without columns."""

from __future__ import annotations

from typing import Any, Protocol

from promise.data.columns import FloatArray

Values = tuple[Any, ...]
"""One row as `RequestCodec.decode` gives it: values in the schema's order, as they were sent."""


class One(Protocol):
    """Answers single rows with the digits of `Pipeline.predict`, bit for bit; for one thread."""

    def output(self, values: Values, seen: FloatArray | None = None) -> list[float]:
        """Return the scorer's raw output: one number, or a probability for each class.

        Parameters
        ----------
        seen
            For pipelines over keyed features: the features at this event; None where nothing is
            known of its entities.
        """
        ...

    def answer(self, values: Values, seen: FloatArray | None = None) -> dict[str, Any]:
        """Return the answer as `answer_rows` formats it."""
        ...
